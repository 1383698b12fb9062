"""One camera's images to people, in the worker's thread."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from traceback import format_exc

from std_msgs.msg import Header

from pavenet_core.image_codec import ImageCodecError, Picture
from pavenet_core.poses import Frame, Poses
from pavenet_core.runtime import Identities, PoseModel, VideoPoseEstimator
from pavenet_ros import camera_stats
from pavenet_ros.camera_stats import CameraStats
from pavenet_ros.conversions import ImageMessage, stamp_ns, to_picture
from pavenet_ros.parameters import NodeParameters


@dataclass(frozen=True)
class Received:
    """An image message, and when it came by a clock that never jumps."""

    msg: ImageMessage
    arrival_ns: int


@dataclass(frozen=True)
class Answer:
    """
    The people of one image.

    header    that image's, unchanged
    image     its picture
    taken_s   when the worker took the image that completed this answer, by the monotonic clock
    """

    header: Header
    image: Picture
    poses: Poses
    taken_s: float

    @property
    def size(self) -> tuple[int, int]:
        """Return the picture's width and height."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True)
class _Place:
    """Where an image stands in time and whose it is; equal places are one image sent twice."""

    stamp_ns: int
    frame_id: str
    size: tuple[int, int]


class ImagePipeline:
    """
    Answer the images of one camera, in their order.

        Received -> to_picture -> estimator -> Answer -> publish

    An answer may come later than its image (lookahead), so headers and pictures wait here. An
    image that can't be read is counted, reported by `warn` and skipped; so is one on which
    something breaks, reported by `error`; both are given the kind of the report, then its words.
    Settings, and a wish to start anew or to pause, may come from any thread; they are followed
    before the next image, or at the end of the video.
    """

    def __init__(
        self,
        model: PoseModel,
        settings: NodeParameters,
        stats: CameraStats,
        *,
        publish: Callable[[Answer], None],
        warn: Callable[[str, str], None],
        error: Callable[[str, str], None],
    ) -> None:
        self.settings = settings
        self._model = model
        self._stats = stats
        self._publish, self._warn, self._error = publish, warn, error
        self._used = settings
        self._identities = Identities()  # goes on counting when another estimator comes
        self._estimator = make_estimator(model, settings)
        self._tell(settings)
        self._waiting: deque[tuple[Header, Picture]] = deque()  # in the order of their answers
        self._last: _Place | None = None
        self._taken_s = self._done_s = 0.0  # when the last image was taken, and done with
        self._starts_anew = self._ends = False

    def start_anew(self) -> None:
        """Forget the video before the next image; answers still due are not given."""
        self._starts_anew = True

    def pause(self) -> None:
        """End the video before the next image; answers still due are given."""
        self._ends = True

    def process(self, received: Received) -> None:
        """Take the next image, and publish the answer that it completes."""
        self._taken_s = monotonic()
        try:
            self._follow_wishes()
            self._process(received)
        except ImageCodecError as error:
            cause = f'{camera_stats.UNREADABLE}: {error.kind}'
            self._stats.count_drop(cause)
            self._warn(cause, f'skipped an image: {error}')
        except Exception:  # a worker that dies would leave a node that looks alive
            is_waiting = any(header is received.msg.header for header, _ in self._waiting)
            self._stats.count_drop(camera_stats.FAILED, int(not is_waiting))
            self._recover()
        self._done_s = monotonic()

    def finish(self) -> None:
        """End the video: publish the answers still due."""
        self._taken_s = monotonic()
        try:
            self._follow_wishes()
            self._finish()
        except Exception:  # as above
            self._recover()

    def seconds_until_due(self) -> float | None:
        """Return how long answers may still wait for more images; None if none waits."""
        if not self._waiting:
            return None
        return max(0.0, self._done_s + self.settings.max_gap - monotonic())

    def _follow_wishes(self) -> None:
        if self._starts_anew:
            self._starts_anew = False
            self._forget(camera_stats.RESET)
        if self._ends:
            self._ends = False
            self._finish()
        wanted = self.settings
        if wanted is self._used:
            return
        if _timing(wanted) != _timing(self._used):
            self._finish()
            self._estimator = make_estimator(self._model, wanted)
        if wanted.identities != self._used.identities:
            self._identities.forget()
        self._tell(wanted)
        self._used = wanted

    def _tell(self, settings: NodeParameters) -> None:
        self._estimator.score_threshold = settings.score_threshold
        self._estimator.max_people = settings.max_people
        self._estimator.identities = self._identities if settings.identities else None

    def _process(self, received: Received) -> None:
        header = received.msg.header
        # A driver without a clock sends no stamp: then the time of arrival orders the images.
        time_ns = stamp_ns(header) or received.arrival_ns
        if self._last is not None and (time_ns, header.frame_id) == (
            self._last.stamp_ns,
            self._last.frame_id,
        ):
            self._stats.count_drop(camera_stats.REPEATED)
            return
        image = to_picture(received.msg)
        place = _Place(time_ns, header.frame_id, (image.shape[1], image.shape[0]))
        self._note_break(place)
        self._last = place
        self._waiting.append((header, image))
        poses = self._estimator.push(Frame(image, time_ns))
        if poses is not None:
            self._answer(poses)

    def _note_break(self, place: _Place) -> None:
        """Count why this image starts a new video, if it does."""
        cause = self._break(place)
        if not cause:
            return
        self._stats.count_new_video(cause)
        self._finish()  # no image is seen together with those of before
        if cause == camera_stats.TIME_WENT_BACK:
            assert self._last is not None
            back_s = (self._last.stamp_ns - place.stamp_ns) / 1e9
            self._warn(cause, f'time went back by {back_s:.3f} s: the video starts anew')

    def _break(self, place: _Place) -> str:
        last = self._last
        if last is None:
            return ''
        if place.frame_id != last.frame_id:
            return camera_stats.NEW_FRAME_ID
        if place.size != last.size:
            return camera_stats.NEW_SIZE
        if place.stamp_ns < last.stamp_ns:
            return camera_stats.TIME_WENT_BACK
        is_gap = place.stamp_ns - last.stamp_ns > round(self._used.max_gap * 1e9)
        return camera_stats.GAP if is_gap else ''

    def _finish(self) -> None:
        for poses in self._estimator.flush():
            self._answer(poses)
        self._forget(camera_stats.FAILED)

    def _answer(self, poses: Poses) -> None:
        header, image = self._waiting[0]
        self._publish(Answer(header, image, poses, self._taken_s))
        self._waiting.popleft()

    def _forget(self, cause: str) -> None:
        self._stats.count_drop(cause, len(self._waiting))
        self._waiting.clear()
        self._estimator.reset()

    def _recover(self) -> None:
        self._error(camera_stats.FAILED, f'an image could not be answered:\n{format_exc()}')
        self._forget(camera_stats.FAILED)


def make_estimator(model: PoseModel, settings: NodeParameters) -> VideoPoseEstimator:
    """Start a video on an opened model; raise `ValueError` if that can't be."""
    return VideoPoseEstimator(
        model,
        score_threshold=settings.score_threshold,
        max_people=settings.max_people,
        lookahead=settings.lookahead,
        frame_interval_s=settings.frame_interval or None,
        max_gap_s=settings.max_gap,
    )


def _timing(settings: NodeParameters) -> tuple[float, ...]:
    return settings.lookahead, settings.frame_interval, settings.max_gap
