"""Keep what a frozen trunk says of many random canvases, so that training skips the trunk."""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from pavenet_core.train.cache_origin import claim
from pavenet_core.train.canvas import CanvasMaker
from pavenet_core.train.distributed import Processes, wait_for_all
from pavenet_core.train.order import Share, permutation
from pavenet_core.train.sample import Sample
from pavenet_core.train.targets import Targets

if TYPE_CHECKING:
    from pavenet_core.model import PaveNet
    from pavenet_core.model.pyramid import PyramidMemory
    from pavenet_core.model.spatial_encoder import Memory

log = logging.getLogger(__name__)

SHARD = 256  # canvases a folder
CANVAS = (384, 512)  # height, width in pixels; every fourth shard has them exchanged


def fill_cache(
    folder: Path, model: 'PaveNet', maker: CanvasMaker, shards: Sequence[int]
) -> Iterator[Path]:
    """
    Write the shards that are not there yet and yield each one's path.

    A shard's canvases depend on its number only, so a stopped run goes on where it was.
    `ValueError` if those that are there were made with other weights or data.
    """
    claim(folder, model, maker)
    for index in shards:
        path = folder / f'{index:05d}'
        if not path.is_dir():
            size = CANVAS[::-1] if index % 4 == 3 else CANVAS
            rng = np.random.default_rng((index, maker.neighbours.num_frames))
            _write_shard(path, model.eval(), maker, size, rng)
        yield path


