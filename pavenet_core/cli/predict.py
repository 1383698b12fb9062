"""Find the people in videos, pictures and folders of pictures."""

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pavenet_core.poses import Frame, Poses
    from pavenet_core.runtime import VideoPoseEstimator
    from pavenet_core.video import Source


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `pavenet predict` takes."""
    parser.epilog = (
        'examples:\n  pavenet predict walk.mp4 --out poses.json --video poses.mp4\n'
        '  pavenet predict photos/ --images drawn/'
    )
    parser.add_argument(
        'inputs',
        type=Path,
        nargs='+',
        metavar='INPUT',
        help='a video, a picture, or a folder of pictures',
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
    _add_estimator_arguments(parser)


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
    parser.add_argument('--device', default='cpu', help='cpu, cuda, tensorrt or auto (cpu)')
    parser.add_argument('--threads', type=int, default=0, help='per graph; 0 is automatic (0)')


def run(args: argparse.Namespace) -> None:
    """Run the inputs through the estimator, write what was asked for, and say so."""
    from pavenet_core.runtime import VideoPoseEstimator
    from pavenet_core.video import open_sources

    sources = [source for path in args.inputs for source in open_sources(path)]
    _check_outputs(args, sources)
    estimator = VideoPoseEstimator(
        args.model,
        score_threshold=args.score_threshold,
        max_people=args.max_people,
        lookahead=args.lookahead,
        frame_interval_s=args.frame_interval,
        identities=not args.no_ids,
        device=args.device,
        num_threads=args.threads,
    )
    _make_folders(args)
    start = time.monotonic()
    frames = _predict(args, estimator, sources)
    seconds = time.monotonic() - start
    metadata = estimator.metadata
    answer = {'model': metadata.name, 'skeleton': metadata.skeleton.name, 'frames': frames}
    args.out.write_text(json.dumps(answer) + '\n', encoding='utf-8')
    people = sum(len(frame['poses']) for frame in frames)
    written = ', '.join(str(path) for path in (args.out, args.video, args.images) if path)
    print(
        f'{len(frames)} frames, {people} people, {1e3 * seconds / max(1, len(frames)):.1f} ms per '
        f'frame with reading and drawing; wrote {written}'
    )


def _predict(
    args: argparse.Namespace, estimator: 'VideoPoseEstimator', sources: list['Source']
) -> list[dict[str, Any]]:
    from pavenet_core.drawing import draw_poses
    from pavenet_core.video import VideoWriter, write_image

    skeleton = estimator.metadata.skeleton
    frames = []
    with ExitStack() as stack:
        video = args.video and stack.enter_context(VideoWriter(args.video, sources[0].fps or 0))
        for source, index, frame, poses in _answers(estimator, sources):
            frames.append({'source': str(source.path), 'frame': index, **_poses_to_json(poses)})
            if not video and not args.images:
                continue
            drawn = draw_poses(frame.image, poses, skeleton)
            if video:
                video.write(drawn)
            if args.images:
                write_image(args.images / _image_name(source, index), drawn)
    return frames


def _answers(
    estimator: 'VideoPoseEstimator', sources: list['Source']
) -> Iterator[tuple['Source', int, 'Frame', 'Poses']]:
    """Yield every frame of every source with its index in that source and its people."""
    from tqdm import tqdm

    from pavenet_core.runtime import stream_poses

    identities = estimator.identities
    total = sum(source.num_frames for source in sources)
    with tqdm(total=total or None, unit='frame', disable=None) as progress:
        for source in sources:
            estimator.identities = None if source.is_still else identities
            for index, (frame, poses) in enumerate(stream_poses(estimator, source.frames())):
                yield source, index, frame, poses
                progress.update()


def _poses_to_json(poses: 'Poses') -> dict[str, Any]:
    people = zip(
        *(poses.id_names, poses.scores, poses.bboxes_px),
        *(poses.keypoints_px, poses.keypoint_scores),
        strict=True,
    )
    return {
        'stamp_ns': poses.stamp_ns,
        'poses': [
            {
                'id': name,
                'score': round(float(score), 4),
                'bbox': [round(float(side), 2) for side in bbox],
                'keypoints': [
                    [round(float(x), 2), round(float(y), 2), round(float(keypoint_score), 4)]
                    for (x, y), keypoint_score in zip(keypoints, keypoint_scores, strict=True)
                ],
            }
            for name, score, bbox, keypoints, keypoint_scores in people
        ],
    }


def _image_name(source: 'Source', index: int) -> str:
    return source.path.name if source.is_still else f'{source.path.stem}_{index:06d}.jpg'


def _check_outputs(args: argparse.Namespace, sources: list['Source']) -> None:
    """Refuse, before the work, outputs that can't be or would destroy something."""
    if args.out.is_dir():
        raise ValueError(f'--out {args.out} is a folder; give a file name')
    if args.video and (len(sources) != 1 or sources[0].is_still):
        raise ValueError('--video draws one video; for pictures or several inputs use --images')
    outputs = {path.resolve() for path in (args.out, args.video) if path}
    if args.images:
        names = [_image_name(source, 0) for source in sources]
        if len(set(names)) < len(names):
            raise ValueError('--images cannot hold inputs of the same name; run them one by one')
        outputs |= {(args.images / name).resolve() for name in names}
    overwritten = outputs & {source.path.resolve() for source in sources}
    if overwritten:
        raise ValueError(f'the output {min(overwritten)} is also an input; choose another name')


def _make_folders(args: argparse.Namespace) -> None:
    for folder in (args.out.parent, args.video and args.video.parent, args.images):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
