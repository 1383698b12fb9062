"""What happened to a camera's images, counted by the threads that see it and read by another."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock

# Causes why an image got no answer; "unreadable" and "new video" carry their kind after a colon.
REPLACED = 'replaced by a newer one'
REPEATED = 'repeated stamp'
UNREADABLE = 'unreadable'
FAILED = 'failed'
DISABLED = 'disabled'
UNWANTED = 'nobody listened'
RESET = 'reset'

# Why the next image did not continue the video of the one before.
TIME_WENT_BACK = 'time went back'
GAP = 'gap'
NEW_FRAME_ID = 'new frame_id'
NEW_SIZE = 'new size'


@dataclass(frozen=True)
class Counts:
    """
    The totals since the node was configured.

    received       images that came
    answered       results that were published
    drops          images without an answer, by cause
    new_videos     times the video started anew, by cause
    last_image_s   when the last image came, by the monotonic clock; None before the first
    age_ms         of the last result: now minus its image's stamp
    processing_ms  of the last result: from the worker's taking the image to the published answer
    """

    received: int
    answered: int
    drops: Mapping[str, int]
    new_videos: Mapping[str, int]
    last_image_s: float | None
    age_ms: float
    processing_ms: float


class CameraStats:
    """Counters that any thread may raise."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._received = self._answered = 0
        self._drops: Counter[str] = Counter()
        self._new_videos: Counter[str] = Counter()
        self._last_image_s: float | None = None
        self._age_ms = self._processing_ms = 0.0

    def count_received(self, now_s: float) -> None:
        """Count an image that came."""
        with self._lock:
            self._received += 1
            self._last_image_s = now_s

    def count_drop(self, cause: str, number: int = 1) -> None:
        """Count images that get no answer."""
        if number:
            with self._lock:
                self._drops[cause] += number

    def count_new_video(self, cause: str) -> None:
        """Count a break in the video."""
        with self._lock:
            self._new_videos[cause] += 1

    def count_answer(self, age_ms: float, processing_ms: float) -> None:
        """Count a published result."""
        with self._lock:
            self._answered += 1
            self._age_ms, self._processing_ms = age_ms, processing_ms

    def counts(self) -> Counts:
        """Return a copy of the present numbers."""
        with self._lock:
            return Counts(
                received=self._received,
                answered=self._answered,
                drops=dict(self._drops),
                new_videos=dict(self._new_videos),
                last_image_s=self._last_image_s,
                age_ms=self._age_ms,
                processing_ms=self._processing_ms,
            )
