"""Curves over the length of a bag, as parts of a page."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pavenet_core.page import plotting, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Floats = NDArray[np.float64]

COLUMNS = 400  # more values than that are put together: a screen has not more to show
WIDTH, HEIGHT = 9.5, 1.9  # of a figure, in inches
ROWS = 25  # of people
BLUE, ORANGE, RED = '#3b82c4', '#e07b1f', '#c4383b'


def curve_svg(
    times_s: Floats, values: Floats, label: str, end_s: float, *, whole: bool = False
) -> str:
    """
    Draw values over time, those that are no number left out; of many, median and range.

    whole  the values are counts: no halves on the axis
    """

    def draw(axes: 'Axes') -> None:
        known = np.isfinite(values)
        middle, low, high = binned(times_s[known], values[known], end_s)
        if len(middle):
            axes.fill_between(low[0], low[1], high[1], color=BLUE, alpha=0.25, lw=0, step='mid')
            axes.plot(middle[0], middle[1], color=BLUE, lw=1.2, drawstyle='steps-mid')
            axes.set_ylim(0, 1.08 * max(high[1].max(), 1e-6))
        axes.locator_params(axis='y', integer=whole)

    return _svg(draw, label, end_s)


def people_svg(spans: Mapping[int, Sequence[tuple[float, float]]], end_s: float) -> str:
    """Draw when each id was there, (start, length) in seconds; the longest ones if many."""
    longest = sorted(spans, key=lambda number: -sum(length for _, length in spans[number]))
    shown = sorted(longest[:ROWS])

    def draw(axes: 'Axes') -> None:
        least = end_s / COLUMNS  # so that one image is seen
        for row, number in enumerate(shown):
            bars = [(start, max(length, least)) for start, length in spans[number]]
            axes.broken_barh(bars, (row - 0.35, 0.7), color=BLUE)
        axes.set_yticks(range(len(shown)), [str(number) for number in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)

    return _svg(draw, 'id', end_s, height=0.7 + 0.18 * max(4, len(shown)))


def rhythm_svg(
    times_s: Floats, steps_ms: Floats, dropped_s: Floats, usual_ms: float, end_s: float
) -> str:
    """Draw the time from each image to the next, and where a live node dropped images."""

    def draw(axes: 'Axes') -> None:
        late = steps_ms > 1.5 * usual_ms
        axes.plot(times_s[~late], steps_ms[~late], '.', ms=2, color=BLUE, rasterized=True)
        axes.plot(times_s[late], steps_ms[late], 'o', ms=4, color=RED)
        axes.axhline(usual_ms, color='#57606a', lw=0.6)
        axes.set_ylim(0, 1.15 * max(steps_ms.max(initial=usual_ms), 1e-6))
        if len(dropped_s):
            bottom = np.zeros(len(dropped_s))
            axes.plot(dropped_s, bottom, '|', ms=10, color=ORANGE, clip_on=False)

    return _svg(draw, 'ms', end_s)


def binned(
    times_s: Floats, values: Floats, end_s: float
) -> tuple[list[Floats], list[Floats], list[Floats]]:
    """Return (times, values) of the median, the least and the most of each column with values."""
    if len(values) <= COLUMNS:
        curve = [times_s, values]
        return curve, curve, curve
    place = np.minimum((times_s / max(end_s, 1e-9) * COLUMNS).astype(int), COLUMNS - 1)
    columns = np.unique(place)
    groups = [values[place == column] for column in columns]
    middles = (columns + 0.5) * end_s / COLUMNS
    median, least, most = (
        [middles, np.array([float(function(group)) for group in groups])]
        for function in (np.median, np.min, np.max)
    )
    return median, least, most


def _svg(draw: 'Callable[[Axes], None]', label: str, end_s: float, height: float = HEIGHT) -> str:
    from matplotlib.figure import Figure

    with plotting():
        figure = Figure(figsize=(WIDTH, height), dpi=110)
        # The same edges in all of them, so that one time is at one place.
        figure.subplots_adjust(left=0.07, right=0.995, bottom=0.42 / height, top=1 - 0.08 / height)
        axes = figure.add_subplot(xlim=(0, max(end_s, 1e-3)), ylabel=label)
        axes.yaxis.set_label_coords(-0.055, 0.5)
        axes.set_xlabel('seconds since the first image', fontsize=8)
        axes.grid(alpha=0.25)
        axes.spines[['top', 'right']].set_visible(False)
        draw(axes)
        return svg(figure)
