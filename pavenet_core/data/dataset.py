"""What every reader gives: clips, their labelled frames, and the skeleton of the labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.compressed_codec import is_cut_short
from pavenet_core.skeleton import Skeleton

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Clip:
    """
    Consecutive frames of one camera; a still is a clip of one frame.

    name       unique in its dataset
    files      image files in time order
    stamps_ns  capture times, rising; None where only the order is known
    """

    name: str
    files: tuple[Path, ...]
    stamps_ns: tuple[int, ...] | None = None

    def read(self, index: int) -> Image:
        """Return a frame as stored, (h, w, 3) uint8 BGR; `ValueError` if unreadable."""
        path = self.files[index]
        try:
            data = path.read_bytes()
            # Labels are in pixels as stored, so a camera's turn mark must not turn the picture.
            flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
            image = None if is_cut_short(data) else cv2.imdecode(np.frombuffer(data, 'u1'), flags)
        except (OSError, cv2.error):  # an empty file, or one that promises too many pixels
            image = None
        if image is None:
            raise ValueError(f'cannot read the picture {path}; is it there and whole?')
        return np.asarray(image, np.uint8)


@dataclass(frozen=True)
class Labels:
    """
    The G people of one frame, possibly none, in pixels of the picture as stored.

    Also those of whom the box alone is known: all their joints are unknown. Training treats them
    and crowds as regions where finding somebody is no mistake; COCO's evaluation likewise.

    keypoints       (G, K, 3) float32  x, y and 1 where the joint is marked, 0 where unknown
    areas           (G,) float32       of each person, in square pixels
    boxes           (G, 4) float32     x0, y0, x1, y1
    head_boxes      (G, 4) float32     x0, y0, x1, y1; NaN where the labels have none
    track_ids       (G,) int64         the same person in other frames of the clip; -1 if unknown
    crowds          (G,) bool          a group under one box (COCO's `iscrowd`)
    ignore_regions  (n, 2) float32 polygons, within which people are not labelled
    """

    keypoints: NDArray[np.float32]
    areas: NDArray[np.float32]
    boxes: NDArray[np.float32]
    head_boxes: NDArray[np.float32]
    track_ids: NDArray[np.int64]
    crowds: NDArray[np.bool_]
    ignore_regions: tuple[NDArray[np.float32], ...] = ()


@dataclass(frozen=True)
class LabelledFrame:
    """
    A frame whose people are known.

    index     of the frame in its clip
    image_id  the annotations' own number of it
    size      width and height of the picture, where the annotations give them
    """

    clip: Clip
    index: int
    image_id: int
    labels: Labels
    size: tuple[int, int] | None = None

    def check_sizes(self, sizes: Mapping[int, tuple[int, int]]) -> None:
        """
        Refuse a picture of another size than the annotations give: its labels lie elsewhere.

        And neighbours of another size than it. `sizes` has width and height of the window's
        frames by their indices in the clip.
        """
        width, height = sizes[self.index]
        for index, (w, h) in sizes.items():
            if (w, h) != (width, height):
                raise ValueError(
                    f'{self.clip.files[index]} is {w}x{h}, but the labelled '
                    f'{self.clip.files[self.index]} is {width}x{height}; a clip has one size'
                )
        # A pixel less is what a codec does that wants even sides.
        if self.size and max(abs(width - self.size[0]), abs(height - self.size[1])) > 1:
            raise ValueError(
                f'{self.clip.files[self.index]} is {width}x{height}, but its labels say '
                f'{self.size[0]}x{self.size[1]}; label the picture as it is stored (a turn mark '
                'of the camera is not followed), or store it as it was labelled'
            )


@dataclass(frozen=True)
class Dataset:
    """Labelled frames of one skeleton, in the order of the annotations."""

    name: str
    skeleton: Skeleton
    frames: tuple[LabelledFrame, ...]


@dataclass(frozen=True)
class Neighbours:
    """
    Which frames of a clip a key frame is seen with.

    num_frames   T, odd; the key frame is the middle one
    step         from one frame of the window to the next, in frames of the clip
    interval_ns  the same in time, where it is given and the clip has stamps; the nearest frame
    lookahead    at most so many frames after the key frame are seen; None takes all T // 2
    older        where none after the key frame may be seen, one from farther back stands in, as in
                 the runtime's buffer for networks that link frames

    Else where a neighbour is missing the nearest frame of the clip stands in, at both ends, as in
    the authors' readers and in the runtime's buffer.
    """

    num_frames: int
    step: int = 1
    interval_ns: int | None = None
    lookahead: int | None = None
    older: bool = False

    def indices(self, clip: Clip, key: int) -> tuple[int, ...]:
        """Return the T indices of the window's frames in the clip, the key frame in the middle."""
        half = self.num_frames // 2
        offsets = list(range(-half, half + 1))
        found = self._nearest(clip, key, offsets)
        if not self.older:
            return found
        instead = self._nearest(clip, key, [-half - offset for offset in offsets])
        pairs = zip(offsets, found, instead, strict=True)
        return tuple(back if o > 0 and i == key else i for o, i, back in pairs)

    def _nearest(self, clip: Clip, key: int, offsets: list[int]) -> tuple[int, ...]:
        half, last = self.num_frames // 2, len(clip.files) - 1
        ahead = half if self.lookahead is None else min(self.lookahead, half)
        offsets = [min(offset, ahead) for offset in offsets]
        if self.interval_ns is None or clip.stamps_ns is None:
            return tuple(min(max(key + offset * self.step, 0), last) for offset in offsets)
        stamps = np.asarray(clip.stamps_ns)
        wanted = stamps[key] + np.array(offsets) * self.interval_ns
        return tuple(int(i) for i in np.abs(stamps - wanted[:, None]).argmin(1))
