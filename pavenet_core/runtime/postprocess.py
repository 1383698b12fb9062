"""From the network's numbers to people in pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import Poses
from pavenet_core.postprocess_config import PAPER_POSTPROCESS, PostprocessConfig
from pavenet_core.skeleton import Skeleton

Floats = NDArray[np.float32]


def select_people(
    scores: NDArray[Any], score_threshold: float, max_people: int
) -> NDArray[np.intp]:
    """Return the indices of the people whose scores (Q,) reach it, best first; possibly none."""
    best_first = np.argsort(-scores, kind='stable')[:max_people]
    return best_first[scores[best_first] >= score_threshold]


def score_keypoints(sigmas: NDArray[Any]) -> Floats:
    """
    Turn each keypoint's spread into a score: the smaller, the surer (the authors' formula).

    sigmas  (N, K, 2)  per axis in shares of the picture, above 0
    result  (N, K)     in [0, 1]
    """
    believed = 1 - np.exp(-0.2 / np.maximum(sigmas, 1e-6))
    return np.asarray(believed.prod(axis=-1), np.float32)


def to_poses(
    stamp_ns: int,
    size: tuple[int, int],
    scores: NDArray[Any],
    keypoints: NDArray[Any],
    sigmas: NDArray[Any],
    skeleton: Skeleton,
    rules: PostprocessConfig = PAPER_POSTPROCESS,
    window: NDArray[Any] | None = None,
) -> Poses:
    """
    Give the people in pixels; a keypoint outside the picture stays where the network sees it.

    size       width and height of the source picture
    scores     (N,)  best first
    keypoints  (N, K, 2)  shares of width and height
    sigmas     (N, K, 2)
    window     (N, T, K, 2)  the rough poses in its frames, shares too
    """
    keypoints_px = (keypoints * np.array(size, np.float32)).astype(np.float32, copy=False)
    keypoint_scores = rules.keypoint_score_scale * score_keypoints(sigmas)
    if rules.clip_to_image:
        keypoints_px = keypoints_px.clip(0, np.array(size, np.float32))
    extents_px = None
    if rules.shrink_uncertain:
        extents_px, keypoints_px = keypoints_px, shrink(keypoints_px, keypoint_scores)
    if rules.times_person_score:
        keypoint_scores = keypoint_scores * scores[:, None]
    poses = Poses(
        stamp_ns,
        keypoints_px,
        keypoint_scores.astype(np.float32, copy=False),
        scores.astype(np.float32, copy=False),
        extents_px,
        None if window is None else (window * np.array(size)).astype(np.float32),
    )
    if rules.nms_oks_threshold is None:
        return poses
    return poses.take(suppress(keypoints_px, skeleton, rules.nms_oks_threshold))


def shrink(keypoints_px: Floats, keypoint_scores: Floats) -> Floats:
    """
    Pull keypoints that are hardly believed towards the origin, as the authors' code does.

    keypoints_px     (N, K, 2)
    keypoint_scores  (N, K)
    """
    power = keypoint_scores[..., None].astype(np.float32) ** 5
    return np.asarray(keypoints_px * power / (power + 1e-10), np.float32)


def suppress(keypoints_px: Floats, skeleton: Skeleton, threshold: float) -> list[int]:
    """
    Return who is left, best first, when each drops all worse people more similar than this.

    keypoints_px  (N, K, 2)  best first; a person's area is that of its keypoints' extent
    """
    variances = (2 * np.array(skeleton.sigmas)) ** 2
    areas = np.ptp(keypoints_px, axis=1).prod(-1)
    waiting = list(range(len(keypoints_px)))
    kept = []
    while waiting:
        best, *others = waiting
        kept.append(best)
        squared_px = np.square(keypoints_px[others] - keypoints_px[best]).sum(-1)
        area = (areas[others] + areas[best]) / 2 + np.spacing(1)
        similarity = np.exp(-squared_px / variances / area[:, None] / 2).mean(-1)
        # One broken pose, to which similarities are not numbers, drops nobody.
        waiting = [i for i, oks in zip(others, similarity, strict=True) if not oks > threshold]
    return kept
