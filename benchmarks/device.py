"""
A device beside the CPU: the same answers, and what it gains that features stay there.

python benchmarks/device.py --device cuda
"""

import argparse
from typing import Any

import numpy as np
from timing import interleaved, print_setting, print_times

from pavenet_core.benchmark import drifting_picture
from pavenet_core.poses import Frame, Poses
from pavenet_core.runtime import PoseModel, VideoPoseEstimator
from pavenet_core.runtime.blocks import SpatialEncoder
from pavenet_core.runtime.preprocess import FittedImage

STEP_NS = 40_000_000


class Stream:
    """An endless video through one estimator, everybody answered."""

    def __init__(self, model: PoseModel) -> None:
        self.estimator = VideoPoseEstimator(model, score_threshold=0.0, identities=False)
        self.picture, self.index = drifting_picture((640, 480)), 0

    def __call__(self) -> Poses:
        """Answer the next frame."""
        frame = Frame(self.picture(self.index), self.index * STEP_NS)
        self.index += 1
        poses = self.estimator.push(frame)
        assert poses is not None
        return poses


class ByWayOfTheHost:
    """An encoder whose answers are copied to the host, and so to the device for each window."""

    def __init__(self, encoder: SpatialEncoder) -> None:
        self.encoder, self.graph = encoder, encoder.graph

    def __call__(self, image: FittedImage) -> dict[str, Any]:
        """Encode one picture."""
        return {name: value.numpy() for name, value in self.encoder(image).items()}


def main() -> None:
    """Compare, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default='compact')
    parser.add_argument('--device', default='cuda')
    parser.add_argument('--threads', type=int, default=0, help='of the CPU; 0 is automatic (0)')
    parser.add_argument('--rounds', type=int, default=100)
    args = parser.parse_args()
    print_setting()
    try:
        cpu, device, detour = (
            PoseModel(args.model, device=name, num_threads=args.threads)
            for name in ('cpu', args.device, args.device)
        )
    except ValueError as error:
        parser.exit(1, f'{error}\n')
    print(f'{args.device}: {", ".join(device.providers)}')
    print_differences(Stream(cpu), Stream(device))
    detour.spatial_encoder = ByWayOfTheHost(detour.spatial_encoder)  # type: ignore[assignment]
    streams = {
        'stays on the device': Stream(device),
        'by way of the host': Stream(detour),
        'CPU': Stream(cpu),
    }
    print_times(interleaved(streams, args.rounds), 'stays on the device')


def print_differences(cpu: Stream, device: Stream, frames: int = 20) -> None:
    """Print how far apart the answers are; people of nearly the same score may change places."""
    scores, pixels = [], []
    for _ in range(frames):
        ours, theirs = cpu(), device()
        scores.append(np.abs(ours.scores - theirs.scores).max())
        apart = np.abs(ours.keypoints_px[:, None] - theirs.keypoints_px).max((-1, -2))
        pixels.append(apart.min(1).max())
    print(f'largest difference of scores {max(scores):.2g}, of keypoints {max(pixels):.2g} pixels')


if __name__ == '__main__':
    main()
