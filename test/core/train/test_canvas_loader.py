from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from pavenet_core.data.dataset import Clip, Dataset, Neighbours
from pavenet_core.model import PaveNet
from pavenet_core.train.batch import ImageBatch
from pavenet_core.train.canvas import CanvasMaker
from pavenet_core.train.canvas_loader import SIZES, CanvasLoader
from pavenet_core.train.distributed import Processes
from pavenet_core.train.recipe import COMPACT
from pavenet_core.train.sources import make_source

MakeLoader = Callable[..., CanvasLoader]


@pytest.fixture
def make_loader(dotted: Dataset) -> MakeLoader:
    def make(**changes: int) -> CanvasLoader:
        settings = {'batch': 2, 'alignment': 64, 'seed': 0, **changes}
        return CanvasLoader(CanvasMaker(dotted, Neighbours(3)), **settings)

    return make


def equal(first: ImageBatch, second: ImageBatch) -> bool:
    return (
        torch.equal(first.images, second.images)
        and torch.equal(first.valid_sizes, second.valid_sizes)
        and all(
            torch.equal(getattr(a, name), getattr(b, name))
            for a, b in zip(first.targets, second.targets, strict=True)
            for name in ('keypoints', 'visible', 'areas', 'ignore_boxes')
        )
    )


def test_a_step_has_the_same_canvases_whatever_the_workers_and_where_it_began(
    make_loader: MakeLoader,
) -> None:
    at_once = list(islice(make_loader().batches(0), 5))
    for workers, first in ((1, 0), (0, 3)):
        others = islice(make_loader(workers=workers).batches(first), 5 - first)
        assert all(equal(a, b) for a, b in zip(at_once[first:], others, strict=True))
    assert not equal(at_once[0], at_once[3]), 'a second epoch is drawn anew'
    assert not equal(at_once[0], next(make_loader(seed=1).batches(0)))


def test_canvases_of_a_step_have_one_size_and_all_sizes_come(make_loader: MakeLoader) -> None:
    seen = set()
    for batch in islice(make_loader().batches(0), 16):
        ((height, width),) = {tuple(size) for size in batch.valid_sizes.tolist()}
        padded = (-(-height // 64) * 64, -(-width // 64) * 64)
        assert batch.images.shape == (2, 3, *padded, 3)
        assert not batch.images[:, :, height:].any() and not batch.images[:, :, :, width:].any()
        assert {target.image_size for target in batch.targets} == {(height, width)}
        seen.add((height, width))
    assert seen == set(SIZES)


def test_processes_draw_different_canvases_of_one_size(make_loader: MakeLoader) -> None:
    for step in range(4):
        ours, theirs = (
            next(make_loader(rank=rank, processes=2).batches(step)) for rank in range(2)
        )
        assert torch.equal(ours.valid_sizes, theirs.valid_sizes)
        assert not torch.equal(ours.images, theirs.images)


def test_an_epoch_has_as_many_canvases_as_the_dataset_has_frames(
    make_loader: MakeLoader, dotted: Dataset
) -> None:
    assert len(dotted.frames) == 6
    assert make_loader().steps_per_epoch == 3
    assert make_loader(batch=1, processes=2).steps_per_epoch == 3


def test_a_picture_that_cannot_be_read_is_named(dotted: Dataset, tmp_path: Path) -> None:
    gone = replace(dotted.frames[0], clip=Clip('gone', (tmp_path / 'gone.png',)), index=0)
    maker = CanvasMaker(replace(dotted, frames=(gone,)), Neighbours(1), blank_share=0)
    with pytest.raises(ValueError, match=r'gone\.png'):
        next(CanvasLoader(maker, batch=1, alignment=64, seed=0).batches(0))


def test_the_compact_recipe_s_source_are_canvases(
    dotted: Dataset, make_tiny_model: Callable[..., PaveNet], tmp_path: Path
) -> None:
    alone, model = Processes(0, 1, torch.device('cpu')), make_tiny_model(3)
    source = make_source(dotted, model, COMPACT, alone, tmp_path)
    assert isinstance(source, CanvasLoader)
    batch = next(source.batches(0))
    assert batch.images.shape[:2] == (COMPACT.batch, 3)
