"""How fast the loader draws windows at the paper's size, against the rate of training."""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from timing import print_setting, print_table

from pavenet_core.config import ModelConfig
from pavenet_core.data.dataset import Clip, Dataset, LabelledFrame, Labels, Neighbours
from pavenet_core.skeleton import POSETRACK15
from pavenet_core.train.augmentation import AUGMENTATIONS
from pavenet_core.train.loader import Loader

PEOPLE = 5
CLIP = 12  # frames


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--workers', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--augmentation', choices=AUGMENTATIONS, default='paper')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--seconds', type=float, default=15, help='of each measurement')
    parser.add_argument('--rate', type=float, help='windows a second that training takes')
    parser.add_argument('--step', action='store_true', help='measure that rate here, on the CPU')
    args = parser.parse_args()
    print_setting()
    measured = step_rate(args.batch) if args.step else None
    rate = measured or args.rate
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_clips(Path(folder))
        rows = []
        for workers in args.workers:
            loader = Loader(
                dataset,
                AUGMENTATIONS[args.augmentation],
                Neighbours(3),
                batch=args.batch,
                alignment=32,
                seed=0,
                workers=workers,
            )
            rows.append(Row(workers, *draw(loader, args.batch, args.seconds)))
    show(rows, rate)


@dataclass(frozen=True)
class Row:
    """What was measured with so many workers."""

    workers: int
    windows_a_second: float
    first_seconds: float
    own_mib: float
    workers_mib: float


def show(rows: list[Row], rate: float | None) -> None:
    """Print the table; ratios first."""
    base = rows[0].windows_a_second
    head = [
        f'x {rows[0].workers} workers',
        'windows/s',
        'first batch s',
        'MiB here',
        'MiB workers',
    ]
    table = [
        [
            f'{row.windows_a_second / base:.2f}',
            f'{row.windows_a_second:.1f}',
            f'{row.first_seconds:.1f}',
            f'{row.own_mib:.0f}',
            f'{row.workers_mib:.0f}',
        ]
        for row in rows
    ]
    if rate:
        head.insert(0, f'x training at {rate:.3g}/s')
        for cells, row in zip(table, rows, strict=True):
            cells.insert(0, f'{row.windows_a_second / rate:.2f}')
    print_table(
        ['workers', *head],
        [[str(row.workers), *cells] for row, cells in zip(rows, table, strict=True)],
    )


def write_clips(folder: Path, clips: int = 8) -> Dataset:
    """Write 1280x720 JPEGs that compress as photographs do, with people anywhere."""
    rng = np.random.default_rng(0)
    frames = []
    for number in range(clips):
        coarse = rng.integers(0, 256, (45, 80, 3), dtype=np.uint8)
        scene = cv2.resize(coarse, (1280 + CLIP, 720), interpolation=cv2.INTER_CUBIC)
        scene = np.clip(scene + rng.normal(0, 6, scene.shape), 0, 255).astype(np.uint8)
        files = tuple(folder / f'{number}_{index:03d}.jpg' for index in range(CLIP))
        for index, path in enumerate(files):
            quality = [cv2.IMWRITE_JPEG_QUALITY, 90]
            cv2.imwrite(str(path), scene[:, index : index + 1280], quality)
        clip = Clip(str(number), files)
        frames += [
            LabelledFrame(clip, index, CLIP * number + index, people(rng)) for index in range(CLIP)
        ]
    sizes = [path.stat().st_size for frame in frames for path in frame.clip.files[:1]]
    print(f'{len(frames)} windows of 3 pictures 1280x720, {np.mean(sizes) / 1024:.0f} KiB each')
    return Dataset('synthetic', POSETRACK15, tuple(frames))


def people(rng: np.random.Generator) -> Labels:
    """Label some people."""
    corners = rng.uniform(0, (1080, 420), (PEOPLE, 1, 2))
    points = corners + rng.uniform(0, (200, 300), (PEOPLE, len(POSETRACK15), 2))
    return Labels(
        keypoints=np.concatenate([points, np.ones_like(points[..., :1])], -1).astype(np.float32),
        areas=np.full(PEOPLE, 40000, np.float32),
        boxes=np.concatenate([points.min(1), points.max(1)], -1).astype(np.float32),
        head_boxes=np.full((PEOPLE, 4), np.nan, np.float32),
        track_ids=np.arange(PEOPLE),
        crowds=np.zeros(PEOPLE, bool),
    )


def draw(loader: Loader, batch: int, seconds: float) -> tuple[float, float, float, float]:
    """Return windows a second, seconds to the first batch, and MiB of this process and workers."""
    before = time.perf_counter()
    batches: Iterator[object] = loader.batches(0)
    next(batches)
    began = time.perf_counter()
    count = 0
    while time.perf_counter() - began < seconds:
        next(batches)
        count += batch
    rate = count / (time.perf_counter() - began)
    own, workers = memory_mib()
    batches.close()  # type: ignore[attr-defined]
    return rate, began - before, own, workers


def memory_mib() -> tuple[float, float]:
    """Return the memory of this process and of all below it, shared pages split among them."""
    parents = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:  # ended meanwhile
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    below = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return _pss(os.getpid()), sum(_pss(pid) for pid in below - {os.getpid()})


def _pss(pid: int) -> float:
    text = Path(f'/proc/{pid}/smaps_rollup').read_text()
    return int(text.split('Pss:')[1].split()[0]) / 1024


def step_rate(batch: int, steps: int = 2) -> float:
    """Return how many windows a second this machine trains, at a typical size of the paper's."""
    from pavenet_core.model import PaveNet
    from pavenet_core.train.batch import ImageBatch
    from pavenet_core.train.criterion import Criterion
    from pavenet_core.train.sample import Sample
    from pavenet_core.train.step import window_losses

    torch.manual_seed(0)
    model = PaveNet(ModelConfig()).train()
    model.recompute_activations(True)  # else two windows need 40 GB
    criterion = Criterion(model.config.skeleton)
    rng = np.random.default_rng(0)
    persons = rng.uniform(0, 600, (PEOPLE, len(POSETRACK15), 3)).astype(np.float32)
    persons[..., 2] = 1
    sample = Sample(
        rng.integers(0, 256, (3, 640, 1138, 3), dtype=np.uint8),
        persons,
        np.full(PEOPLE, 40000, np.float32),
        np.zeros((0, 4), np.float32),
    )
    data = ImageBatch.collate([sample] * batch, 32)
    times = []
    for _ in range(steps + 1):
        began = time.perf_counter()
        losses = window_losses(model, criterion, data.encode(model), data.targets)
        torch.stack(list(losses.values())).sum().backward()
        times.append(time.perf_counter() - began)
    return batch / min(times[1:])


if __name__ == '__main__':
    main()
