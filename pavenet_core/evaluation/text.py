"""The numbers as lines of text."""

from collections.abc import Sequence

from pavenet_core.evaluation.accuracy import Accuracy
from pavenet_core.evaluation.temporal import TemporalRow
from pavenet_core.metrics.people import SCORE
from pavenet_core.metrics.posetrack import GROUPS, TOTAL


def share(value: float | None) -> str:
    """Show a number in [0, 1]."""
    return '-' if value is None else f'{value:.3f}'


def percent(value: float | None) -> str:
    """Show a number in [0, 100] as poseval prints it."""
    return '-' if value is None else f'{value:.1f}'


def temporal_cells(rows: Sequence[TemporalRow]) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the lines of the table of windows."""
    heads = ['key frame', 'window', 'AP', 'AP50', 'AR', 'missed', 'jitter']
    return heads, [
        [row.key_frame, row.window]
        + [share(value) for value in (row.AP, row.AP50, row.AR, row.missed, row.jitter)]
        for row in rows
    ]


def accuracy_lines(accuracy: Accuracy) -> list[str]:
    """Return the accuracy, a number a line, and PoseTrack's as its table."""
    lines = [
        f'  {name:<10} {"nobody labelled" if value is None else share(value)}'
        for name, value in accuracy.oks.items()
    ]
    lines.append(f'  {"missed":<10} {share(accuracy.missed)} at score {SCORE}')
    if accuracy.posetrack is not None:
        columns = [*GROUPS, TOTAL]
        lines.append('PoseTrack AP, percent')
        lines.append('  ' + ' '.join(f'{name:>6}' for name in columns))
        lines.append('  ' + ' '.join(f'{percent(accuracy.posetrack[n]):>6}' for n in columns))
    return lines


def temporal_lines(rows: Sequence[TemporalRow]) -> list[str]:
    """Return the table of windows."""
    heads, lines = temporal_cells(rows)
    return [
        f'{cells[0]:<12} {cells[1]:<10} ' + ' '.join(f'{cell:>7}' for cell in cells[2:])
        for cells in (heads, *lines)
    ]
