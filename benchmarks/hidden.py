"""
Who keeps their id when they are not answered for a while, on real videos.

python benchmarks/hidden.py VIDEO...

Each person who was followed all the time around it is taken out of the answers for so many frames
of a video, and named anew together with all others. Who is who comes from the answers themselves,
nobody taken out, so that only people who are easily followed count.
"""

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from timing import print_setting, print_table

from pavenet_core.poses import UNKNOWN, Poses
from pavenet_core.runtime import Identities, PoseModel, VideoPoseEstimator
from pavenet_core.runtime.appearance import Looks
from pavenet_core.video import open_sources

Answer = tuple[Poses, Sequence[int], Looks]  # the stamps are those of its window's frames
BEFORE, AFTER = 4, 3  # frames around it in which the person must be followed
OUTCOMES = ('kept', 'new', 'somebody else', 'taken over meanwhile')


class Recorder(Identities):
    """Keeps what the network says, before anybody has an id."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Answer] = []

    def name(self, poses: Poses, stamps_ns: Sequence[int], looks: Looks) -> Poses:
        """Note the answer and leave it as it is."""
        self.answers.append((poses, stamps_ns, looks))
        return poses


def main() -> None:
    """Take people out for several times, and print who they were afterwards."""
    parser = argparse.ArgumentParser(description=__doc__.strip().split('\n\n')[0])
    parser.add_argument('videos', type=Path, nargs='+')
    parser.add_argument('--model', default='compact')
    parser.add_argument('--frames', type=int, nargs='+', default=[3, 6, 12, 20], help='of absence')
    args = parser.parse_args()
    print_setting()
    model = PoseModel(args.model, num_threads=1)
    videos = [answers(model, video) for video in args.videos]
    random = np.random.default_rng(0)
    rows = []
    for frames in args.frames:
        counts: Counter[str] = Counter()
        for video in videos:
            last = len(video) - frames - AFTER
            if last > BEFORE:
                counts.update(outcomes(video, int(random.integers(BEFORE, last)), frames))
        rows.append([str(frames), *(str(counts[name]) for name in OUTCOMES)])
    print_table(['frames', *OUTCOMES], rows)


def answers(model: PoseModel, path: Path) -> list[Answer]:
    """Return what the network says of each frame of a video."""
    estimator = VideoPoseEstimator(model)
    recorder = estimator.identities = Recorder()
    [video] = open_sources(path)
    for frame in video.frames():
        estimator.push(frame)
    return recorder.answers


def outcomes(video: list[Answer], start: int, frames: int) -> list[str]:
    """Return one of `OUTCOMES` for each person followed around these frames."""
    identities = Identities()
    known = [ids_of(identities.name(*answer)) for answer in video]
    end = start + frames
    followed = set.intersection(*map(set, known[start - BEFORE : end + AFTER])) - {UNKNOWN}
    return [outcome(video, known, who, slice(start, end)) for who in sorted(followed)]


def outcome(video: list[Answer], known: list[list[int]], who: int, absent: slice) -> str:
    """Take a person out of some frames; return who they are in the last one after them."""
    identities = Identities()
    named = []
    for index, (poses, stamps_ns, looks) in enumerate(video):
        if absent.start <= index < absent.stop:
            # With them go second answers, which have no id and would stand in for them.
            kept = [
                person
                for person, number in enumerate(known[index])
                if number not in (who, UNKNOWN)
            ]
            poses, looks = poses.take(kept), looks.take(kept)
        named.append(ids_of(identities.name(poses, stamps_ns, looks)))
    if any(who in ids for ids in named[absent]):
        return 'taken over meanwhile'
    last = absent.stop + AFTER - 1
    now = named[last][known[last].index(who)]
    if now == who:
        return 'kept'
    return 'new' if now not in named[absent.start - 1] else 'somebody else'


def ids_of(poses: Poses) -> list[int]:
    """Return the ids, 0 where there is none."""
    assert poses.ids is not None
    return [int(number) for number in poses.ids]


if __name__ == '__main__':
    main()
