"""Answers ranked by score: precision over recall, and the area below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RankedAnswers:
    """
    All answers to one question, such as where left wrists are, over a dataset.

    scores    (n,)       how sure each answer is
    right     (n,) bool  whether it is right; no two answers are right about the same label
    labelled  how many right answers there could be
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    labelled: int

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return recall and precision, (n,) each, after every answer, the surest first."""
        # Among equal scores the later answer comes first, as in poseval.
        ranked = self.right[np.argsort(self.scores, kind='stable')[::-1]]
        right = np.cumsum(ranked)
        return right / max(self.labelled, 1), right / np.arange(1, len(ranked) + 1)

    def average_precision(self) -> float | None:
        """
        Return the area below the curve, its dents filled, in [0, 1] (VOC's all-point AP).

        It is 0 without answers, and None if something was answered but nothing is labelled.
        """
        if not len(self.scores):
            return 0.0
        if not self.labelled:
            return None
        recall, precision = self.curve()
        highest_after = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.diff(recall, prepend=0) @ highest_after)


def rank_joints(
    names: Sequence[str],
    scores: Sequence[NDArray[np.float64]],
    right: Sequence[NDArray[np.bool_]],
    labelled: NDArray[np.integer[Any]],
) -> dict[str, RankedAnswers]:
    """
    Gather the frames' answers joint by joint.

    scores    of each frame, (N, K); NaN where the answer doesn't count
    right     of each frame, (N, K)
    labelled  (K,) over all frames
    """
    all_scores = np.concatenate([np.zeros((0, len(names))), *scores])
    all_right = np.concatenate([np.zeros((0, len(names)), bool), *right])
    counted = ~np.isnan(all_scores)
    return {
        name: RankedAnswers(all_scores[counted[:, j], j], all_right[counted[:, j], j], int(count))
        for j, (name, count) in enumerate(zip(names, labelled, strict=True))
    }
