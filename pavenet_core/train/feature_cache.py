"""Keep what a frozen trunk says of many random canvases, so that training skips the trunk."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.spatial_encoder import Memory
from pavenet_core.train.canvas import CanvasMaker
from pavenet_core.train.sample import Sample
from pavenet_core.train.targets import Targets

SHARD = 256  # canvases a folder
CANVAS = (384, 512)  # height, width in pixels; every fourth shard has them exchanged


def fill_cache(folder: Path, model: PaveNet, maker: CanvasMaker, shards: range) -> Iterator[Path]:
    """
    Write the shards that are not there yet and yield each one's path.

    A shard's canvases depend on its number only, so a stopped run goes on where it was.
    """
    for index in shards:
        path = folder / f'{index:05d}'
        if not path.is_dir():
            size = CANVAS[::-1] if index % 4 == 3 else CANVAS
            rng = np.random.default_rng((index, maker.num_frames))
            _write_shard(path, model.eval(), maker, size, rng)
        yield path


@torch.inference_mode()
def _write_shard(
    path: Path,
    model: PaveNet,
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
        images = torch.from_numpy(canvas.images)
        sizes = torch.tensor([size] * len(images))
        with torch.autocast('cpu', torch.bfloat16):
            x = model.normalise(images, sizes).to(memory_format=torch.channels_last)
            maps.append([m.to(torch.float16).numpy() for m in model.backbone(x)])
        labels.append({k: np.round(getattr(canvas, k), 2).tolist() for k in Sample._fields[1:]})
    for level in range(len(maps[0])):
        np.save(unfinished / f'map{level}.npy', np.stack([m[level] for m in maps]))
    (unfinished / 'labels.json').write_text(json.dumps({'size': size, 'labels': labels}))
    unfinished.rename(path)


class CachedShard:
    """One folder of the cache: `maps[level]` (SHARD, T, C_i, h_i, w_i) and the labels."""

    def __init__(self, path: Path, num_keypoints: int) -> None:
        files = sorted(path.glob('map*.npy'))
        self.maps = [np.load(file, mmap_mode='r') for file in files]
        data = json.loads((path / 'labels.json').read_text())
        self.size = (int(data['size'][0]), int(data['size'][1]))
        self.targets = [self._targets(label, num_keypoints) for label in data['labels']]

    def batch(self, indices: np.ndarray) -> tuple[list[Tensor], list[Targets]]:
        """Return the maps [(B*T, C_i, h_i, w_i)] and targets of some canvases."""
        maps = [torch.from_numpy(m[indices]).flatten(0, 1).float() for m in self.maps]
        return maps, [self.targets[i] for i in indices]

    def _targets(self, label: dict[str, Any], num_keypoints: int) -> Targets:
        persons = np.array(label['persons'], np.float32).reshape(-1, num_keypoints, 3)
        sample = Sample(
            np.zeros((0, *self.size, 3), np.uint8),
            persons,
            np.array(label['areas'], np.float32),
            np.array(label['ignore_boxes'], np.float32).reshape(-1, 4),
        )
        return sample.targets()


def cached_batches(
    folder: Path, config: ModelConfig, batch: int, seed: int
) -> Iterator[tuple[Callable[[PaveNet], Memory], list[Targets]]]:
    """
    Draw batches from the cache for ever, each epoch in a new order.

    Shards written meanwhile join at the next epoch.
    """
    rng = np.random.default_rng(seed)
    shards: dict[Path, CachedShard] = {}
    while True:
        for path in sorted(folder.glob('[0-9]' * 5)):
            if path not in shards:
                shards[path] = CachedShard(path, len(config.skeleton))
        if not shards:
            raise ValueError(f'{folder} holds no cached shards')
        chunks = [
            (shard, order)
            for shard in shards.values()
            for order in rng.permutation(SHARD).reshape(-1, batch)
        ]
        for index in rng.permutation(len(chunks)):
            shard, order = chunks[index]
            maps, targets = shard.batch(order)
            sizes = torch.tensor([shard.size] * len(maps[0]))
            yield (
                partial(PaveNet.encode_maps, maps=maps, valid_sizes=sizes),
                targets,
            )
