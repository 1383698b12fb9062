"""What goes into the estimator and what comes out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = 0  # the id of somebody who has none


@dataclass(frozen=True)
class Frame:
    """
    One picture of a video.

    image     (h, w, 3) uint8, blue-green-red as OpenCV reads it
    stamp_ns  capture time in whole nanoseconds; any clock, rising within one video
    """

    image: NDArray[np.uint8]
    stamp_ns: int

    def __post_init__(self) -> None:
        """Refuse anything but a picture and whole nanoseconds."""
        check_picture(self.image)
        if not isinstance(self.stamp_ns, int | np.integer):
            raise ValueError(
                f'stamp_ns must be whole nanoseconds, got {self.stamp_ns!r}; of seconds take '
                'round(seconds * 1e9)'
            )
        # numpy's own would wrap around where the clock jumps back.
        object.__setattr__(self, 'stamp_ns', int(self.stamp_ns))


def check_picture(image: object) -> None:
    """Raise `ValueError` for anything but a non-empty 8-bit colour picture."""
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f'a frame must be (h, w, 3) uint8 in BGR, got {image!r:.40}; OpenCV gives None for '
            'what it cannot read'
        )
    shape, dtype = image.shape, image.dtype
    if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(f'a frame must be (h, w, 3) uint8 in BGR, got {shape} {dtype}')


@dataclass(frozen=True)
class Poses:
    """
    The N people of one frame, possibly none, best score first.

    stamp_ns         the stamp of the frame they were seen in
    keypoints_px     (N, K, 2) float32, x then y in pixels of the source image
    keypoint_scores  (N, K) float32 in [0, 1]
    scores           (N,) float32 in [0, 1]
    extents_px       (N, K, 2) what the boxes enclose, where that is not the keypoints
    window_px        (N, T, K, 2) where the network roughly saw them in its window's frames
    ids              (N,) int64, the same person's in every frame of a video; 0 is not known
    """

    stamp_ns: int
    keypoints_px: NDArray[np.float32]
    keypoint_scores: NDArray[np.float32]
    scores: NDArray[np.float32]
    extents_px: NDArray[np.float32] | None = None
    window_px: NDArray[np.float32] | None = None
    ids: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Return the number of people."""
        return len(self.scores)

    @property
    def extents(self) -> NDArray[np.float32]:
        """Return (N, K, 2) what the boxes enclose, in pixels."""
        return self.keypoints_px if self.extents_px is None else self.extents_px

    @property
    def id_names(self) -> list[str]:
        """Return the N ids in letters, empty where not known."""
        ids = [UNKNOWN] * len(self) if self.ids is None else self.ids.tolist()
        return ['' if number == UNKNOWN else str(number) for number in ids]

    @property
    def bboxes_px(self) -> NDArray[np.float32]:
        """Return (N, 4) x, y, width, height of the keypoints' extent, in pixels."""
        if not len(self):
            return np.zeros((0, 4), np.float32)
        low, high = self.extents.min(axis=1), self.extents.max(axis=1)
        return np.concatenate([low, high - low], axis=1)

    def above(self, threshold: float) -> 'Poses':
        """Keep the people whose score reaches the threshold; possibly none."""
        return self.take(np.flatnonzero(self.scores >= threshold))

    def take(self, people: Sequence[int] | NDArray[np.intp]) -> 'Poses':
        """Keep the people at these indices (P,), in that order."""
        chosen = np.asarray(people, np.intp)
        return Poses(
            self.stamp_ns,
            self.keypoints_px[chosen],
            self.keypoint_scores[chosen],
            self.scores[chosen],
            None if self.extents_px is None else self.extents_px[chosen],
            None if self.window_px is None else self.window_px[chosen],
            None if self.ids is None else self.ids[chosen],
        )
