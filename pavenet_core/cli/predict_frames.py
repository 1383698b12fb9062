"""Inputs through the estimator, frame by frame, into the outputs that were asked for."""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pavenet_core.cli.device import open_model
from pavenet_core.cli.predict_outputs import image_name, prepare_outputs

if TYPE_CHECKING:
    from pavenet_core.bag.read import BagSource
    from pavenet_core.bag.write import PosesBag
    from pavenet_core.cli.about_bag import AboutBag
    from pavenet_core.poses import Frame, Poses
    from pavenet_core.runtime import VideoPoseEstimator
    from pavenet_core.video import Source

Sources = Sequence['Source | BagSource']
WHOLE = 0.95  # of a video: what files say of their length may be a little off
Taker = Callable[['Source | BagSource', int, 'Frame', 'Poses'], object]


@dataclass(frozen=True)
class Summary:
    """
    What came of it.

    seconds    with reading and drawing
    providers  of onnxruntime, really in use
    notes      lines of text about what else there is to say
    """

    num_frames: int
    num_people: int
    seconds: float
    providers: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return the first line of what to tell."""
        milliseconds = 1e3 * self.seconds / max(1, self.num_frames)
        return (
            f'{self.num_frames} frames, {self.num_people} people, {milliseconds:.1f} ms per frame '
            f'with reading and drawing, by {", ".join(self.providers)}'
        )


def open_inputs(paths: Sequence[Path], topic: str | None) -> Sources:
    """Open the inputs; a folder of pictures is as many."""
    return [source for path in paths for source in _open(path, topic)]


def _open(path: Path, topic: str | None) -> Sources:
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


def predict(
    args: argparse.Namespace, sources: Sources, command: str, tick: Callable[[], object]
) -> Summary:
    """Write what was asked for; `tick` is called after every frame."""
    from pavenet_core.runtime import VideoPoseEstimator

    estimator = VideoPoseEstimator(
        open_model(args),
        score_threshold=args.score_threshold,
        max_people=args.max_people,
        lookahead=args.lookahead,
        frame_interval_s=args.frame_interval,
        identities=not args.no_ids,
    )
    metadata = estimator.metadata
    with ExitStack() as stack:
        about = None
        if args.annotations or args.against or args.report:
            from pavenet_core.bag.read import BagSource
            from pavenet_core.cli.about_bag import AboutBag

            assert isinstance(sources[0], BagSource)
            about = stack.enter_context(AboutBag(args, command, metadata, sources[0]))
        prepare_outputs(args)
        start = time.monotonic()
        frames = _answer_all(args, estimator, sources, about, tick)
        seconds = time.monotonic() - start
        answer = {'model': metadata.name, 'skeleton': metadata.skeleton.name, 'frames': frames}
        args.out.write_text(json.dumps(answer) + '\n', encoding='utf-8')
        notes = _lost(frames) + _cut_short(frames, sources) + (about.tell() if about else [])
    people = sum(len(frame['poses']) for frame in frames)
    return Summary(len(frames), people, seconds, estimator.providers, tuple(notes))


def _answer_all(
    args: argparse.Namespace,
    estimator: 'VideoPoseEstimator',
    sources: Sources,
    about: 'AboutBag | None',
    tick: Callable[[], object],
) -> list[dict[str, Any]]:
    from pavenet_core.bag.frame import BagFrame

    frames: list[dict[str, Any]] = []
    with ExitStack() as stack:
        takers: list[Taker] = [lambda *answer: frames.append(_frame_to_json(*answer))]
        if args.bag:
            takers.append(_recorder(stack.enter_context(_poses_bag(args, estimator))))
        if args.video or args.images:
            takers.append(_drawer(args, estimator, sources, stack))
        start = time.monotonic()
        for source, index, frame, poses in _answers(estimator, sources):
            spent_s = time.monotonic() - start
            for take in takers:
                take(source, index, frame, poses)
            if about and isinstance(frame, BagFrame):
                about.take(index, frame, poses, spent_s)
            tick()
            start = time.monotonic()
    return _with_unreadable(frames, sources)


def _poses_bag(args: argparse.Namespace, estimator: 'VideoPoseEstimator') -> 'PosesBag':
    from pavenet_core.bag.detect import is_mcap
    from pavenet_core.bag.write import PosesBag

    metadata = estimator.metadata
    mcap = is_mcap(args.inputs[0])
    return PosesBag(args.bag, mcap=mcap, model=metadata.name, skeleton=metadata.skeleton.name)


def _recorder(bag: 'PosesBag') -> Taker:
    from pavenet_core.bag.frame import BagFrame

    def take(source: 'Source | BagSource', index: int, frame: 'Frame', poses: 'Poses') -> None:
        assert isinstance(frame, BagFrame)
        bag.write(frame, poses)

    return take


def _drawer(
    args: argparse.Namespace,
    estimator: 'VideoPoseEstimator',
    sources: Sources,
    stack: ExitStack,
) -> Taker:
    from pavenet_core.drawing import draw_poses
    from pavenet_core.video import VideoWriter, write_image

    skeleton = estimator.metadata.skeleton
    video = args.video and stack.enter_context(VideoWriter(args.video, sources[0].fps or 0))

    def take(source: 'Source | BagSource', index: int, frame: 'Frame', poses: 'Poses') -> None:
        drawn = draw_poses(frame.image, poses, skeleton)
        if video:
            video.write(drawn)
        if args.images:
            write_image(args.images / image_name(source, index), drawn)

    return take


def _answers(
    estimator: 'VideoPoseEstimator', sources: Sources
) -> 'Iterator[tuple[Source | BagSource, int, Frame, Poses]]':
    """Yield every frame of every source with its index in that source and its people."""
    from pavenet_core.bag.frame import BagFrame, camera_of
    from pavenet_core.runtime import stream_poses

    identities = estimator.identities
    for source in sources:
        estimator.identities = None if source.is_still else identities
        cameras = groupby(source.frames(), key=camera_of)
        answers = (answer for _, run in cameras for answer in stream_poses(estimator, run))
        for index, (frame, poses) in enumerate(answers):
            place = frame.header.index if isinstance(frame, BagFrame) else index
            yield source, place, frame, poses


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


def _with_unreadable(frames: list[dict[str, Any]], sources: Sources) -> list[dict[str, Any]]:
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


def _lost(frames: list[dict[str, Any]]) -> list[str]:
    lost = [frame for frame in frames if 'error' in frame]
    if not lost:
        return []
    return [
        f'{len(lost)} frames could not be decoded and are without people; '
        f'the first, {lost[0]["frame"]}: {lost[0]["error"]}'
    ]


def _cut_short(frames: list[dict[str, Any]], sources: Sources) -> list[str]:
    """Tell of videos that end well before the length that their files announce."""
    from pavenet_core.video import Source

    notes = []
    for video in sources:
        if isinstance(video, Source) and video.fps:
            stamps = [f['stamp_ns'] for f in frames if f['source'] == str(video.path)]
            read_s = max(stamps, default=0) / 1e9 + 1 / video.fps
            said_s = video.num_frames / video.fps
            if read_s < WHOLE * said_s - 1 / video.fps:
                notes.append(
                    f'{video.path} could be read for {read_s:.1f} s of the {said_s:.1f} s that it '
                    'announces; it may be damaged or cut short'
                )
    return notes
