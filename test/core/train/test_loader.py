import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pavenet_core.data.dataset import Clip, Dataset, LabelledFrame, Labels, Neighbours
from pavenet_core.skeleton import COCO17
from pavenet_core.train import loader as loader_module
from pavenet_core.train.augmentation import FINETUNE, TEST, Augmentation
from pavenet_core.train.batch import ImageBatch
from pavenet_core.train.loader import Loader

# As FINETUNE, but small.
SMALL = replace(
    FINETUNE,
    short_side=(64, 96),
    long_side=128,
    crop_short_sides=(100,),
    crop_side=(60, 90),
    blur_px=(2, 5),
)
# As it is.
PLAIN = replace(TEST, short_side=(40, 40))
MakeLoader = Callable[..., Loader]


@pytest.fixture
def make_loader(dotted: Dataset) -> MakeLoader:
    def make(
        dataset: Dataset = dotted,
        augmentation: Augmentation = SMALL,
        batch: int = 2,
        **changes: int,
    ) -> Loader:
        settings = {'alignment': 32, 'seed': 0, **changes}
        return Loader(dataset, augmentation, Neighbours(3), batch=batch, **settings)

    return make


def numbered(folder: Path, count: int) -> Dataset:
    """Write stills of which every one can be told by its brightness."""
    labels = Labels(
        np.full((1, 17, 3), 20, np.float32),
        np.array([100], np.float32),
        np.array([[10, 10, 30, 30]], np.float32),
        np.full((1, 4), np.nan, np.float32),
        np.array([-1]),
        np.array([False]),
    )
    frames = []
    for index in range(count):
        path = folder / f'{index}.png'
        cv2.imwrite(str(path), np.full((40, 40, 3), 10 * index, np.uint8))
        frames.append(LabelledFrame(Clip(str(index), (path,)), 0, index, labels))
    return Dataset('numbered', COCO17, tuple(frames))


def seen(batches: list[ImageBatch]) -> list[int]:
    """Tell which numbered stills are in batches."""
    return [int(images[0, 5, 5, 0]) // 10 for batch in batches for images in batch.images]


def equal(first: ImageBatch, second: ImageBatch) -> bool:
    labels = ('keypoints', 'visible', 'areas', 'ignore_boxes')
    return (
        torch.equal(first.images, second.images)
        and torch.equal(first.valid_sizes, second.valid_sizes)
        and all(
            torch.equal(getattr(a, name), getattr(b, name))
            for a, b in zip(first.targets, second.targets, strict=True)
            for name in labels
        )
    )


def test_a_step_has_the_same_batch_whatever_the_workers_and_where_it_began(
    make_loader: MakeLoader,
) -> None:
    at_once = list(islice(make_loader().batches(0), 8))
    for workers, first in ((2, 0), (1, 5)):
        others = islice(make_loader(workers=workers).batches(first), 8 - first)
        assert all(equal(a, b) for a, b in zip(at_once[first:], others, strict=True))
    assert not equal(at_once[0], at_once[3]), 'a second epoch is drawn anew'
    other_seed = next(make_loader(seed=1).batches(0))
    assert not equal(at_once[0], other_seed)


def test_another_process_draws_the_same(make_loader: MakeLoader, dotted: Dataset) -> None:
    folder = dotted.frames[0].clip.files[0].parent
    code = f"""
import pickle, sys
from hashlib import sha256
from pavenet_core.data.dataset import Neighbours
from pavenet_core.train.loader import Loader
dataset, augmentation = pickle.loads(open({str(folder / 'loader.pickle')!r}, 'rb').read())
loader = Loader(dataset, augmentation, Neighbours(3), batch=2, alignment=32, seed=0)
print(sha256(next(loader.batches(4)).images.numpy().tobytes()).hexdigest())
"""
    (folder / 'loader.pickle').write_bytes(pickle.dumps((dotted, SMALL)))
    environment = {**os.environ, 'PYTHONHASHSEED': '7'}
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True, env=environment
    )
    images = next(make_loader().batches(4)).images
    assert done.stdout.strip() == sha256(images.numpy().tobytes()).hexdigest()


def test_drawing_leaves_torch_s_own_random_numbers_alone(make_loader: MakeLoader) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    next(make_loader().batches(0))
    assert torch.equal(torch.rand(3), expected)


def test_processes_share_an_epoch(make_loader: MakeLoader, tmp_path: Path) -> None:
    dataset = numbered(tmp_path, 12)
    parts = []
    for rank in range(2):
        loader = make_loader(dataset, PLAIN, rank=rank, processes=2)
        assert loader.steps_per_epoch == 3
        parts.append(seen(list(islice(loader.batches(0), 6))))
    for epoch in (slice(0, 6), slice(6, 12)):
        assert sorted(parts[0][epoch] + parts[1][epoch]) == list(range(12))
    assert parts[0][:6] != parts[0][6:], 'each epoch has an order of its own'


