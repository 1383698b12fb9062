"""A whole video through the estimator, every frame with its answer."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby

from pavenet_core.poses import Frame, Poses
from pavenet_core.runtime.estimator import VideoPoseEstimator


def stream_poses(
    estimator: VideoPoseEstimator, frames: Iterable[Frame]
) -> Iterator[tuple[Frame, Poses]]:
    """
    Yield the frames of one video, or one picture, in order, each with its people.

    The estimator starts anew. With a lookahead the pairs come that many frames late. Of frames
    with one stamp the first alone is taken, as `VideoPoseEstimator.push` does.
    """
    estimator.reset()
    waiting: deque[Frame] = deque()
    for _, repeats in groupby(frames, lambda frame: frame.stamp_ns):
        waiting.append(next(repeats))
        poses = estimator.push(waiting[-1])
        if poses is not None:
            yield waiting.popleft(), poses
    for poses in estimator.flush():
        yield waiting.popleft(), poses
