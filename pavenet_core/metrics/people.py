"""Who was found and how exactly, person by person, at the score that people are reported from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Dataset, Labels
from pavenet_core.metrics.posetrack import assign, outside_ignored, right_joints
from pavenet_core.metrics.precision_recall import RankedAnswers, rank_joints
from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

SCORE = 0.3  # the runtime's threshold if nothing else is said
ALIKE = 0.5  # OKS from which on somebody counts as found

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FramePeople:
    """
    One frame's labelled people (G) against those found (N).

    counted   (G,) bool  somebody with a marked joint, not a crowd
    found     (G,) int   who of the N it is, -1 for nobody; of those counted
    oks       (G,)       with that one, 0 for nobody
    invented  how many were found that are nobody
    """

    counted: NDArray[np.bool_]
    found: NDArray[np.intp]
    oks: Floats
    invented: int


def match_people(labels: Labels, poses: Poses, skeleton: Skeleton) -> FramePeople:
    """Give the found people, best first, each to the free labelled person it is most alike."""
    similar = keypoint_similarity(labels, poses, skeleton)
    counted = (labels.keypoints[..., 2] > 0).any(1) & ~labels.crowds
    found = np.full(len(counted), -1)
    oks = np.zeros(len(counted))
    invented = 0
    excused = _unlabelled(labels, poses.keypoints_px).mean(1) > 0.5
    for person in np.argsort(-poses.scores, kind='stable'):
        if poses.scores[person] < SCORE:
            break
        free = np.where(counted & (found < 0), similar[person], 0)
        best = int(free.argmax()) if len(free) else 0
        if len(free) and free[best] >= ALIKE:
            found[best], oks[best] = person, free[best]
        elif not excused[person]:
            invented += 1
    return FramePeople(counted, found, oks, invented)


def match_dataset(dataset: Dataset, poses: Sequence[Poses]) -> list[FramePeople]:
    """Match the people of every frame."""
    pairs = zip(dataset.frames, poses, strict=True)
    return [match_people(frame.labels, people, dataset.skeleton) for frame, people in pairs]


def joint_answers(dataset: Dataset, poses: Sequence[Poses]) -> dict[str, RankedAnswers]:
    """
    Return what was found of each joint where labels have no head boxes.

    As for PoseTrack's AP, but a joint is within reach if its own part of the OKS is 0.5, and
    joints that the labelled person has not marked, or in places without labels, don't count.
    """
    scores, right = [], []
    labelled = np.zeros(len(dataset.skeleton), int)
    for frame, people in zip(dataset.frames, poses, strict=True):
        marked = (frame.labels.keypoints[..., 2] > 0) & ~frame.labels.crowds[:, None]
        near = (joint_similarity(frame.labels, people, dataset.skeleton) >= ALIKE) & marked
        target = assign(near, marked)
        counts = ~_unlabelled(frame.labels, people.keypoints_px)
        given = np.flatnonzero(target >= 0)
        counts[given] = marked[target[given]]
        scores.append(np.where(counts, people.keypoint_scores.astype(float), np.nan))
        right.append(right_joints(near, target))
        labelled += marked.sum(0)
    return rank_joints(dataset.skeleton.names, scores, right, labelled)


def missed_rate(matches: Sequence[FramePeople]) -> float | None:
    """Return the share of labelled people that were not found; None if nobody is labelled."""
    counted = sum(int(match.counted.sum()) for match in matches)
    found = sum(int((match.found >= 0).sum()) for match in matches)
    return 1 - found / counted if counted else None


def keypoint_similarity(labels: Labels, poses: Poses, skeleton: Skeleton) -> Floats:
    """Return the OKS of those found with those labelled, (N, G); 0 where no joint is marked."""
    return _mean_over(joint_similarity(labels, poses, skeleton), labels.keypoints[..., 2] > 0)


def joint_similarity(labels: Labels, poses: Poses, skeleton: Skeleton) -> Floats:
    """Return each joint's part of the OKS, (N, G, K) in [0, 1]."""
    offsets = poses.keypoints_px[:, None].astype(float) - labels.keypoints[..., :2]
    variances = (2 * np.array(skeleton.sigmas)) ** 2 * (labels.areas[:, None] + np.spacing(1.0))
    return np.asarray(np.exp(-np.square(offsets).sum(-1) / variances / 2), float)


def _mean_over(values: Floats, marked: NDArray[np.bool_]) -> Floats:
    return np.asarray((values * marked).sum(-1) / np.maximum(marked.sum(-1), 1), float)


def _unlabelled(labels: Labels, points: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which points, (..., 2), lie where people are not labelled one by one."""
    unlabelled = ~outside_ignored(labels, points)
    for x0, y0, x1, y1 in labels.boxes[labels.crowds | ~(labels.keypoints[..., 2] > 0).any(1)]:
        x, y = points[..., 0], points[..., 1]
        unlabelled |= (x0 <= x) & (x <= x1) & (y0 <= y) & (y <= y1)
    return unlabelled