def test_the_last_step_is_filled_with_the_first_frames(
    make_loader: MakeLoader, tmp_path: Path
) -> None:
    dataset = numbered(tmp_path, 5)
    loader = make_loader(dataset, PLAIN, batch=3)
    assert loader.steps_per_epoch == 2
    order = seen(list(islice(loader.batches(0), 2)))
    assert sorted(order[:5]) == list(range(5)) and order[5] == order[0]
    few = make_loader(dataset, PLAIN, batch=12)
    assert len(next(few.batches(0)).images) == 12


def test_windows_of_one_batch_are_padded_to_the_alignment(make_loader: MakeLoader) -> None:
    batch = next(make_loader(batch=4).batches(0))
    assert batch.images.shape[:2] == (4, 3)
    assert all(side % 32 == 0 for side in batch.images.shape[2:4])
    assert len(set(map(tuple, batch.valid_sizes.tolist()))) > 1
    for images, (height, width), target in zip(
        batch.images, batch.valid_sizes.tolist(), batch.targets, strict=True
    ):
        assert target.image_size == (height, width)
        assert not images[:, height:].any() and not images[:, :, width:].any()
        assert images[:, :height, :width].float().mean() > 10


def test_frames_without_people_are_not_drawn(make_loader: MakeLoader, tmp_path: Path) -> None:
    dataset = numbered(tmp_path, 6)
    nobody = replace(dataset.frames[2].labels, keypoints=np.zeros((1, 17, 3), np.float32))
    crowd = replace(dataset.frames[4].labels, crowds=np.array([True]))
    frames = list(dataset.frames)
    frames[2], frames[4] = replace(frames[2], labels=nobody), replace(frames[4], labels=crowd)
    loader = make_loader(replace(dataset, frames=tuple(frames)), PLAIN)
    assert sorted(seen(list(islice(loader.batches(0), loader.steps_per_epoch)))) == [0, 1, 3, 5]
    with pytest.raises(ValueError, match='numbered has no frame with a known joint'):
        make_loader(replace(dataset, frames=(frames[2], frames[4])))


def test_a_rejected_window_is_replaced(
    make_loader: MakeLoader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = numbered(tmp_path, 4)
    outside = replace(dataset.frames[0].labels, keypoints=np.full((1, 17, 3), 90, np.float32))
    frames = (replace(dataset.frames[0], labels=outside), *dataset.frames[1:])
    loader = make_loader(replace(dataset, frames=frames), PLAIN)
    drawn = seen(list(islice(loader.batches(0), 8)))
    assert len(drawn) == 16 and 0 not in drawn
    monkeypatch.setattr(loader_module, 'MOST_DRAWS', 20)
    with pytest.raises(ValueError, match='left nobody in 20 windows of numbered; do its labels'):
        next(make_loader(replace(dataset, frames=frames[:1]), PLAIN).batches(0))


@pytest.mark.parametrize('workers', [0, 1])
def test_a_broken_picture_is_named_in_one_sentence(
    make_loader: MakeLoader, tmp_path: Path, workers: int
) -> None:
    dataset = numbered(tmp_path, 2)
    (tmp_path / '1.png').write_bytes(b'not a picture')
    with pytest.raises(ValueError, match=r'^cannot read the picture .*1\.png; is it .*\?$'):
        next(make_loader(dataset, workers=workers).batches(0))


def test_a_clip_of_two_sizes_is_named(make_loader: MakeLoader, dotted: Dataset) -> None:
    first = dotted.frames[0]
    files = (first.clip.files[0].with_name('small.png'), *first.clip.files[1:])
    cv2.imwrite(str(files[0]), np.zeros((50, 60, 3), np.uint8))
    mixed = replace(first, clip=Clip('mixed', files))
    with pytest.raises(ValueError, match=r'small\.png is 60x50, but .*0_1\.png is 320x240'):
        next(make_loader(replace(dotted, frames=(mixed,))).batches(0))


def test_impossible_shares_are_named(make_loader: MakeLoader) -> None:
    with pytest.raises(ValueError, match='no batches of 2 for process 2 of 2'):
        make_loader(rank=2, processes=2)
    with pytest.raises(ValueError, match='no batches of 0 for process 0 of 1'):
        make_loader(batch=0)


def test_labels_of_another_picture_size_are_refused(
    dotted: Dataset, make_loader: MakeLoader
) -> None:
    turned = tuple(replace(frame, size=(240, 320)) for frame in dotted.frames)
    with pytest.raises(ValueError, match='is 320x240, but its labels say 240x320'):
        next(make_loader(replace(dotted, frames=turned)).batches(0))
