"""What `pavenet predict` writes, and what it must not write over."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pavenet_core.cli.output_file import check_writable, make_folder

if TYPE_CHECKING:
    from pavenet_core.bag.read import BagSource
    from pavenet_core.video import Source


def image_name(source: 'Source | BagSource', index: int) -> str:
    """Return the file name of a drawn frame."""
    return source.path.name if source.is_still else f'{source.path.stem}_{index:06d}.jpg'


def check_outputs(args: argparse.Namespace, sources: 'Sequence[Source | BagSource]') -> None:
    """Refuse, before the work, outputs that can't be or would destroy something."""
    if args.out.is_dir():
        raise ValueError(f'--out {args.out} is a folder; give a file name')
    if args.video and (len(sources) != 1 or sources[0].is_still):
        raise ValueError('--video draws one video; for pictures or several inputs use --images')
    outputs = {path.resolve() for path in (args.out, args.video, args.report) if path}
    if args.images:
        names = [image_name(source, 0) for source in sources]
        if len(set(names)) < len(names):
            raise ValueError('--images cannot hold inputs of the same name; run them one by one')
        outputs |= {(args.images / name).resolve() for name in names}
    overwritten = outputs & set(_files_read(args, sources))
    if overwritten:
        raise ValueError(f'the output {min(overwritten)} is also an input; choose another name')


def _files_read(
    args: argparse.Namespace, sources: 'Sequence[Source | BagSource]'
) -> Iterator[Path]:
    for path in (*(source.path for source in sources), args.annotations, args.against):
        if path:
            yield path.resolve()
            yield from (file.resolve() for file in path.glob('*'))  # of a bag's folder


def check_bag_options(args: argparse.Namespace) -> None:
    """Refuse what only rosbags have, and what would not fit one."""
    from pavenet_core.bag.detect import is_bag

    bags = [path for path in args.inputs if is_bag(path)]
    if args.topic and not bags:
        raise ValueError(
            f'--topic {args.topic} is of a rosbag, but there is none among the inputs'
        )
    of_one = [n for n in ('bag', 'annotations', 'against', 'report') if getattr(args, n)]
    if of_one and (len(bags) != 1 or len(args.inputs) != 1):
        raise ValueError(f'--{of_one[0]} is for one input, a rosbag')
    if args.bag and args.bag.exists():
        raise ValueError(f'--bag {args.bag} is there already; choose another name')


def prepare_outputs(args: argparse.Namespace) -> None:
    """Make the folders that the outputs go into; refuse, before the work, unwritable files."""
    files = [file for file in (args.out, args.video, args.report) if file]
    for path in (*files, args.bag):
        if path:
            make_folder(path.parent)
    if args.images:
        make_folder(args.images)
    for file in files:
        check_writable(file)
