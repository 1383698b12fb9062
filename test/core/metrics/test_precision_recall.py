import numpy as np
import pytest

from pavenet_core.metrics.precision_recall import RankedAnswers


def ranked(scores: list[float], right: list[bool], labelled: int) -> RankedAnswers:
    return RankedAnswers(np.array(scores, float), np.array(right, bool), labelled)


def test_the_area_is_below_the_curve_without_its_dents() -> None:
    answers = ranked([0.9, 0.8, 0.7, 0.6], [True, False, True, True], 4)
    recall, precision = answers.curve()
    assert recall.tolist() == [0.25, 0.25, 0.5, 0.75]
    assert precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4])
    assert answers.average_precision() == pytest.approx(0.25 + 0.25 * 0.75 + 0.25 * 0.75)


def test_the_order_is_the_scores_and_of_equal_ones_the_last_comes_first() -> None:
    assert ranked([0.1, 0.9], [False, True], 1).average_precision() == 1
    assert ranked([0.5, 0.5], [False, True], 1).average_precision() == 1


def test_without_answers_it_is_zero_and_without_labels_unknown() -> None:
    assert ranked([], [], 0).average_precision() == 0
    assert ranked([0.5], [False], 0).average_precision() is None
    assert ranked([0.5], [False], 1).average_precision() == 0
