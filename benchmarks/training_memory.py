"""
Print what training needs of a GPU's memory, by arithmetic: nothing is computed, no GPU is needed.

    python benchmarks/training_memory.py [--model r50] [--frames 3] [--size 800x1333] [--batch 2]

The network runs forward and backward on fake tensors, which have sizes but no numbers; every
storage is counted from its making to its end. Beside weights, gradients and optimiser that is the
peak which torch's allocator has to serve. Not in it: fragmentation, workspaces of cuDNN and
cuBLAS, and CUDA's own 0.5 GB or so. Deformable attention is counted in torch's operators.
"""

import argparse
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pavenet_core.model import PaveNet
from pavenet_core.presets import PRESETS
from pavenet_core.train.optimiser import freeze, to_training

PEOPLE = 20  # matched in each window


class StorageMeter(TorchDispatchMode):
    """Count the bytes of all storages that are alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: Any) -> None:
        if storage not in self._alive:
            self._alive.add(storage)
            size = storage.nbytes()
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size


@contextmanager
def meter() -> Iterator[StorageMeter]:
    """Count what is made inside."""
    with StorageMeter() as counted:
        yield counted


def measure(
    model: PaveNet, size: tuple[int, int], batch: int, precision: str, recompute: bool
) -> tuple[float, float]:
    """Return the bytes alive before the backward pass, and the peak, in GB, gradients included."""
    model.recompute_activations(recompute)
    frames, alignment = model.config.num_frames, model.config.input_alignment
    height, width = (-(-side // alignment) * alignment for side in size)
    images = torch.zeros(batch * frames, 3, height, width)
    sizes = torch.tensor([size] * (batch * frames))
    model.zero_grad()
    half = precision == 'bfloat16'
    with meter() as counted:
        with torch.autocast('cpu', torch.bfloat16 if half else None, enabled=half):
            found = model.find_poses(model.encode_maps(model.backbone(images), sizes))
            joints = model.find_joints(found, torch.zeros(batch, PEOPLE, dtype=torch.long))
        outputs = [x for layer in (*found.layers, *joints) for x in layer]
        outputs += list(found.proposals or ())
        loss = torch.stack([x.float().sum() for x in outputs]).sum()
        del outputs, found, joints
        kept = counted.now
        loss.backward()
    return kept / 1e9, counted.peak / 1e9


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', default='r50')
    parser.add_argument('--frames', type=int)
    parser.add_argument('--size', default='800x1333', help='height x width in pixels')
    parser.add_argument('--batch', type=int, default=2, help='windows at a time')
    parser.add_argument('--average', action='store_true', help='count a moving average')
    args = parser.parse_args()
    height, width = (int(side) for side in args.size.split('x'))
    config = PRESETS[args.model]
    config = replace(config, num_frames=args.frames or config.num_frames)
    with FakeTensorMode():
        model = PaveNet(config)
        freeze(model, 'authors')
        to_training(model, 'authors')
        everything = 4 * sum(p.numel() for p in model.parameters()) / 1e9
        learned = 4 * sum(p.numel() for p in model.parameters() if p.requires_grad) / 1e9
        fixed = everything * (2 if args.average else 1) + 2 * learned
        print(
            f'{config.name}, {config.num_frames} frames, {height}x{width}, {args.batch} windows\n'
            f'weights {everything:.2f} GB, gradients {learned:.2f} GB, optimiser '
            f'{2 * learned:.2f} GB{", average as the weights" if args.average else ""}'
        )
        print('precision  recompute  kept GB  peak with gradients GB  whole GB')
        for precision in ('float32', 'bfloat16'):
            for recompute in (False, True):
                kept, peak = measure(model, (height, width), args.batch, precision, recompute)
                print(
                    f'{precision:<9}  {"yes" if recompute else "no":<9}  {kept:7.1f}  '
                    f'{peak:22.1f}  {fixed + peak:8.1f}'
                )


if __name__ == '__main__':
    main()
