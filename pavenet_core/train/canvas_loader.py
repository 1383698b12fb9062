"""Batches of composed canvases, drawn anew for each step in worker processes."""

from dataclasses import dataclass

import numpy as np
from torch.utils.data import Dataset as TorchDataset

from pavenet_core.train.batch import PackedSamples
from pavenet_core.train.canvas import CanvasMaker
from pavenet_core.train.loader import Loader
from pavenet_core.train.order import Share

# Height and width in pixels of the canvases of a step; it draws one of them.
SIZES = ((384, 512), (384, 512), (512, 384), (288, 512))


class CanvasLoader(Loader):
    """
    Endless batches of canvases; that of a step depends on (seed, step, rank, processes) alone.

    An epoch has as many canvases as the dataset has frames. The other arguments are `Loader`'s.
    """

    def __init__(
        self,
        maker: CanvasMaker,
        *,
        batch: int,
        alignment: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        workers: int = 0,
    ) -> None:
        self._share = Share(seed, len(maker.dataset.frames), batch, rank, processes)
        self._steps: TorchDataset[PackedSamples | ValueError] = CanvasSteps(
            maker, self._share, alignment
        )
        self._workers = workers


@dataclass(frozen=True)
class CanvasSteps(TorchDataset[PackedSamples | ValueError]):
    """From a step's number to its canvases; what a worker process has."""

    maker: CanvasMaker
    share: Share
    alignment: int

    def __getitem__(self, step: int) -> PackedSamples | ValueError:
        """Return the canvases of a step, all of one size, or what is wrong."""
        size = SIZES[np.random.default_rng((self.share.seed, step)).integers(len(SIZES))]
        try:
            samples = [
                self.maker.make(*size, np.random.default_rng(seed))
                for _, seed in self.share.of(step)
            ]
        except ValueError as error:
            return error
        return PackedSamples.pack(samples, self.alignment)
