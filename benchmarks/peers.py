"""
Ours against other pose models through the same onnxruntime: speed, and accuracy.

    python benchmarks/peer_fetch.py DIR    # once, with a network
    python benchmarks/peers.py DIR [--annotations FILE --images DIR]
    python benchmarks/peers.py DIR --slope

The first table is for one number of people, the second for how the time grows with them.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from peer_models import MoveNetMultiPose, Ours, PosesIn, TopDown, Yolo11Pose
from peer_scenes import Scene, scene_of
from timing import interleaved, percentile, print_setting, print_table
from tqdm import tqdm

from pavenet_core.data.read import read_dataset
from pavenet_core.metrics import oks_ap
from pavenet_core.poses import Poses

PEOPLE = (1, 3, 5, 10, 20)
Spent = list[float]


@dataclass
class Model:
    """
    A model that can be run.

    size   its input for a picture of 480x640
    spent  milliseconds of every run of its graphs, newest last
    """

    size: str
    find_poses: PosesIn
    spent: Spent


@dataclass
class OnScene:
    """A model on one picture, to be timed."""

    model: Model
    scene: Scene
    in_graphs: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        """Run it, and note how much of that is onnxruntime's."""
        self.model.spent.clear()
        self.model.find_poses(self.scene.image, self.scene.boxes)
        self.in_graphs.append(sum(self.model.spent))


def models(folder: Path, threads: int) -> dict[str, Model]:
    """Open ours and every peer that is there; say in a line which is not."""
    opened = {}
    for name, size in (('compact', '384x512'), ('nano', '288x384')):
        ours = Ours(name, threads)
        opened[name] = Model(size, ours, ours.spent)
    for name, size, make in peers(folder, threads):
        spent: Spent = []
        try:
            opened[name] = Model(size, make(spent), spent)
        except ValueError as error:
            print(f'{name}: left out, {error}; fetch it with benchmarks/peer_fetch.py')
    return opened


def peers(folder: Path, threads: int) -> Iterator[tuple[str, str, Callable[[Spent], PosesIn]]]:
    """Yield every peer's name, input size and maker."""
    for side, size in ((256, '192x256'), (512, '384x512'), (640, '480x640')):
        yield (
            f'MoveNet MultiPose {side}',
            size,
            lambda spent, side=side: MoveNetMultiPose(folder, side, threads, spent),
        )
    for side, size in ((512, '384x512'), (640, '480x640')):
        yield (
            f'YOLO11n-pose {side}',
            size,
            lambda spent, side=side: Yolo11Pose(folder, side, threads, spent),
        )
    for crop, size in (('lightning', '192x192'), ('thunder', '256x256')):
        yield (
            f'NanoDet + MoveNet {crop.title()}',
            f'416x416 + N of {size}',
            lambda spent, crop=crop: TopDown(folder, f'movenet-{crop}', threads, spent),
        )


def print_speed(
    opened: Mapping[str, Model], scene: Scene, rounds: int, accuracy: Mapping[str, Sequence[str]]
) -> None:
    """Time all models on one picture; ratios to ours first, accuracy last."""
    runs = {name: OnScene(model, scene) for name, model in opened.items()}
    times = interleaved(runs, rounds)
    ours = statistics.median(times['compact'])
    rows = []
    for name, of in times.items():
        inside = runs[name].in_graphs[-rounds:]
        outside = [whole - part for whole, part in zip(of, inside, strict=True)]
        median = statistics.median(of)
        rows.append(
            (
                *(name, opened[name].size, f'{median / ours:.2f}'),
                *(f'{median:.1f}', f'{percentile(of, 0.95):.1f}'),
                *(f'{statistics.median(inside):.1f}', f'{statistics.median(outside):.1f}'),
                *accuracy.get(name, ()),
            )
        )
    head = ('', 'input', 'x compact', 'median ms', 'p95 ms', 'in graphs', 'around them')
    print_table((*head, *(('AP', 'AP50', 'AR') if accuracy else ())), rows)


def print_slope(opened: Mapping[str, Model], clip: Path, rounds: int) -> None:
    """Time all models on pictures of 1 to 20 people."""
    scenes = {people: scene_of(people, clip) for people in PEOPLE}
    times = interleaved(
        {
            f'{name}/{people}': OnScene(model, scene)
            for name, model in opened.items()
            for people, scene in scenes.items()
        },
        rounds,
    )
    rows = []
    for name in opened:
        medians = [statistics.median(times[f'{name}/{people}']) for people in PEOPLE]
        slope = np.polyfit(PEOPLE, medians, 1)[0]
        ratio = f'{medians[-1] / medians[0]:.2f}'
        rows.append((name, ratio, f'{slope:.2f}', *(f'{median:.1f}' for median in medians)))
    print_table(('', '20 : 1', 'ms a person', *(f'N = {n}' for n in PEOPLE)), rows)


def measure_accuracy(
    opened: Mapping[str, Model], annotations: Path, images: Path
) -> dict[str, list[str]]:
    """Return every model's AP, AP50 and AR on labelled stills."""
    dataset = read_dataset(annotations, images)
    poses: dict[str, list[Poses]] = {name: [] for name in opened}
    for frame in tqdm(dataset.frames, unit='image', disable=None):
        image = frame.clip.read(frame.index)
        for name, model in opened.items():
            poses[name].append(model.find_poses(image))
    return {name: in_words(oks_ap(dataset, found)) for name, found in poses.items()}


def in_words(values: Mapping[str, float | None]) -> list[str]:
    """Return the figures of a row."""
    return ['-' if (v := values[name]) is None else f'{v:.3f}' for name in ('AP', 'AP50', 'AR')]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, metavar='DIR', help='where the peers are')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=40)
    parser.add_argument('--people', type=int, default=5, help='in the picture (5)')
    parser.add_argument('--slope', action='store_true', help='pictures of 1 to 20 people')
    parser.add_argument('--annotations', type=Path, help='COCO keypoint file: accuracy too')
    parser.add_argument('--images', type=Path, help='its pictures')
    args = parser.parse_args()
    if (args.annotations is None) != (args.images is None) or (args.slope and args.images):
        parser.error('--annotations and --images go together, and without --slope')
    print_setting()
    try:
        measure(args)
    except (ValueError, OSError) as error:
        sys.exit(f'peers: {error}')


def measure(args: argparse.Namespace) -> None:
    """Print the table that was asked for."""
    clip = args.folder / 'clip.mp4'
    scene = scene_of(args.people, clip)  # first: a missing clip ends it
    opened = models(args.folder, args.threads)
    if args.slope:
        return print_slope(opened, clip, args.rounds)
    accuracy = {}
    if args.annotations:
        accuracy = measure_accuracy(opened, args.annotations, args.images)
    print_speed(opened, scene, args.rounds, accuracy)


if __name__ == '__main__':
    main()
