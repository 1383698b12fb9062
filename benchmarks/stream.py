"""What three frames cost against one, and what the cached features save."""

import argparse
import statistics
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from timing import interleaved, print_setting, print_table, print_times

from models import variant
from pavenet_core.benchmark import drifting_picture
from pavenet_core.poses import Frame
from pavenet_core.runtime import PoseModel, VideoPoseEstimator
from pavenet_core.runtime.session import OnnxGraph


class Stream:
    """An endless video through one estimator; `clear` makes it encode every frame anew."""

    def __init__(self, model: PoseModel, people: int, clear: bool = False) -> None:
        self.estimator = VideoPoseEstimator(model, score_threshold=0.0, max_people=people)
        self.picture, self.clear, self.index = drifting_picture((640, 480)), clear, 0

    def __call__(self) -> None:
        """Push one frame; without the cache, the frames before it once more."""
        frames = self.estimator.metadata.num_frames if self.clear else 1
        if self.clear:
            self.estimator.reset()
        for back in reversed(range(frames)):
            index = self.index - back
            if back:  # only encoded
                self.estimator._encode(self.picture(index))
            else:
                self.estimator.push(Frame(self.picture(index), index * 40_000_000))
        self.index += 1


def time_in_graphs(model: PoseModel) -> list[float]:
    """Let every graph of a model add its time to the list returned."""
    spent: list[float] = []
    blocks = (model.spatial_encoder, model.pose_decoder, model.joint_decoder)
    for block in (block for block in blocks if block is not None):
        block.graph = Timed(block.graph, spent)  # type: ignore[assignment]
    return spent


class Timed:
    """A graph that notes how long it ran."""

    def __init__(self, graph: OnnxGraph, spent: list[float]) -> None:
        self.graph, self.spent = graph, spent

    def __call__(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Run it."""
        began = time.perf_counter()
        results = self.graph(tensors)
        self.spent.append(1e3 * (time.perf_counter() - began))
        return results


def overhead(model: PoseModel, people: int, rounds: int) -> list[float]:
    """Return the milliseconds of `push` that are not onnxruntime's."""
    spent, stream, outside = time_in_graphs(model), Stream(model, people), []
    for _ in range(rounds):
        spent.clear()
        picture = stream.picture(stream.index)
        began = time.perf_counter()
        stream.estimator.push(Frame(picture, stream.index * 40_000_000))
        outside.append(1e3 * (time.perf_counter() - began) - sum(spent))
        stream.index += 1
    return outside


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--people', type=int, default=5)
    parser.add_argument('--rounds', type=int, default=40)
    args = parser.parse_args()
    print_setting()
    image, video = (
        PoseModel(variant(num_frames=frames), num_threads=args.threads) for frames in (1, 3)
    )
    times = interleaved(
        {
            'T=1': Stream(image, args.people),
            'T=3': Stream(video, args.people),
            'T=3, nothing cached': Stream(video, args.people, clear=True),
        },
        args.rounds,
    )
    print_times(times, 'T=1')
    outside = overhead(video, args.people, args.rounds)
    print_table(
        ('outside onnxruntime', 'median ms', 'p95 ms'),
        [('push', f'{statistics.median(outside):.2f}', f'{np.percentile(outside, 95):.2f}')],
    )


if __name__ == '__main__':
    main()
