"""Several rosbags: each a task of its own, with a folder of its own for its outputs."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pavenet_core import __version__
from pavenet_core.cli.output_folder import OutputFolder, digest_files, state_of
from pavenet_core.cli.predict_frames import Summary, open_inputs, predict
from pavenet_core.cli.workers import RayWorkers, run_here

INTO = Path('poses')
OUTPUTS = ('out', 'video', 'images', 'bag', 'report')
# What doesn't change the outputs; the model and the bags are noted by what they hold.
NO_SETTINGS = (
    *('inputs', 'model', 'into', 'workers', 'ray_address'),
    *('threads', 'tensorrt_cache'),
)


@dataclass(frozen=True)
class BagTask:
    """One bag, with all that a worker elsewhere needs to know."""

    bag: Path
    num_frames: int
    folder: OutputFolder
    args: argparse.Namespace
    command: str


@dataclass(frozen=True)
class Outcome:
    """What became of a task: a summary, or else an error in one sentence."""

    task: BagTask
    summary: Summary | None = None
    error: str = ''


def several_bags(args: argparse.Namespace) -> dict[str, Path] | None:
    """Return the bags by the names of their folders, or None if this is no run over several."""
    from pavenet_core.bag.detect import find_bags, is_bag

    into = (args.into or INTO).resolve()
    found = [
        (path, [path] if is_bag(path) else find_bags(path, into) if path.is_dir() else [])
        for path in args.inputs
    ]
    alone = all(bags in ([], [path]) for path, bags in found)
    if alone and not args.into and sum(bool(bags) for _, bags in found) < 2:
        return None
    others = [path for path, bags in found if not bags]
    if others:
        raise ValueError(
            f'{others[0]} has no rosbag; several bags are predicted apart from other inputs'
        )
    names: dict[str, Path] = {}
    for path, bags in found:
        for bag in bags:
            name = path.resolve().name if bag == path else str(bag.relative_to(path))
            if name in names:
                raise ValueError(
                    f'{names[name]} and {bag} would both go into {args.into or INTO}/{name}; '
                    'run them one by one'
                )
            names[name] = bag
    return names


def predict_bags(args: argparse.Namespace, bags: dict[str, Path], command: str) -> None:
    """Predict the bags that are not done yet; `ValueError` at the end if any of them failed."""
    from tqdm import tqdm

    into = args.into or INTO
    _check(args)
    tasks, broken = _plan(args, bags, into, command)
    if done := len(bags) - len(tasks) - len(broken):
        print(f'{done} of {len(bags)} bags are in {into} already')
    for sentence in broken:
        _tell_error(sentence)
    failed = len(broken)
    with ExitStack() as stack:
        total = sum(task.num_frames for task in tasks)
        bar = stack.enter_context(tqdm(total=total or None, unit='frame', disable=None))
        for outcome in _outcomes(args, tasks, bar.update, stack):
            failed += bool(outcome.error)
            with tqdm.external_write_mode():
                _tell(outcome)
    if failed:
        raise ValueError(
            f'{failed} of {len(bags)} bags failed, see above; '
            'the same command once more does only those'
        )


def _check(args: argparse.Namespace) -> None:
    for name in OUTPUTS:
        path = getattr(args, name)
        if path and (path.is_absolute() or '..' in path.parts):
            raise ValueError(
                f'--{name} {path}: with several bags this names a file in the folder of each, '
                'such as --out poses.json'
            )
    for name in ('annotations', 'against'):
        if getattr(args, name):
            raise ValueError(f'--{name} is for one rosbag, and there are several')
    if args.workers is not None and args.workers < 1:
        raise ValueError(f'--workers must be 1 or more, got {args.workers}')


def _plan(
    args: argparse.Namespace, bags: dict[str, Path], into: Path, command: str
) -> tuple[list[BagTask], list[str]]:
    """Return the bags that are still to do, and a sentence for each that can't be read."""
    from pavenet_core.bundle import load_bundle

    settings = {name: str(v) for name, v in vars(args).items() if name not in NO_SETTINGS}
    made = {'pavenet': __version__, 'model': digest_files(load_bundle(args.model).path)}
    tasks, broken = [], []
    for name, bag in bags.items():
        folder = OutputFolder(into / name, {**made, **settings, 'files': state_of(bag)})
        if folder.is_done():
            continue
        try:
            [source] = open_inputs([bag], args.topic)
        except (ValueError, OSError) as error:
            broken.append(str(error))
            continue
        tasks.append(BagTask(bag, source.num_frames, folder, args, command))
    return tasks, broken


def _outcomes(
    args: argparse.Namespace,
    tasks: Sequence[BagTask],
    tick: Callable[[int], Any],
    stack: ExitStack,
) -> Iterator[Outcome]:
    if not tasks or (not args.ray_address and args.workers in (None, 1)):
        return run_here(predict_bag, tasks, tick)
    ray = RayWorkers(
        args.workers,
        args.ray_address,
        num_threads=args.threads,
        on_gpu=args.device != 'cpu',
    )
    stack.enter_context(ray)
    shared = argparse.Namespace(**{**vars(args), 'threads': ray.num_threads})
    tasks = [replace(task, args=shared) for task in tasks]
    return ray.run(predict_bag, tasks, tick, _dead)


def _dead(task: BagTask, reason: str) -> Outcome:
    return Outcome(task, error=f'{task.bag}: its worker failed: {reason}')


def predict_bag(task: BagTask, tick: Callable[[], object]) -> Outcome:
    """Fill the folder of one bag."""
    try:
        with task.folder.filled() as folder:
            inside = {
                name: folder / path for name in OUTPUTS if (path := getattr(task.args, name))
            }
            args = argparse.Namespace(**{**vars(task.args), 'inputs': [task.bag], **inside})
            sources = open_inputs(args.inputs, args.topic)
            return Outcome(task, predict(args, sources, task.command, tick))
    except (ValueError, OSError) as error:
        named = str(task.bag) in str(error)
        return Outcome(task, error=str(error) if named else f'{task.bag}: {error}')


def _tell(outcome: Outcome) -> None:
    if outcome.summary is None:
        _tell_error(outcome.error)
        return
    print(f'{outcome.task.folder.path}: {outcome.summary}')
    for note in outcome.summary.notes:
        print(f'  {note}')


def _tell_error(sentence: str) -> None:
    print(f'pavenet: {sentence}', file=sys.stderr)
