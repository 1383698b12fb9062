"""A live node's answers beside those that every image of the same bag has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pavenet_core.bag.live import LiveRecording
from pavenet_core.poses import Poses
from pavenet_core.runtime.identities import nearest_pairs

NAMED = 10  # so many dropped images are named


@dataclass(frozen=True)
class Comparison:
    """
    What a recording of a live node and the bag that it saw have to do with each other.

    A bag that is played in a loop is passed through several times; an image before the last one
    begins the next pass.

    dropped       (pass, index of the image) of those unanswered between first and last answer
    expected      images between the first and the last answer, all passes
    before, after  images of the first pass before, of the last pass after them
    foreign       answers to images that the bag does not have
    people        of the stamps that both have: found here, live, and paired as the same
    distances_px  (pairs,) mean distance of the keypoints of each pair
    """

    recording: LiveRecording
    passes: int
    dropped: tuple[tuple[int, int], ...]
    expected: int
    before: int
    after: int
    foreign: int
    people: tuple[int, int, int]
    distances_px: NDArray[np.float32]

    def lines(self) -> list[str]:
        """Return it as lines of text."""
        name = f'{self.recording.path} on {self.recording.topic}'
        if not self.passes:
            return [f'{name}: none of its {self.foreign} answers is to an image of this bag']
        here, live, same = self.people
        passes = '1 pass' if self.passes == 1 else f'{self.passes} passes'
        lines = [
            f'{name}: the live node answered {self.expected - len(self.dropped)} images in '
            f'{passes} over this bag, and dropped {len(self.dropped)} of '
            f'{self.expected} between its first answer and its last{self._named()}',
            f'  before the first: {self.before} images; after the last: {self.after}',
            f'  people in images that both answered: {here} here, {live} live, {same} the same',
        ]
        if same:
            half, most, farthest = np.percentile(self.distances_px, (50, 95, 100))
            lines.append(
                f'  their keypoints lie apart by {half:.2f} px (median), {most:.2f} px (95 %), '
                f'{farthest:.2f} px (at most)'
            )
        if self.foreign:
            lines.append(f'  {self.foreign} more answers are to images that this bag lacks')
        return lines

    def _named(self) -> str:
        if not self.dropped:
            return ''
        named = ', '.join(f'{index} of pass {turn}' for turn, index in self.dropped[:NAMED])
        return f' ({named}{", ..." if len(self.dropped) > NAMED else ""})'


def compare(recording: LiveRecording, here: Mapping[int, tuple[int, Poses]]) -> Comparison:
    """
    Compare a recording with the answers here.

    here  the index of each image and its people by the image's stamp, in order; of images that
          share a stamp one
    """
    known = [answer for answer in recording.answers if answer.poses.stamp_ns in here]
    places = {stamp: place for place, stamp in enumerate(here)}
    turns = _passes([places[answer.poses.stamp_ns] for answer in known])
    first, last = (min(turns[0]), max(turns[-1])) if turns else (0, -1)
    indices = [index for index, _ in here.values()]
    spans = [
        range(first if turn is turns[0] else 0, last + 1 if turn is turns[-1] else len(here))
        for turn in turns
    ]
    dropped = [
        (number, indices[place])
        for number, (turn, span) in enumerate(zip(turns, spans, strict=True), 1)
        for place in span
        if place not in turn
    ]
    pairs = [(here[answer.poses.stamp_ns][1], answer.poses) for answer in known]
    distances = [distances_px(*pair) for pair in pairs]
    same = np.concatenate([np.zeros(0, np.float32), *distances])
    return Comparison(
        recording,
        passes=len(turns),
        dropped=tuple(dropped),
        expected=sum(map(len, spans)),
        before=first,
        after=len(here) - 1 - last if turns else 0,
        foreign=len(recording.answers) - len(known),
        people=(sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs), len(same)),
        distances_px=same,
    )


def _passes(places: Sequence[int]) -> list[list[int]]:
    passes: list[list[int]] = []
    for place in places:
        if not passes or place < passes[-1][-1]:
            passes.append([])
        passes[-1].append(place)
    return passes


def distances_px(a: Poses, b: Poses) -> NDArray[np.float32]:
    """Return (pairs,) the mean distance of the keypoints of people who are the same, in pixels."""
    if not len(a) or not len(b):
        return np.zeros(0, np.float32)
    apart = np.linalg.norm(a.keypoints_px[:, None] - b.keypoints_px, axis=-1).mean(-1)
    sizes = np.sqrt(np.ptp(a.keypoints_px, axis=1).prod(-1) + np.spacing(np.float32(1)))
    return np.array([apart[pair] for pair in nearest_pairs(apart / sizes[:, None])], np.float32)
