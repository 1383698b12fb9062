"""
Make a bundle of fewer bits: int8 for CPUs, fp16 for GPUs.

Example:
  pavenet quantise mybundle --images photos/ --out mybundle_int8

"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pavenet_core.bundle import Bundle, BundleMetadata
    from pavenet_core.video import Image, Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.add_argument('bundle', help='folder of a float32 bundle, as pavenet export makes')
    parser.add_argument(
        '--images',
        type=Path,
        metavar='DIR',
        help='pictures or a video like those the robot will see; int8 is fitted to them',
    )
    parser.add_argument(
        '--out', type=Path, required=True, metavar='DIR', help='folder of the new bundle'
    )
    parser.add_argument('--precision', choices=('int8', 'fp16'), default='int8', help='(int8)')
    parser.add_argument(
        '--pictures', type=int, default=100, metavar='N', help='use at most so many (100)'
    )


def run(args: argparse.Namespace) -> None:
    """Quantise, and say what became of the size."""
    from pavenet_core.bundle import load_bundle

    bundle = load_bundle(args.bundle)
    metadata = _to_int8(args, bundle) if args.precision == 'int8' else _to_fp16(args, bundle)
    before, after = (_megabytes(path) for path in (bundle.path, args.out))
    print(
        f'{args.out}: {metadata.name} in {metadata.precision}, {before:.1f} MB became '
        f'{after:.1f} MB; measure it with: pavenet evaluate --model {args.out}'
    )


def _to_int8(args: argparse.Namespace, bundle: 'Bundle') -> 'BundleMetadata':
    from tqdm import tqdm

    from pavenet_core.export.quantise import quantise_to_int8
    from pavenet_core.video import open_sources

    if args.images is None:
        raise ValueError('int8 is fitted to pictures; give some with --images DIR')
    if args.pictures < 1:
        raise ValueError(f'--pictures must be 1 or more, got {args.pictures}')
    sources = open_sources(args.images)
    images = _spread(sources, args.pictures)
    with tqdm(unit='picture', disable=None) as progress:
        return quantise_to_int8(bundle, images, args.out, progress.update)


def _to_fp16(args: argparse.Namespace, bundle: 'Bundle') -> 'BundleMetadata':
    from pavenet_core.export.quantise import convert_to_fp16

    if args.images is not None:
        raise ValueError('fp16 is fitted to no pictures; leave out --images, or choose int8')
    return convert_to_fp16(bundle, args.out)


def _spread(sources: list['Source'], limit: int) -> Iterator['Image']:
    """Yield pictures evenly from all that there are, or from the frames of the one video."""
    from itertools import islice

    for source in sources[:: -(-len(sources) // limit)]:
        step = max(1, -(-source.num_frames // limit))
        for frame in islice(source.frames(), 0, step * limit, step):
            yield frame.image


def _megabytes(path: Path) -> float:
    return sum(file.stat().st_size for file in path.glob('*.onnx')) / 1e6
