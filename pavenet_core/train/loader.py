"""Batches for training: drawn, read and augmented in worker processes."""

import multiprocessing
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from pavenet_core.data.dataset import Dataset, LabelledFrame, Neighbours
from pavenet_core.train.augmentation import Augmentation
from pavenet_core.train.batch import ImageBatch, PackedSamples
from pavenet_core.train.interrupt import SIGNALS
from pavenet_core.train.order import Seed, Share
from pavenet_core.train.sample import Sample
from pavenet_core.train.window import read_window

MOST_DRAWS = 1000  # of frames that leave nobody, before it is the data's fault


class Loader:
    """
    Endless batches of a dataset; that of a step depends on (seed, step, rank, processes) alone.

    An epoch is a permutation of the frames with anybody on them, of which every process takes its
    part; at its end, frames of its beginning fill the last step. A frame that augmentation leaves
    without anybody is replaced by another drawn at random.

    batch      windows a step of this process; all `processes` together take batch * processes
    alignment  the pictures of a batch are padded to multiples of this
    workers    processes that read ahead, two batches each; 0 reads when asked
    """

    def __init__(
        self,
        dataset: Dataset,
        augmentation: Augmentation,
        neighbours: Neighbours,
        *,
        batch: int,
        alignment: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        workers: int = 0,
    ) -> None:
        frames = tuple(frame for frame in dataset.frames if has_people(frame))
        if not frames:
            raise ValueError(
                f'{dataset.name} has no frame with a known joint; are these its training labels?'
            )
        self._share = Share(seed, len(frames), batch, rank, processes)
        self._steps: TorchDataset[PackedSamples | ValueError] = Steps(
            replace(dataset, frames=frames), augmentation, neighbours, self._share, alignment
        )
        self._workers = workers

    @property
    def steps_per_epoch(self) -> int:
        """Return how many steps show every frame once."""
        return self._share.steps_per_epoch

    def batches(self, first_step: int) -> Iterator[ImageBatch]:
        """
        Yield the batches of `first_step` and after, for ever.

        `ValueError` names a picture that can't be read.
        """
        loader = DataLoader(
            self._steps,
            batch_size=None,
            sampler=count(first_step),
            collate_fn=as_is,
            num_workers=self._workers,
            pin_memory=torch.cuda.is_available(),
            multiprocessing_context=worker_context() if self._workers else None,
            worker_init_fn=as_worker,
            generator=torch.Generator(),  # else it draws from the one that dropout draws from
        )
        for item in loader:
            if isinstance(item, ValueError):
                raise item
            yield item.batch()


@dataclass(frozen=True)
class Steps(TorchDataset[PackedSamples | ValueError]):
    """From a step's number to its windows; what a worker process has."""

    dataset: Dataset
    augmentation: Augmentation
    neighbours: Neighbours
    share: Share
    alignment: int

    def __getitem__(self, step: int) -> PackedSamples | ValueError:
        """Return the windows of a step, or what is wrong: torch would bury it in a traceback."""
        try:
            samples = [self.sample(item, seed) for item, seed in self.share.of(step)]
        except ValueError as error:
            return error
        return PackedSamples.pack(samples, self.alignment)

    def sample(self, item: int, seed: Seed) -> Sample:
        """
        Read and augment a frame's window; another's where that leaves nobody.

        Raise `ValueError` if many in a row leave nobody, or a picture can't be read.
        """
        rng = np.random.default_rng(seed)
        for _ in range(MOST_DRAWS):
            frame = self.dataset.frames[item]
            window = read_window(frame, self.augmentation.neighbours(self.neighbours, rng))
            sample = self.augmentation(window, frame.labels, self.dataset.skeleton, rng)
            if sample is not None:
                return sample
            item = int(rng.integers(len(self.dataset.frames)))
        raise ValueError(
            f'augmentation left nobody in {MOST_DRAWS} windows of {self.dataset.name}; '
            'do its labels fit the pictures?'
        )


def has_people(frame: LabelledFrame) -> bool:
    """Tell whether any joint of a single person is known."""
    labels = frame.labels
    return bool((labels.keypoints[~labels.crowds, :, 2] > 0).any())


def worker_context() -> ForkServerContext:
    """
    Return the way to start workers: forks of a process that has imported this file and no more.

    A fork of the training process, which has threads, may hang; a fresh one takes longer. Ctrl-C
    and termination, which a terminal, `timeout` or systemd send to all processes of a group, are
    left to the one that trains: it needs batches to end its update.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload([__name__])
    resource_tracker.ensure_running()  # it unblocks them, so it must not start in between
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # inherited by all its forks
    forkserver.ensure_running()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def as_is(item: Any) -> Any:
    """Return what a worker made, instead of torch's conversion."""
    return item


def as_worker(_: int) -> None:
    """Leave other cores to the other workers."""
    cv2.setNumThreads(0)
