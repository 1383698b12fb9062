"""A whole video through the estimator, every frame with its answer."""

from collections import deque
from collections.abc import Iterable, Iterator

from pavenet_core.poses import Frame, Poses
from pavenet_core.runtime.estimator import VideoPoseEstimator


def stream_poses(
    estimator: VideoPoseEstimator, frames: Iterable[Frame]
) -> Iterator[tuple[Frame, Poses]]:
    """
    Yield the frames of one video, or one picture, in order, each with its people.

    The estimator starts anew. With a lookahead the pairs come that many frames late.
    """
    estimator.reset()
    waiting: deque[Frame] = deque()
    for frame in frames:
        waiting.append(frame)
        poses = estimator.push(frame)
        if poses is not None:
            yield _take(waiting, poses.stamp_ns), poses
    for poses in estimator.flush():
        yield _take(waiting, poses.stamp_ns), poses


def _take(waiting: deque[Frame], stamp_ns: int) -> Frame:
    """Return the frame that was answered, passing over dropped repeats before it."""
    frame = waiting.popleft()
    while frame.stamp_ns != stamp_ns:
        frame = waiting.popleft()
    return frame
