from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from pavenet_core.data.dataset import Dataset, Neighbours
from pavenet_core.model import PaveNet
from pavenet_core.train.canvas import CanvasMaker
from pavenet_core.train.feature_cache import CachedLoader, MapBatch, fill_cache

Make = Callable[..., PaveNet]


@pytest.fixture
def cache(make_tiny_model: Make, dotted: Dataset, tmp_path: Path, small_shards: None) -> Path:
    maker = CanvasMaker(dotted, Neighbours(3))
    assert len(list(fill_cache(tmp_path / 'cache', make_tiny_model(3), maker, range(3)))) == 3
    return tmp_path / 'cache'


def shown(batches: list[MapBatch]) -> list[float]:
    """Tell canvases by a number each."""
    return [float(row[0].sum()) for b in batches for row in b.maps[0].unflatten(0, (-1, 3))]


def test_cached_maps_are_the_trunk_s(make_tiny_model: Make, dotted: Dataset, cache: Path) -> None:
    model = make_tiny_model(3)
    batch = CachedLoader(cache, 17, batch=4, seed=0)._shards[0].batch([0, 1])
    canvas = CanvasMaker(dotted, Neighbours(3)).make(128, 160, np.random.default_rng((0, 3)))
    sizes = torch.tensor([[128, 160]] * 3)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        maps = model.backbone(model.normalise(torch.from_numpy(canvas.images), sizes))
    memory = batch.to(torch.device('cpu')).encode(model)
    for level, expected in zip(batch.maps, maps, strict=True):
        error = (level[:3] - expected).norm() / expected.norm()
        assert error < 0.02
    assert len(memory.tokens) == 6 and memory.tokens.isfinite().all()
    torch.testing.assert_close(
        batch.targets[0].keypoints, canvas.targets().keypoints, atol=1e-4, rtol=0
    )
    assert batch.targets[0].image_size == (128, 160)


def test_a_step_has_the_same_batch_wherever_it_began(cache: Path) -> None:
    first = shown(list(islice(CachedLoader(cache, 17, batch=4, seed=0).batches(0), 9)))
    again = shown(list(islice(CachedLoader(cache, 17, batch=4, seed=0).batches(5), 4)))
    assert first[20:] == again
    assert first != shown(list(islice(CachedLoader(cache, 17, batch=4, seed=1).batches(0), 9)))


def test_processes_share_an_epoch(cache: Path) -> None:
    whole = CachedLoader(cache, 17, batch=4, seed=0)
    assert whole.steps_per_epoch == 6
    canvases = shown(list(islice(whole.batches(0), 6)))
    assert len(set(canvases)) == 24
    parts = []
    for rank in range(2):
        loader = CachedLoader(cache, 17, batch=4, seed=0, rank=rank, processes=2)
        assert loader.steps_per_epoch == 3
        parts += shown(list(islice(loader.batches(0), 3)))
    assert sorted(parts) == sorted(canvases)
    assert sorted(shown(list(islice(whole.batches(6), 6)))) == sorted(canvases)


def test_a_stopped_run_goes_on(make_tiny_model: Make, dotted: Dataset, cache: Path) -> None:
    written = (cache / '00000' / 'map0.npy').stat().st_mtime_ns
    maker = CanvasMaker(dotted, Neighbours(3))
    assert len(list(fill_cache(cache, make_tiny_model(3), maker, range(4)))) == 4
    assert (cache / '00000' / 'map0.npy').stat().st_mtime_ns == written
    upright = CachedLoader(cache, 17, batch=1, seed=0)._shards[3].batch([0])
    assert upright.valid_sizes[0].tolist() == [160, 128]


def test_a_cache_serves_those_who_would_make_the_same(
    make_tiny_model: Make, dotted: Dataset, cache: Path
) -> None:
    model, maker = make_tiny_model(3), CanvasMaker(dotted, Neighbours(3))
    other = make_tiny_model(3)
    with torch.no_grad():
        next(other.backbone.parameters()).mul_(1.01)
    labels = replace(dotted.frames[0].labels, areas=dotted.frames[0].labels.areas + 1)
    relabelled = replace(dotted, frames=(replace(dotted.frames[0], labels=labels),))
    for who, what, sentence in (
        (other, maker, 'other weights; give another --cache, or remove'),
        (model, replace(maker, dataset=relabelled), 'other pictures or labels; give'),
        (model, replace(maker, neighbours=Neighbours(5)), 'other frames or canvases; give'),
        (other, replace(maker, dataset=relabelled), 'other weights and other pictures or labels;'),
    ):
        with pytest.raises(ValueError, match=f'the cache .*cache was made with {sentence}'):
            next(fill_cache(cache, who, what, range(1)))
    assert next(fill_cache(cache, model, maker, range(1))) == cache / '00000'
    (cache / 'made_of.json').unlink()
    with pytest.raises(ValueError, match=r'things unknown, as it lacks made_of\.json; give'):
        next(fill_cache(cache, model, maker, range(1)))


def test_a_picture_that_was_replaced_makes_another_cache(
    make_tiny_model: Make, dotted: Dataset, cache: Path, tmp_path: Path
) -> None:
    frame = dotted.frames[0]
    files = [tmp_path / path.name for path in frame.clip.files]
    for path in files:
        path.write_bytes(b'another picture')
    clip = replace(frame.clip, files=tuple(files))
    other = replace(dotted, frames=(replace(frame, clip=clip), *dotted.frames[1:]))
    with pytest.raises(ValueError, match='made with other pictures or labels;'):
        next(fill_cache(cache, make_tiny_model(3), CanvasMaker(other, Neighbours(3)), range(1)))


def test_an_empty_cache_and_too_large_a_batch_are_named(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='nothing holds no cached shards; fill it first'):
        CachedLoader(tmp_path / 'nothing', 17, batch=1, seed=0)
    with pytest.raises(ValueError, match='a batch of 9 is not to be had from shards of 8'):
        CachedLoader(cache, 17, batch=9, seed=0)
