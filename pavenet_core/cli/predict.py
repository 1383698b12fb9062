"""Find the people in videos, pictures, folders of pictures and rosbags."""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pavenet_core.cli.command_line import command_line
from pavenet_core.cli.device import add_device_arguments, open_model
from pavenet_core.cli.predict_outputs import (
    check_bag_options,
    check_outputs,
    image_name,
    make_folders,
)

if TYPE_CHECKING:
    from pavenet_core.bag.labels import BagLabels
    from pavenet_core.bag.read import BagSource
    from pavenet_core.bag.write import PosesBag
    from pavenet_core.poses import Frame, Poses
    from pavenet_core.runtime import VideoPoseEstimator
    from pavenet_core.video import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `pavenet predict` takes."""
    parser.epilog = (
        'examples:\n  pavenet predict walk.mp4 --out poses.json --video poses.mp4\n'
        '  pavenet predict photos/ --images drawn/\n'
        '  pavenet predict recording/ --topic /camera/image_raw --bag poses_bag'
    )
    parser.add_argument(
        'inputs',
        type=Path,
        nargs='+',
        metavar='INPUT',
        help='a video, a picture, a folder of pictures, or a rosbag',
    )
    parser.add_argument(
        '--model', default='compact', help='a shipped bundle or a folder (compact)'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('poses.json'), metavar='FILE', help='(poses.json)'
    )
    parser.add_argument(
        '--video', type=Path, metavar='FILE', help='draw the people of the one video here'
    )
    parser.add_argument('--images', type=Path, metavar='DIR', help='draw every frame into here')
    _add_bag_arguments(parser)
    _add_estimator_arguments(parser)


def _add_bag_arguments(parser: argparse.ArgumentParser) -> None:
    bag = parser.add_argument_group('rosbags')
    bag.add_argument('--topic', metavar='NAME', help='of the images, where there are several')
    bag.add_argument('--bag', type=Path, metavar='OUT', help='write the people as messages here')
    bag.add_argument(
        '--annotations', type=Path, metavar='FILE', help='COCO keypoint file; measure the accuracy'
    )
    bag.add_argument(
        '--report', type=Path, metavar='FILE', help='with --annotations, write a page about it'
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
    from pavenet_core.runtime import VideoPoseEstimator

    sources = [source for path in args.inputs for source in _open(path, args.topic)]
    check_outputs(args, sources)
    check_bag_options(args)
    estimator = VideoPoseEstimator(
        open_model(args),
        score_threshold=args.score_threshold,
        max_people=args.max_people,
        lookahead=args.lookahead,
        frame_interval_s=args.frame_interval,
        identities=not args.no_ids,
    )
    with ExitStack() as stack:
        labels = args.annotations and stack.enter_context(_labels(args, estimator, sources[0]))
        make_folders(args)
        start = time.monotonic()
        frames = _predict(args, estimator, sources, labels)
        seconds = time.monotonic() - start
        metadata = estimator.metadata
        answer = {'model': metadata.name, 'skeleton': metadata.skeleton.name, 'frames': frames}
        args.out.write_text(json.dumps(answer) + '\n', encoding='utf-8')
        _print(args, frames, seconds, estimator.providers)
        if labels:
            print(
                '\n'.join(
                    labels.measure(command_line('predict', args, add_arguments), args.report)
                )
            )


def _open(path: Path, topic: str | None) -> 'Sequence[Source | BagSource]':
    from pavenet_core.bag.detect import is_bag
    from pavenet_core.video import open_sources

    if not is_bag(path):
        return open_sources(path)
    try:
        from pavenet_core.bag.read import open_bag
    except ModuleNotFoundError as error:
        raise ValueError(
            f'{path} is a rosbag; to read it, get the Python package {error.name}: '
            'pip install rosbags'
        ) from error
    return [open_bag(path, topic)]


def _labels(
    args: argparse.Namespace, estimator: 'VideoPoseEstimator', source: 'Source | BagSource'
) -> 'BagLabels':
    from pavenet_core.bag.labels import BagLabels

    return BagLabels(args.annotations, source.num_frames, estimator.metadata)


def _poses_bag(args: argparse.Namespace, estimator: 'VideoPoseEstimator') -> 'PosesBag':
    from pavenet_core.bag.detect import is_mcap
    from pavenet_core.bag.write import PosesBag

    metadata = estimator.metadata
    mcap = is_mcap(args.inputs[0])
    return PosesBag(args.bag, mcap=mcap, model=metadata.name, skeleton=metadata.skeleton.name)


def _predict(
    args: argparse.Namespace,
    estimator: 'VideoPoseEstimator',
    sources: 'Sequence[Source | BagSource]',
    labels: 'BagLabels | None',
) -> list[dict[str, Any]]:
    from pavenet_core.bag.frame import BagFrame
    from pavenet_core.drawing import draw_poses
    from pavenet_core.video import VideoWriter, write_image

    skeleton = estimator.metadata.skeleton
    frames = []
    with ExitStack() as stack:
        video = args.video and stack.enter_context(VideoWriter(args.video, sources[0].fps or 0))
        bag = args.bag and stack.enter_context(_poses_bag(args, estimator))
        for source, index, frame, poses in _answers(estimator, sources):
            frames.append(_frame_to_json(source, index, frame, poses))
            if bag and isinstance(frame, BagFrame):
                bag.write(frame, poses)
            if labels:
                labels.take(index, frame.image, poses)
            if not video and not args.images:
                continue
            drawn = draw_poses(frame.image, poses, skeleton)
            if video:
                video.write(drawn)
            if args.images:
                write_image(args.images / image_name(source, index), drawn)
    return _with_unreadable(frames, sources)


def _answers(
    estimator: 'VideoPoseEstimator', sources: 'Sequence[Source | BagSource]'
) -> 'Iterator[tuple[Source | BagSource, int, Frame, Poses]]':
    """Yield every frame of every source with its index in that source and its people."""
    from tqdm import tqdm

    from pavenet_core.bag.frame import BagFrame, camera_of
    from pavenet_core.runtime import stream_poses

    identities = estimator.identities
    total = sum(source.num_frames for source in sources)
    with tqdm(total=total or None, unit='frame', disable=None) as progress:
        for source in sources:
            estimator.identities = None if source.is_still else identities
            cameras = groupby(source.frames(), key=camera_of)
            answers = (answer for _, run in cameras for answer in stream_poses(estimator, run))
            for index, (frame, poses) in enumerate(answers):
                place = frame.header.index if isinstance(frame, BagFrame) else index
                yield source, place, frame, poses
                progress.update()


def _frame_to_json(
    source: 'Source | BagSource', index: int, frame: 'Frame', poses: 'Poses'
) -> dict[str, Any]:
    from pavenet_core.bag.frame import BagFrame
    from pavenet_core.poses_json import people_to_json

    return {
        'source': str(source.path),
        'frame': index,
        'stamp_ns': frame.header.stamp_ns if isinstance(frame, BagFrame) else frame.stamp_ns,
        'poses': people_to_json(poses),
    }


def _with_unreadable(
    frames: list[dict[str, Any]], sources: 'Sequence[Source | BagSource]'
) -> list[dict[str, Any]]:
    """Return the frames with those of bags that could not be decoded in their places."""
    lost = [
        {
            'source': str(source.path),
            'frame': image.header.index,
            'stamp_ns': image.header.stamp_ns,
            'poses': [],
            'error': image.reason,
        }
        for source in sources
        for image in getattr(source, 'unreadable', ())
    ]
    order = {str(source.path): place for place, source in reversed(list(enumerate(sources)))}
    if not lost:
        return frames
    return sorted(frames + lost, key=lambda frame: (order[frame['source']], frame['frame']))


def _print(
    args: argparse.Namespace,
    frames: list[dict[str, Any]],
    seconds: float,
    providers: Sequence[str],
) -> None:
    people = sum(len(frame['poses']) for frame in frames)
    outputs = (args.out, args.video, args.images, args.bag)
    written = ', '.join(str(path) for path in outputs if path)
    print(
        f'{len(frames)} frames, {people} people, {1e3 * seconds / max(1, len(frames)):.1f} ms per '
        f'frame with reading and drawing, by {", ".join(providers)}; wrote {written}'
    )
    lost = [frame for frame in frames if 'error' in frame]
    if lost:
        print(
            f'{len(lost)} frames could not be decoded and are without people; '
            f'the first, {lost[0]["frame"]}: {lost[0]["error"]}'
        )