@torch.inference_mode()
def _write_shard(
    path: Path,
    model: 'PaveNet',
    maker: CanvasMaker,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> None:
    """Run the trunk on new canvases; write under another name first, so a shard is whole."""
    unfinished = path.with_suffix('.partial')
    unfinished.mkdir(parents=True, exist_ok=True)
    maps: list[list[np.ndarray]] = []
    labels = []
    for _ in range(SHARD):
        canvas = maker.make(*size, rng)
        images = torch.from_numpy(canvas.images).to(model.pixel_mean.device)
        sizes = torch.tensor([size] * len(images))
        with torch.autocast(images.device.type, torch.bfloat16):
            x = model.normalise(images, sizes).to(memory_format=torch.channels_last)
            maps.append([m.to(torch.float16).cpu().numpy() for m in model.backbone(x)])
        labels.append({k: np.round(getattr(canvas, k), 2).tolist() for k in Sample._fields[1:]})
    for level in range(len(maps[0])):
        np.save(unfinished / f'map{level}.npy', np.stack([m[level] for m in maps]))
    (unfinished / 'labels.json').write_text(json.dumps({'size': size, 'labels': labels}))
    unfinished.rename(path)


@dataclass(frozen=True)
class MapBatch:
    """
    Windows as the backbone's maps.

    maps         [(B*T, C_i, h_i, w_i)] float, of one canvas size
    valid_sizes  (B*T, 2) int64, height and width of the canvases
    """

    maps: list[Tensor]
    valid_sizes: Tensor
    targets: list[Targets]

    def to(self, device: torch.device) -> 'MapBatch':
        """Return it with its maps on a device; sizes and targets stay on the host."""
        return replace(self, maps=[level.to(device) for level in self.maps])

    def encode(self, model: 'PaveNet') -> 'Memory | PyramidMemory':
        """Run the neck and encoder on all frames."""
        return model.encode_maps(self.maps, self.valid_sizes)


class CachedShard:
    """One folder of the cache: `maps[level]` (SHARD, T, C_i, h_i, w_i) and the labels."""

    def __init__(self, path: Path, num_keypoints: int) -> None:
        files = sorted(path.glob('map*.npy'))
        self.maps = [np.load(file, mmap_mode='r') for file in files]
        data = json.loads((path / 'labels.json').read_text())
        self.size = (int(data['size'][0]), int(data['size'][1]))
        self.targets = [self._targets(label, num_keypoints) for label in data['labels']]

    def batch(self, indices: Sequence[int]) -> MapBatch:
        """Return some canvases."""
        maps = [torch.from_numpy(m[list(indices)]).flatten(0, 1).float() for m in self.maps]
        sizes = torch.tensor([self.size] * len(maps[0]))
        return MapBatch(maps, sizes, [self.targets[i] for i in indices])

    def _targets(self, label: dict[str, Any], num_keypoints: int) -> Targets:
        persons = np.array(label['persons'], np.float32).reshape(-1, num_keypoints, 3)
        sample = Sample(
            np.zeros((0, *self.size, 3), np.uint8),
            persons,
            np.array(label['areas'], np.float32),
            np.array(label['ignore_boxes'], np.float32).reshape(-1, 4),
        )
        return sample.targets()


class CachedLoader:
    """
    Endless batches of the cache; that of a step depends on (seed, step, rank, processes) alone.

    A batch is of one shard, so of one canvas size; each epoch composes them anew.

    shards  how many of the folder's to read, the first ones; None reads all
    """

    def __init__(
        self,
        folder: Path,
        num_keypoints: int,
        *,
        batch: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        shards: int | None = None,
    ) -> None:
        paths = sorted(folder.glob('[0-9]' * 5))[:shards]
        if not paths:
            raise ValueError(f'{folder} holds no cached shards; fill it first')
        self._shards = [CachedShard(path, num_keypoints) for path in paths]
        self._batch, self._seed = batch, seed
        check_batch(batch, self._shard_size)
        num_batches = len(paths) * (self._shard_size // batch)
        self._share = Share(seed, num_batches, 1, rank, processes)

    @property
    def _shard_size(self) -> int:
        return min(len(shard.targets) for shard in self._shards)

    @property
    def steps_per_epoch(self) -> int:
        """Return how many steps show every canvas once, but for a rest that fills no batch."""
        return self._share.steps_per_epoch

    def batches(self, first_step: int) -> Iterator[MapBatch]:
        """Yield the batches of `first_step` and after, for ever."""
        step = first_step
        while True:
            yield self._of(step)
            step += 1

    def _of(self, step: int) -> MapBatch:
        epoch = step // self.steps_per_epoch
        ((number, _),) = self._share.of(step)
        part, index = divmod(number, len(self._shards))
        # Each shard has an order of its own in each epoch.
        order = permutation((self._seed, epoch, index + 1), self._shard_size)
        return self._shards[index].batch(order[part * self._batch :][: self._batch].tolist())


class CachedSource:
    """
    Batches of a cache that is filled when the first is asked for.

    Only by then a run that goes on has its weights, and a dry run never asks.

    shards  how many the cache is to have; the processes share the work
    """

    def __init__(
        self,
        folder: Path,
        model: 'PaveNet',
        maker: CanvasMaker,
        processes: Processes,
        *,
        shards: int,
        batch: int,
        seed: int,
    ) -> None:
        check_batch(batch, SHARD)
        self._folder, self._model, self._maker = folder, model, maker
        self._processes, self._shards = processes, shards
        self._batch, self._seed = batch, seed

    @property
    def steps_per_epoch(self) -> int:
        """Return how many steps show every canvas once, but for a rest that fills no batch."""
        return -(-self._shards * (SHARD // self._batch) // self._processes.count)

    def batches(self, first_step: int) -> Iterator[MapBatch]:
        """Write the shards that lack, then yield the batches of `first_step` and after."""
        rank, count = self._processes.rank, self._processes.count
        mine = range(rank, self._shards, count)
        for path in fill_cache(self._folder, self._model, self._maker, mine):
            log.info('cached %s', path)
        wait_for_all()
        yield from CachedLoader(
            self._folder,
            len(self._maker.dataset.skeleton),
            batch=self._batch,
            seed=self._seed,
            rank=rank,
            processes=count,
            shards=self._shards,
        ).batches(first_step)


def check_batch(batch: int, shard: int) -> None:
    """Refuse a batch that a shard of so many canvases cannot fill."""
    if not 1 <= batch <= shard:
        raise ValueError(
            f'a batch of {batch} is not to be had from shards of {shard}; take one of 1 to that'
        )
