"""Pictures of a report as text to put into HTML: curves, and frames with their people."""

import base64
import io
from collections.abc import Mapping

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import LabelledFrame
from pavenet_core.drawing import draw_poses
from pavenet_core.metrics.people import SCORE
from pavenet_core.metrics.precision_recall import RankedAnswers
from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

Image = NDArray[np.uint8]

LONG_SIDE = 520  # pixels of a drawn frame
JPEG_QUALITY = 75
CURVE_POINTS = 101  # a curve has thousands of answers, a screen fewer pixels


def precision_recall_svg(answers: Mapping[str, RankedAnswers]) -> str:
    """Draw each joint's precision over recall; left and right share a colour, right is dashed."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Text stays text, and names don't change from run to run.
    with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'pavenet', 'font.size': 9}):
        figure = Figure(figsize=(9, 4.2), layout='constrained')
        axes = figure.add_subplot(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1))
        colors: dict[str, str] = {}
        for name, ranked in answers.items():
            limb = name.removeprefix('left_').removeprefix('right_')
            color = colors.setdefault(limb, f'C{len(colors)}')
            style = '--' if name.startswith('right_') else '-'
            recall, precision = sampled_curve(ranked)
            axes.plot(recall, precision, style, color=color, lw=1.3, label=name.replace('_', ' '))
        axes.grid(alpha=0.3)
        figure.legend(loc='outside right upper', frameon=False)
        text = io.StringIO()
        figure.savefig(text, format='svg', metadata={'Date': None})
    return text.getvalue()[text.getvalue().index('<svg') :]


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
    scale = min(1.0, LONG_SIDE / max(image.shape[:2]))
    small = np.asarray(
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )
    labelled = _scaled(_as_poses(frame), scale)
    found = _scaled(poses.above(SCORE), scale)
    return (
        _jpeg(draw_poses(small, labelled, skeleton, keypoint_threshold=0.5, tags=False)),
        _jpeg(draw_poses(small, found, skeleton)),
    )


def _as_poses(frame: LabelledFrame) -> Poses:
    points = frame.labels.keypoints
    return Poses(0, points[..., :2], points[..., 2], np.ones(len(points), np.float32))


def _scaled(poses: Poses, scale: float) -> Poses:
    points = (poses.keypoints_px * scale).astype(np.float32)
    return Poses(0, points, poses.keypoint_scores, poses.scores)


def _jpeg(image: Image) -> str:
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode()
