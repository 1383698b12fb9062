"""What /diagnostics says: the node's health in numbers, a level and a sentence."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from pavenet_ros import camera_stats
from pavenet_ros.camera_stats import Counts

# Rates and recent faults are of this long, give or take the time between two looks.
WINDOW_S, TOLERANCE_S = 5.0, 0.5
SILENCE_S = 5.0
# Why most images may begin a new video.
RESTARTS = {
    camera_stats.GAP: 'the images are more than max_gap apart, raise it',
    camera_stats.NEW_FRAME_ID: 'they have different frame_ids, is there more than one camera?',
    camera_stats.NEW_SIZE: 'they have different sizes, is there more than one camera?',
}
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@dataclass(frozen=True)
class Report:
    """A camera's state: level and sentence of `DiagnosticStatus`, and its numbers by name."""

    level: bytes
    message: str
    values: Mapping[str, str]

    def to_status(self, name: str, hardware_id: str) -> DiagnosticStatus:
        """Return it as a message."""
        return DiagnosticStatus(
            level=self.level,
            name=name,
            message=self.message,
            hardware_id=hardware_id,
            values=[KeyValue(key=key, value=value) for key, value in self.values.items()],
        )


class CameraMonitor:
    """
    Watch one camera's counters; asked once a second while the node is active.

    started_s  when it became active, by the monotonic clock, with these counts
    """

    def __init__(self, started_s: float, counts: Counts) -> None:
        self._started_s = started_s
        self._history = deque([(started_s, counts)])

    def silence_s(self, counts: Counts, now_s: float) -> float:
        """Return for how long no image has come."""
        last_s = counts.last_image_s
        return now_s - (self._started_s if last_s is None else max(last_s, self._started_s))

    def report(self, counts: Counts, now_s: float, publishers: str) -> Report:
        """Judge the last seconds; `publishers` says who could send images."""
        self._history.append((now_s, counts))
        while now_s - self._history[0][0] > WINDOW_S + TOLERANCE_S:
            self._history.popleft()
        then_s, then = self._history[0]
        elapsed_s = max(now_s - then_s, 1e-3)
        level, message = self._judge(counts, then, now_s, elapsed_s, publishers)
        values = {
            'images in (Hz)': f'{(counts.received - then.received) / elapsed_s:.1f}',
            'results out (Hz)': f'{(counts.answered - then.answered) / elapsed_s:.1f}',
            'age of the last result (ms)': f'{counts.age_ms:.1f}',
            'processing time of the last result (ms)': f'{counts.processing_ms:.1f}',
            'images': str(counts.received),
            'results': str(counts.answered),
            **{f'dropped: {cause}': str(n) for cause, n in sorted(counts.drops.items())},
            **{f'new video: {cause}': str(n) for cause, n in sorted(counts.new_videos.items())},
        }
        return Report(level, message, values)

    def _judge(
        self, counts: Counts, then: Counts, now_s: float, elapsed_s: float, publishers: str
    ) -> tuple[bytes, str]:
        silence_s = self.silence_s(counts, now_s)
        if silence_s >= SILENCE_S:
            return ERROR, f'no image for {silence_s:.0f} s; {publishers}'
        drops = _increase(counts.drops, then.drops)
        answered = counts.answered > then.answered
        if drops.get(camera_stats.FAILED):
            return ERROR, f'{drops[camera_stats.FAILED]} images could not be answered, see the log'
        unreadable = {
            cause: number
            for cause, number in drops.items()
            if cause.startswith(camera_stats.UNREADABLE)
        }
        if unreadable:
            words = ', '.join(f'{number} {cause}' for cause, number in sorted(unreadable.items()))
            return WARN if answered else ERROR, f'images that can not be read: {words}'
        restarts = _increase(counts.new_videos, then.new_videos)
        if restarts.get(camera_stats.TIME_WENT_BACK):
            return WARN, 'time went back: the video started anew'
        if sum(restarts.values()) > max(1, (counts.answered - then.answered) // 2):
            return WARN, _restarting(restarts)
        return (OK, 'answering') if answered else _without_answer(drops, elapsed_s)


def _increase(now: Mapping[str, int], then: Mapping[str, int]) -> dict[str, int]:
    increase = {key: number - then.get(key, 0) for key, number in now.items()}
    return {key: number for key, number in increase.items() if number}


def _restarting(restarts: Mapping[str, int]) -> str:
    """Say why hardly any image is seen with its neighbours."""
    cause = max(restarts, key=lambda cause: restarts[cause])
    return f'most images start a new video: {RESTARTS.get(cause, cause)}'


def _without_answer(drops: Mapping[str, int], elapsed_s: float) -> tuple[bytes, str]:
    """Say why nothing was answered for so long."""
    if drops.get(camera_stats.REPEATED):
        return WARN, 'all images have the stamp of the one before'
    if camera_stats.DISABLED in drops:
        return OK, 'disabled; ~/enable switches it on'
    if camera_stats.UNWANTED in drops:
        return OK, 'nobody listens to its results'
    if camera_stats.REPLACED in drops and elapsed_s > WINDOW_S - TOLERANCE_S:
        return WARN, f'no result for {elapsed_s:.0f} s: the model takes longer for one image'
    return OK, 'no result yet'
