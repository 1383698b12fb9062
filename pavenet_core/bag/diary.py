"""What a report of a bag needs of each image, noted while `predict` goes through them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pavenet_core.bag.frame import BagFrame
from pavenet_core.page import drawn
from pavenet_core.poses import UNKNOWN, Poses
from pavenet_core.skeleton import Skeleton

PICTURES = 6
SURE = 0.3  # keypoints with a lower score don't tell how somebody moves
TOGETHER_S = 1.0  # a longer time between two images of a person says nothing of the way


@dataclass(frozen=True)
class Entry:
    """
    One answered image.

    recorded_ns  when it was written into the bag
    stamp_ns     its capture time; see `BagFrame`
    age_ms       how old it was when it was recorded; None without a stamp
    size         width and height
    ids          of its people, 0 where not known
    speeds       of those who were in an image shortly before: sizes of the person per second
    spent_s      what reading it and finding its people took
    """

    index: int
    recorded_ns: int
    stamp_ns: int
    age_ms: float | None
    size: tuple[int, int]
    frame_id: str
    ids: tuple[int, ...]
    speeds: tuple[float, ...]
    spent_s: float


@dataclass(frozen=True)
class Moment:
    """An image to show, as the address of an `img`."""

    entry: Entry
    scores: float
    picture: str


class BagDiary:
    """
    Entries of all images, and pictures of a few: the one with the most sure people of each part.

    num_images  of the topic
    """

    def __init__(self, num_images: int, skeleton: Skeleton) -> None:
        self.entries: list[Entry] = []
        self._moments: dict[int, Moment] = {}
        self._last: dict[int, tuple[int, Poses]] = {}  # by id: the stamp, and that person alone
        self._num_images, self._skeleton = num_images, skeleton

    @property
    def moments(self) -> Sequence[Moment]:
        """Return the images to show, in their order."""
        return [self._moments[part] for part in sorted(self._moments)]

    def take(self, frame: BagFrame, poses: Poses, spent_s: float) -> None:
        """Note an image and its people."""
        header = frame.header
        ids = [UNKNOWN] * len(poses) if poses.ids is None else poses.ids.tolist()
        entry = Entry(
            header.index,
            header.recorded_ns,
            frame.stamp_ns,
            (header.recorded_ns - header.stamp_ns) / 1e6 if header.stamp_ns else None,
            (frame.image.shape[1], frame.image.shape[0]),
            header.frame_id,
            tuple(ids),
            tuple(self._speeds(frame.stamp_ns, ids, poses)),
            spent_s,
        )
        self.entries.append(entry)
        part = header.index * PICTURES // self._num_images
        scores = float(poses.scores.sum())
        best = self._moments.get(part)
        if best is None or scores > best.scores:
            picture = drawn(frame.image, poses, self._skeleton)
            self._moments[part] = Moment(entry, scores, picture)

    def _speeds(self, stamp_ns: int, ids: Sequence[int], poses: Poses) -> list[float]:
        found = []
        for person, number in enumerate(ids):
            if number == UNKNOWN:
                continue
            now = poses.take([person])
            if number in self._last:
                then_ns, then = self._last[number]
                seconds = (stamp_ns - then_ns) / 1e9
                moved = moved_sizes(then, now)
                if 0 < seconds <= TOGETHER_S and moved is not None:
                    found.append(moved / seconds)
            self._last[number] = stamp_ns, now
        return found


def moved_sizes(a: Poses, b: Poses) -> float | None:
    """
    Return how far the keypoints of one person moved, in sizes of the person (the median).

    A size is the root of the box's area; None if no keypoint is sure in both.
    """
    sure = (a.keypoint_scores[0] >= SURE) & (b.keypoint_scores[0] >= SURE)
    size = float(np.sqrt(np.prod(b.bboxes_px[0, 2:])))
    if not sure.any() or not size:
        return None
    moves: NDArray[np.float32] = np.hypot(*(b.keypoints_px - a.keypoints_px)[0, sure].T)
    return float(np.median(moves)) / size
