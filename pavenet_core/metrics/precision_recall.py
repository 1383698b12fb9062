"""Answers ranked by score: precision over recall, and the area below."""

from dataclasses import dataclass

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
