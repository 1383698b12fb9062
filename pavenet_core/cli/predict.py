"""Find the people in videos, pictures, folders of pictures and rosbags."""

import argparse
from pathlib import Path

from pavenet_core.cli.command_line import command_line
from pavenet_core.cli.device import add_device_arguments
from pavenet_core.cli.predict_bags import INTO, predict_bags, several_bags
from pavenet_core.cli.predict_frames import Summary, open_inputs, predict
from pavenet_core.cli.predict_outputs import check_bag_options, check_outputs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `pavenet predict` takes."""
    parser.epilog = (
        'examples:\n  pavenet predict walk.mp4 --out poses.json --video poses.mp4\n'
        '  pavenet predict photos/ --images drawn/\n'
        '  pavenet predict recording/ --topic /camera/image_raw --bag poses_bag\n'
        '  pavenet predict recordings/ --into poses --video poses.mp4 --workers 4'
    )
    parser.add_argument(
        'inputs',
        type=Path,
        nargs='+',
        metavar='INPUT',
        help='a video, a picture, a folder of pictures, a rosbag, or a folder of rosbags',
    )
    parser.add_argument(
        '--model', default='compact', help='a shipped bundle or a folder (compact)'
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('poses.json'),
        metavar='FILE',
        help='the people (poses.json)',
    )
    parser.add_argument(
        '--video', type=Path, metavar='FILE', help='draw the people of the one video here'
    )
    parser.add_argument('--images', type=Path, metavar='DIR', help='draw every frame into here')
    _add_bag_arguments(parser)
    _add_many_arguments(parser)
    _add_estimator_arguments(parser)


def _add_bag_arguments(parser: argparse.ArgumentParser) -> None:
    bag = parser.add_argument_group('rosbags')
    bag.add_argument('--topic', metavar='NAME', help='of the images, where there are several')
    bag.add_argument('--bag', type=Path, metavar='OUT', help='write the people as messages here')
    bag.add_argument(
        '--against',
        type=Path,
        metavar='LIVE_BAG',
        help='recording of a live node that saw this bag: say what it dropped and how it differs',
    )
    bag.add_argument(
        '--annotations', type=Path, metavar='FILE', help='COCO keypoint file; measure the accuracy'
    )
    bag.add_argument(
        '--report',
        type=Path,
        metavar='FILE',
        help='write a page: who was there when, gaps, age, speed, pictures, accuracy',
    )


def _add_many_arguments(parser: argparse.ArgumentParser) -> None:
    many = parser.add_argument_group(
        'several rosbags, or a folder of them', 'what was done already is left out'
    )
    many.add_argument(
        '--into',
        type=Path,
        metavar='DIR',
        help=f'the outputs of bag NAME go into DIR/NAME, by the names given above ({INTO})',
    )
    many.add_argument(
        '--workers', type=int, metavar='N', help='bags at once, through Ray if more than one (1)'
    )
    many.add_argument(
        '--ray-address', metavar='ADDRESS', help='of a Ray cluster to do the work, such as auto'
    )


def _add_estimator_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--score-threshold', type=float, default=0.3, help='leave out people below it (0.3)'
    )
    parser.add_argument('--max-people', type=int, default=20, help='in one frame (20)')
    parser.add_argument(
        '--lookahead', type=int, default=0, help='frames to see ahead, up to T // 2 (0)'
    )
    parser.add_argument(
        '--frame-interval',
        type=float,
        metavar='SECONDS',
        help='between the frames seen together; without it, frames as they follow',
    )
    parser.add_argument(
        '--no-ids', action='store_true', help='without the numbers that follow people in videos'
    )
    add_device_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Run the inputs through the estimator, write what was asked for, and say so."""
    command = command_line('predict', args, add_arguments)
    bags = several_bags(args)
    if bags is not None:
        predict_bags(args, bags, command)
        return
    if args.workers is not None or args.ray_address:
        raise ValueError(
            '--workers and --ray-address are for several rosbags, or a folder of them'
        )
    sources = open_inputs(args.inputs, args.topic)
    check_outputs(args, sources)
    check_bag_options(args)
    from tqdm import tqdm

    total = sum(source.num_frames for source in sources)
    with tqdm(total=total or None, unit='frame', disable=None) as progress:
        summary = predict(args, sources, command, progress.update)
    _print(args, summary)


def _print(args: argparse.Namespace, summary: Summary) -> None:
    outputs = (args.out, args.video, args.images, args.bag, args.report)
    written = ', '.join(str(path) for path in outputs if path)
    print(f'{summary}; wrote {written}')
    for note in summary.notes:
        print(note)
