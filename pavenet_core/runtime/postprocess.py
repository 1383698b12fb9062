"""From the network's numbers to people in pixels."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import Poses

# Spread, in shares of the picture, at which a keypoint is believed by 1 - exp(-0.2) per axis.
SIGMA_UNIT = 1.0


def select_people(
    scores: NDArray[Any], score_threshold: float, max_people: int
) -> NDArray[np.intp]:
    """Return the indices of the people who reach the threshold, best first; possibly none."""
    best_first = np.argsort(-scores, kind='stable')[:max_people]
    return best_first[scores[best_first] >= score_threshold]


def score_keypoints(sigmas: NDArray[Any]) -> NDArray[np.float32]:
    """
    Turn each keypoint's spread into a score: the smaller, the surer.

    sigmas  (N, K, 2)  per axis, above 0
    result  (N, K)     in [0, 1]
    """
    believed = 1 - np.exp(-0.2 * SIGMA_UNIT / np.maximum(sigmas, 1e-6))
    return np.asarray(believed.prod(axis=-1), np.float32)


def to_poses(
    stamp_ns: int,
    size: tuple[int, int],
    scores: NDArray[Any],
    keypoints: NDArray[Any],
    sigmas: NDArray[Any],
) -> Poses:
    """
    Give the people in pixels; a keypoint outside the picture stays where the network sees it.

    size       width and height of the source picture
    scores     (N,)
    keypoints  (N, K, 2)  shares of width and height
    sigmas     (N, K, 2)
    """
    return Poses(
        stamp_ns=stamp_ns,
        keypoints_px=(keypoints * np.array(size, np.float32)).astype(np.float32, copy=False),
        keypoint_scores=score_keypoints(sigmas),
        scores=scores.astype(np.float32, copy=False),
    )
