"""Pictures of a report as text to put into HTML: curves, and frames with their people."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import LabelledFrame
from pavenet_core.metrics.people import SCORE
from pavenet_core.metrics.precision_recall import RankedAnswers
from pavenet_core.page import drawn, plotting, svg
from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

CURVE_POINTS = 101  # a curve has thousands of answers, a screen fewer pixels


def precision_recall_svg(answers: Mapping[str, RankedAnswers], skeleton: Skeleton) -> str:
    """Draw each joint's precision over recall; left and right share a colour, right is dashed."""
    from matplotlib.figure import Figure

    with plotting():
        figure = Figure(figsize=(9, 4.2), layout='constrained')
        axes = figure.add_subplot(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1))
        colors: dict[int, str] = {}
        for name, ranked in answers.items():
            joint = skeleton.names.index(name)
            limb = min(joint, skeleton.mirror[joint])
            color = colors.setdefault(limb, f'C{len(colors)}')
            style = '--' if skeleton.sides[joint] == 'right' else '-'
            recall, precision = sampled_curve(ranked)
            axes.plot(recall, precision, style, color=color, lw=1.3, label=name.replace('_', ' '))
        axes.grid(alpha=0.3)
        figure.legend(loc='outside right upper', frameon=False)
        return svg(figure)


def sampled_curve(answers: RankedAnswers) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the curve, its dents filled, at even steps of recall as far as it reaches."""
    recall, precision = answers.curve()
    if not len(recall) or not answers.labelled:
        return np.zeros(0), np.zeros(0)
    highest_after = np.maximum.accumulate(precision[::-1])[::-1]
    steps = np.linspace(0, recall[-1], CURVE_POINTS)
    return steps, highest_after[np.searchsorted(recall, steps).clip(max=len(recall) - 1)]


def frame_jpegs(frame: LabelledFrame, poses: Poses, skeleton: Skeleton) -> tuple[str, str]:
    """Draw the labels and the answer on a frame; return both as data addresses."""
    image = frame.clip.read(frame.index)
    return (
        drawn(image, _as_poses(frame), skeleton, keypoint_threshold=0.5, tags=False),
        drawn(image, poses.above(SCORE), skeleton),
    )


def _as_poses(frame: LabelledFrame) -> Poses:
    points = frame.labels.keypoints
    return Poses(0, points[..., :2], points[..., 2], np.ones(len(points), np.float32))
