import numpy as np
import pytest

from pavenet_core.evaluation.figures import frame_jpegs, precision_recall_svg, sampled_curve
from pavenet_core.metrics.precision_recall import RankedAnswers
from pavenet_core.poses import Poses
from pavenet_core.skeleton import COCO17, Skeleton


def test_a_curve_ends_where_the_recall_does_and_has_no_dents() -> None:
    answers = RankedAnswers(np.array([0.9, 0.8, 0.7]), np.array([True, False, True]), 4)
    recall, precision = sampled_curve(answers)
    assert (recall[0], recall[-1]) == (0, 0.5)
    assert precision[0] == 1
    assert precision[-1] == pytest.approx(2 / 3)
    assert (np.diff(precision) <= 0).all()
    nothing = RankedAnswers(np.zeros(0), np.zeros(0, bool), 3)
    assert len(sampled_curve(nothing)[0]) == 0


def test_the_curves_are_one_small_svg_with_a_line_a_joint() -> None:
    pytest.importorskip('matplotlib')
    rng = np.random.default_rng(0)
    answers = RankedAnswers(rng.random(5000), rng.random(5000) < 0.5, 6000)
    svg = precision_recall_svg({name: answers for name in COCO17.names}, COCO17)
    assert svg.count('<svg') == 1 and svg.startswith('<div class="wide"><svg')
    assert len(svg) < 200_000
    assert all(name.replace('_', ' ') in svg for name in COCO17.names)


def test_twins_share_a_colour_and_the_right_one_is_dashed(monkeypatch: pytest.MonkeyPatch) -> None:
    axes = pytest.importorskip('matplotlib.axes').Axes
    plot, drawn = axes.plot, []

    def noted(*given, **how):
        drawn.append((given[3], how['color'], how['label']))
        return plot(*given, **how)

    monkeypatch.setattr(axes, 'plot', noted)
    skeleton = Skeleton.of_names('own', ('nose', 'wrist_r', 'wrist_l'))
    answers = RankedAnswers(np.array([0.9]), np.array([True]), 1)
    precision_recall_svg(dict.fromkeys(skeleton.names, answers), skeleton)
    assert drawn == [('-', 'C0', 'nose'), ('--', 'C1', 'wrist r'), ('-', 'C1', 'wrist l')]


def test_labels_and_answer_are_drawn_side_by_side(write_clip) -> None:
    frame = write_clip([100], [0]).frames[0]
    nobody = Poses(0, np.zeros((0, 17, 2), np.float32), np.zeros((0, 17)), np.zeros(0))
    labelled, found = frame_jpegs(frame, nobody, COCO17)
    assert labelled.startswith('data:image/jpeg;base64,')
    assert labelled != found
