"""How long each stage of a frame takes, for exact numbers of people and sizes of pictures."""

import time
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import Frame
from pavenet_core.runtime import PoseModel, VideoPoseEstimator
from pavenet_core.video import open_sources

Size = tuple[int, int]  # width and height
Pictures = Callable[[int], NDArray[np.uint8]]  # the frames of an endless video, by index

# In the order of a frame; each is a part of `PoseModel` but the last, which is what is left.
PARTS = ('fit', 'spatial_encoder', 'pose_decoder', 'joint_decoder')
STAGES = ('preprocess', *PARTS[1:], 'postprocess')
FRAME_NS = 40_000_000
VIDEO_FRAMES = 30  # kept in memory, as long as the benchmark runs


@dataclass(frozen=True)
class Case:
    """
    What is measured, and the times found.

    times  milliseconds of every round by stage, and of the whole `frame`
    """

    size: Size
    people: int
    times: dict[str, list[float]] = field(default_factory=dict)

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Return p50, p95 and p99 of each stage and of the frame."""
        shares = (50, 95, 99)
        return {
            stage: {f'p{s}': float(np.percentile(times, s)) for s in shares}
            for stage, times in self.times.items()
        }


class StageClock:
    """A model's copy, `model`, whose parts note how long they ran."""

    def __init__(self, model: PoseModel) -> None:
        self.model = copy(model)
        self._spent: dict[str, float] = {}
        parts = {
            s: p for s, p in zip(STAGES, PARTS, strict=False) if getattr(model, p) is not None
        }
        for stage, part in parts.items():
            setattr(self.model, part, self._timed(stage, getattr(model, part)))
        self._stages = (*parts, STAGES[-1])

    def time(self, run: Callable[[], object]) -> dict[str, float]:
        """Return the milliseconds of each stage of one frame, and of all of it."""
        self._spent = dict.fromkeys(self._stages, 0.0)
        began = time.perf_counter()
        run()
        whole = 1e3 * (time.perf_counter() - began)
        self._spent['postprocess'] = whole - sum(self._spent.values())
        return {**self._spent, 'frame': whole}

    def _timed(self, stage: str, part: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any) -> Any:
            began = time.perf_counter()
            result = part(*arguments)
            self._spent[stage] += 1e3 * (time.perf_counter() - began)
            return result

        return timed


class _Video:
    """An endless video through an estimator that answers with an exact number of people."""

    def __init__(self, clock: StageClock, people: int, pictures: Pictures) -> None:
        # Whatever the picture shows, no score is below 0: the best `people` queries are decoded.
        self._estimator = VideoPoseEstimator(clock.model, score_threshold=0, max_people=people)
        self._clock, self._pictures, self._index = clock, pictures, 0

    def next_frame(self) -> dict[str, float]:
        """Push one frame and return its times."""
        frame = Frame(self._pictures(self._index), self._index * FRAME_NS)
        self._index += 1
        return self._clock.time(lambda: self._estimator.push(frame))


def measure(
    model: PoseModel,
    videos: dict[Size, Pictures],
    people: Sequence[int],
    *,
    rounds: int,
    warm_up: int,
    progress: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> list[Case]:
    """
    Time every size with every number of people, the cases taking turns.

    warm_up   rounds that don't count
    progress  goes over the rounds and may show them
    """
    _check(model.metadata.max_people, people, rounds, warm_up)
    clock = StageClock(model)
    cases = [Case(size, number) for size in videos for number in people]
    running = [_Video(clock, case.people, videos[case.size]) for case in cases]
    for turn in progress(range(warm_up + rounds)):
        for case, video in zip(cases, running, strict=True):
            for stage, spent in video.next_frame().items():
                if turn >= warm_up:
                    case.times.setdefault(stage, []).append(spent)
    return cases


def drifting_picture(size: Size) -> Pictures:
    """Return the pictures of a synthetic video, always the same: blurred noise that moves."""
    width, height = size
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    blurred = cv2.GaussianBlur(noise, (0, 0), 4)
    picture = np.asarray(cv2.normalize(blurred, blurred, 0, 255, cv2.NORM_MINMAX), np.uint8)
    return lambda index: np.roll(picture, 3 * index, axis=1)


def video_pictures(path: Path, sizes: Sequence[Size]) -> dict[Size, Pictures]:
    """
    Return the first frames of a video, over and over, at these sizes or at its own.

    path  a video, a picture or a folder of pictures
    """
    frames = chain.from_iterable(source.frames() for source in open_sources(path))
    images = [frame.image for frame in islice(frames, VIDEO_FRAMES)]
    height, width = images[0].shape[:2]
    return {size: _repeated(images, size) for size in sizes or [(width, height)]}


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    lines = [
        '| ' + ' | '.join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + ' |'
        for row in (head, *rows)
    ]
    return [lines[0], '|' + '|'.join('-' * (w + 2) for w in widths) + '|', *lines[1:]]


def _repeated(images: Sequence[NDArray[np.uint8]], size: Size) -> Pictures:
    resized = [np.asarray(cv2.resize(image, size), np.uint8) for image in images]
    return lambda index: resized[index % len(resized)]


def _check(most: int, people: Sequence[int], rounds: int, warm_up: int) -> None:
    for number in people:
        if not 1 <= number <= most:
            raise ValueError(f'people must be 1 to {most} with this model, got {number}')
    if rounds < 1 or warm_up < 0:
        raise ValueError(
            f'rounds must be 1 or more and warm-up 0 or more, got {rounds} and {warm_up}'
        )
