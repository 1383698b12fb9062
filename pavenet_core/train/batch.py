"""What one training step takes: a way to the memory of B windows, and their targets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from torch import Tensor

from pavenet_core.train.sample import Sample
from pavenet_core.train.targets import Targets

if TYPE_CHECKING:  # reading processes make batches and have no use for the network's libraries
    from pavenet_core.model import PaveNet
    from pavenet_core.model.pyramid import PyramidMemory
    from pavenet_core.model.spatial_encoder import Memory


class Batch(Protocol):
    """B windows; `encode` gives the memory of their B*T frames, window by window."""

    @property
    def targets(self) -> list[Targets]:
        """Return the people of the B key frames."""

    def to(self, device: torch.device) -> 'Batch':
        """Return it with what is large on a device."""

    def encode(self, model: 'PaveNet') -> 'Memory | PyramidMemory':
        """Run the part of the network that sees each frame alone."""


@dataclass(frozen=True)
class ImageBatch:
    """
    Windows as pictures, padded right and below to one size.

    images       (B, T, H, W, 3) uint8, blue-green-red
    valid_sizes  (B, 2) int64, height and width of the pictures without padding
    """

    images: Tensor
    valid_sizes: Tensor
    targets: list[Targets]

    @classmethod
    def collate(cls, samples: Sequence[Sample], alignment: int) -> 'ImageBatch':
        """Pad samples to their common size, a multiple of `alignment`."""
        return PackedSamples.pack(samples, alignment).batch()

    def to(self, device: torch.device) -> 'ImageBatch':
        """
        Return it with its pictures on a device; from pinned memory without waiting.

        Sizes and targets stay on the host, which asks for them at each step.
        """
        return replace(self, images=self.images.to(device, non_blocking=True))

    def encode(self, model: 'PaveNet') -> 'Memory | PyramidMemory':
        """Run the trunk, neck and encoder on all frames."""
        sizes = self.valid_sizes.repeat_interleave(self.images.shape[1], 0)
        return model.encode(model.normalise(self.images.flatten(0, 1), sizes), sizes)


@dataclass(frozen=True)
class PackedSamples:
    """
    A batch on its way from one process to another: one large tensor and small arrays.

    images   (B, T, H, W, 3) uint8
    samples  the B samples without their pictures; only the sizes of those are left
    """

    images: Tensor
    samples: tuple[Sample, ...]

    @classmethod
    def pack(cls, samples: Sequence[Sample], alignment: int) -> 'PackedSamples':
        """Pad samples to their common size, a multiple of `alignment`."""
        sizes = np.array([sample.images.shape[1:3] for sample in samples])
        height, width = (int(-(-side // alignment) * alignment) for side in sizes.max(0))
        frames = len(samples[0].images)
        images = torch.zeros(len(samples), frames, height, width, 3, dtype=torch.uint8)
        for row, sample in zip(images, samples, strict=True):
            _, h, w, _ = sample.images.shape
            row[:, :h, :w] = torch.from_numpy(sample.images)
        return cls(images, tuple(sample._replace(images=sample.images[:0]) for sample in samples))

    def pin_memory(self) -> 'PackedSamples':
        """Return it where a device can fetch it without waiting; torch's loader calls this."""
        return replace(self, images=self.images.pin_memory())

    def batch(self) -> ImageBatch:
        """Return what the training step takes."""
        sizes = torch.tensor([sample.images.shape[1:3] for sample in self.samples])
        return ImageBatch(self.images, sizes, [sample.targets() for sample in self.samples])
