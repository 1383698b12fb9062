"""One HTML file that shows an evaluation; it needs nothing beside it and no network."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pavenet_core import page
from pavenet_core.data.dataset import Dataset
from pavenet_core.evaluation.accuracy import Accuracy
from pavenet_core.evaluation.breakdown import Group, break_down, tabulate, worst_frames
from pavenet_core.evaluation.figures import frame_jpegs, precision_recall_svg
from pavenet_core.evaluation.temporal import TemporalRow
from pavenet_core.evaluation.text import percent, share, temporal_cells
from pavenet_core.metrics.people import SCORE, match_dataset
from pavenet_core.metrics.posetrack import GROUPS, TOTAL
from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

WORST_FRAMES = 8


@dataclass(frozen=True)
class ReportFacts:
    """
    What a reader needs to do it again.

    command  as it was typed
    model    name and version
    window   how frames were seen
    """

    command: str
    model: str
    window: str


def write_html(
    facts: ReportFacts,
    dataset: Dataset,
    poses: Sequence[Poses],
    accuracy: Accuracy,
    temporal: Sequence[TemporalRow] = (),
) -> str:
    """Return the report as HTML."""
    clips = len({frame.clip.name for frame in dataset.frames})
    rows = {
        'command': facts.command,
        'labels': f'{dataset.skeleton.name}, frames: {len(dataset.frames)}, '
        f'clips and stills: {clips}',
        'window': facts.window,
    }
    parts = [
        f'<h1>{escape(facts.model)} on {escape(dataset.name)}</h1>',
        page.facts(rows),
        *accuracy_parts(dataset, poses, accuracy, temporal),
    ]
    return page.write_page(f'{facts.model}: accuracy', parts)


def accuracy_parts(
    dataset: Dataset,
    poses: Sequence[Poses],
    accuracy: Accuracy,
    temporal: Sequence[TemporalRow] = (),
) -> list[str]:
    """Return the parts of a page about an accuracy."""
    return [
        _accuracy(accuracy),
        _curves(accuracy, dataset.skeleton),
        _breakdown(dataset, poses),
        _temporal(temporal) if temporal else '',
        _worst(dataset, poses),
    ]


def _accuracy(accuracy: Accuracy) -> str:
    parts = ['<h2>Accuracy by OKS, COCO protocol</h2>']
    parts.append(page.table(list(accuracy.oks), [list(map(share, accuracy.oks.values()))]))
    if accuracy.missed is not None:
        parts.append(
            f'<p class="note">{100 * accuracy.missed:.1f} % of the labelled people were missed at '
            f'the score {SCORE}, the least that the runtime reports if nothing else is said.</p>'
        )
    if accuracy.posetrack is not None:
        columns = [*GROUPS, TOTAL]
        parts.append('<h2>PoseTrack AP, percent</h2>')
        parts.append(page.table(columns, [[percent(accuracy.posetrack[n]) for n in columns]]))
    return '\n'.join(parts)


def _curves(accuracy: Accuracy, skeleton: Skeleton) -> str:
    by_heads = accuracy.posetrack is not None
    rule = "half the labelled head's size" if by_heads else 'an OKS of 0.5 of its own'
    return (
        '<h2>Precision over recall, joint by joint</h2>'
        f'<p class="note">A joint is right within {rule} of the labelled one, if its person was '
        "given to that one. It ranks by its own score times its person's. The dents of the curves "
        'are filled.</p>' + precision_recall_svg(accuracy.joints, skeleton)
    )


def _breakdown(dataset: Dataset, poses: Sequence[Poses]) -> str:
    table = tabulate(dataset, poses, match_dataset(dataset, poses))
    parts = [
        '<h2>Where people are missed</h2><p class="note">Found are those whose answer reaches the '
        f'score {SCORE} and an OKS of 0.5. The error is the median of the found ones: the mean '
        "distance of a person's joints, in percent of the root of its area.</p>"
    ]
    for title, groups in break_down(table).items():
        lines = [
            [group.name, str(group.people), _error(group), _bar(group)]
            for group in groups
            if group.people
        ]
        parts.append(page.table([title, 'people', 'error', 'missed'], lines))
    return '\n'.join(parts)


def _error(group: Group) -> str:
    return '-' if group.error is None else f'{100 * group.error:.1f} %'


def _bar(group: Group) -> str:
    return f'<i style="width:{8 * group.missed:.2f}rem"></i>{100 * group.missed:.0f} %'


def _temporal(rows: Sequence[TemporalRow]) -> str:
    return (
        '<h2>What the neighbours are worth</h2><p class="note">The same weights on the key frame '
        'alone, repeated (still), with the frames before it (causal), and with those after it too '
        '(lookahead). Only the key frame is made worse. Jitter is the mean acceleration of the '
        "joints beyond the labels', in sizes of the person per step squared.</p>"
        + page.table(*temporal_cells(rows))
    )


def _worst(dataset: Dataset, poses: Sequence[Poses]) -> str:
    matches = match_dataset(dataset, poses)
    parts = [
        '<h2>The worst frames</h2><p class="note">By the mean OKS of the labelled people, those '
        'missed or invented with 0. Left the labels, right the answer.</p>'
    ]
    for place, worth in worst_frames(matches, WORST_FRAMES):
        frame, match = dataset.frames[place], matches[place]
        labelled, found = frame_jpegs(frame, poses[place], dataset.skeleton)
        where = (
            f'{frame.clip.name}, frame {frame.index}'
            if len(frame.clip.files) > 1
            else (frame.clip.name)
        )
        people, missed = int(match.counted.sum()), int((match.counted & (match.found < 0)).sum())
        parts.append(
            f'<figure class="pair"><img alt="labels" src="{labelled}"><img alt="answer" '
            f'src="{found}"><figcaption>{escape(where)}: mean OKS {worth:.2f}; of {people} people '
            f'{missed} missed, {match.invented} invented</figcaption></figure>'
        )
    return '\n'.join(parts)
