"""Who is who from frame to frame, by where the network saw people before, and by their looks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import UNKNOWN, Poses
from pavenet_core.runtime.appearance import Looks

# Distances are means over the keypoints, in sizes of the person (the root of its box's area).
REACH = 0.6  # nobody is taken for a person who was farther away
PACE = 2.0  # per second without an answer: so much farther somebody may be, and counts as being
SAME = 0.15  # so close to a surer one it is the same person, answered twice
# Differences of looks are those of `Looks.differences`.
LOOKS = 0.1  # how far away somebody counts as being for each unit that they look different
STRANGE = 15.0  # who looks so different is somebody else,
CAUTION = 3.0  # or so much less different for each second without an answer
NEW_LOOK = 0.2  # the share of each frame in what somebody known looks like

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Person:
    """Somebody known: where and when last answered, and what they looked like lately."""

    points: Floats
    stamp_ns: int
    looks: Looks  # of one


class Identities:
    """
    Give the people of each frame ids that follow them.

        window poses -> where each was when somebody known was last answered -> nearest pairs first

    The network sees each person in every frame of the window. Its answer, moved back the way that
    person moved, lies on the answer of that time. Ids count from 1 and are never given again;
    one of two answers for the same person remains without. Who was hidden is looked for where
    they were last seen, the wider the longer ago, and goes after those who were just there.

    Looks decide with the distance, and who looks like somebody else is somebody else. But who
    looks like nobody that was just there is whoever just there is left and nearest: light
    changes, and people turn round.

    forget_after_s  somebody missing so long after the last answer is somebody new afterwards
    """

    def __init__(self, forget_after_s: float = 3.0) -> None:
        self._forget_after_ns = round(forget_after_s * 1e9)
        self._known: dict[int, _Person] = {}
        self._last_ns = 0  # of the frame before
        self._given = 0

    def forget(self) -> None:
        """Take everybody of the following frames for somebody new."""
        self._known.clear()

    def name(self, poses: Poses, stamps_ns: Sequence[int], looks: Looks) -> Poses:
        """
        Return the people with their ids.

        poses      best first, with `window_px` from the network
        stamps_ns  (T,)  of the window's frames
        looks      of these people; of no limbs where only the place shall count
        """
        ids = np.full(len(poses), UNKNOWN, np.int64)
        people = _once_each(poses.extents)
        looks = looks.take(people)
        for place, known in self._links(poses.take(people), stamps_ns, looks):
            ids[people[place]] = known
        for person in people:
            if ids[person] == UNKNOWN:
                self._given += 1
                ids[person] = self._given
        self._remember(ids[people].tolist(), poses.extents[people], looks, poses.stamp_ns)
        self._last_ns = poses.stamp_ns
        return replace(poses, ids=ids)

    def _links(
        self, poses: Poses, stamps_ns: Sequence[int], looks: Looks
    ) -> list[tuple[int, int]]:
        """Return (index in the poses, id of the person known) of those taken for the same."""
        if not len(poses) or not self._known:
            return []
        known = list(self._known.values())
        was = poses.extents[:, None] + _moves(poses, stamps_ns, [p.stamp_ns for p in known])
        last = np.stack([person.points for person in known])
        distances = _distances(was, last, _sizes(poses.extents), _sizes(last))
        answered_ns = np.array([person.stamp_ns for person in known])
        unseen_s = ((poses.stamp_ns - answered_ns) * 1e-9).astype(np.float32)
        allowance = PACE * unseen_s
        near = distances < REACH + allowance
        penalties = _penalties(near, looks, _stack([p.looks for p in known]), unseen_s)
        pairs = nearest_pairs(distances, allowance, penalties)
        unlike = _unlike(near & (answered_ns == self._last_ns), penalties, pairs)
        pairs += nearest_pairs(distances, allowance, np.where(unlike, np.float32(0), np.inf))
        ids = list(self._known)
        return [(i, ids[j]) for i, j in pairs]

    def _remember(self, ids: list[int], points: Floats, looks: Looks, stamp_ns: int) -> None:
        kept = {
            known: person
            for known, person in self._known.items()
            if stamp_ns - person.stamp_ns <= self._forget_after_ns
        }
        if not ids:
            self._known = kept
            return
        # Of somebody new the looks before are these, too.
        before = [
            self._known[i].looks if i in self._known else looks.take([index])
            for index, i in enumerate(ids)
        ]
        lately = _stack(before).mixed_with(looks, NEW_LOOK)
        self._known = kept | {
            i: _Person(points[index], stamp_ns, lately.take([index]))
            for index, i in enumerate(ids)
        }


def _stack(looks: Sequence[Looks]) -> Looks:
    return Looks(
        np.concatenate([one.colours for one in looks]),
        np.concatenate([one.weights for one in looks]),
    )


def _penalties(near: NDArray[np.bool_], looks: Looks, known: Looks, unseen_s: Floats) -> Floats:
    """
    Return how far away people count as being for their looks, infinite for somebody else's.

    near     (N, M) who may be whom by the place
    looks    of N
    known    of M
    unseen_s (M,) since each was last answered
    """
    rows, columns = np.nonzero(near)
    differences = looks.take(rows).differences(known.take(columns))
    strange = differences >= STRANGE - CAUTION * unseen_s[columns]
    penalties = np.zeros(near.shape, np.float32)
    penalties[rows, columns] = np.where(strange, np.inf, LOOKS * differences)
    return penalties


def _unlike(
    near: NDArray[np.bool_], penalties: Floats, pairs: Sequence[tuple[int, int]]
) -> NDArray[np.bool_]:
    """
    Return the pairs left of people who look like nobody near.

    near       (N, M) who may be whom by the place, of those just seen
    penalties  (N, M) infinite for those who look different
    pairs      those found already
    """
    unlike = near & ~(near & (penalties < np.inf)).any(1, keepdims=True)
    for row, column in pairs:
        unlike[row] = False
        unlike[:, column] = False
    return np.asarray(unlike)


def _moves(poses: Poses, stamps_ns: Sequence[int], wanted_ns: Sequence[int]) -> Floats:
    """
    Return how far from the key frame each person was at each time, between frames by the share.

    result  (N, times, K, 2)
    """
    assert poses.window_px is not None
    key = len(stamps_ns) // 2
    # The frames up to the key frame's time, itself first; of one that stands in for another the
    # first is looked at.
    past = [key, *(i for i, stamp in enumerate(stamps_ns) if i != key and stamp <= stamps_ns[key])]
    elapsed_ns = np.array([stamps_ns[i] - stamps_ns[key] for i in past])
    times_ns, first = np.unique(elapsed_ns, return_index=True)
    moves = poses.window_px[:, np.array(past)[first]] - poses.window_px[:, [key]]
    # Most were last answered at the same time.
    then_ns, when = np.unique(np.array(wanted_ns) - stamps_ns[key], return_inverse=True)
    shares = [np.interp(then_ns, times_ns, frame) for frame in np.eye(len(times_ns))]
    at_times = np.einsum('nfkc,ft->ntkc', moves, np.array(shares, np.float32))
    return np.asarray(at_times[:, when])


def _distances(a: Floats, b: Floats, sizes_a: Floats, sizes_b: Floats) -> Floats:
    """
    Return the mean distance of the keypoints in sizes of the person.

    a       (N, 1, K, 2) or (N, M, K, 2)
    b       (M, K, 2)
    sizes   (N,), (M,)
    result  (N, M)
    """
    x, y = a[..., 0] - b[..., 0], a[..., 1] - b[..., 1]
    return np.asarray(np.sqrt(x * x + y * y).mean(-1) / (sizes_a[:, None] + sizes_b) * 2)


def _sizes(points: Floats) -> Floats:
    """Return (N,) the root of the area of each person's box, above 0."""
    return np.asarray(np.sqrt(np.ptp(points, axis=1).prod(-1) + np.spacing(np.float32(1))))


def _once_each(points: Floats) -> list[int]:
    """Return the indices without those who lie on somebody earlier."""
    sizes = _sizes(points)
    is_same = _distances(points[:, None], points, sizes, sizes) < SAME
    kept: list[int] = []
    for person in range(len(points)):
        if not is_same[person, kept].any():
            kept.append(person)
    return kept


def nearest_pairs(
    distances: Floats, allowance: Floats | float = 0, penalties: Floats | float = 0
) -> list[tuple[int, int]]:
    """
    Return (row, column) of the pairs within reach, nearest first, each in one pair at most.

    distances  (N, M) in sizes of the person
    allowance  (M,) widens the reach, and is added to the distance in the order
    penalties  (N, M) are added to the distance in the order; infinite ones forbid a pair
    """
    orders = distances + allowance + penalties
    rows, columns = np.nonzero((distances < REACH + allowance) & (orders < np.inf))
    order = np.argsort(orders[rows, columns], kind='stable')
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return list(pairs.items())
