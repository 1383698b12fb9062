"""A page about a bag: who was there when, and how even and how old its images are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pavenet_core import page
from pavenet_core.bag.diary import BagDiary, Entry
from pavenet_core.bag.figures import Floats, curve_svg, people_svg, rhythm_svg
from pavenet_core.bag.read import BagSource
from pavenet_core.poses import UNKNOWN

if TYPE_CHECKING:
    from pavenet_core.bag.compare import Comparison

LATE = 1.5  # usual steps from one image to the next, and it is late
WORST_GAPS = 8
ABSENT_S = 1.0  # who is away longer is drawn so


@dataclass(frozen=True)
class BagReport:
    """
    What a page about a bag is made of.

    command, model  as it was typed; name and version
    comparison      with a recording of a live node
    accuracy        parts of a page about it
    """

    command: str
    model: str
    source: BagSource
    diary: BagDiary
    comparison: 'Comparison | None' = None
    accuracy: Sequence[str] = ()


def write_bag_report(report: BagReport) -> str:
    """Return the page as HTML."""
    entries = report.diary.entries
    times = _times(entries)
    end_s = float(times[-1]) if len(times) else 0.0
    name = f'{report.source.topic} of {report.source.path.name}'
    parts = [
        f'<h1>{escape(name)}</h1>',
        page.facts(_facts(report)),
        _people(entries, times, end_s),
        _pictures(report.diary),
        _speed(entries, times, end_s),
        _rhythm(report, times, end_s),
        _age(entries, times, end_s),
        _processing(entries, times, end_s),
        *report.accuracy,
    ]
    return page.write_page(f'{report.model} on {name}', parts)


def _facts(report: BagReport) -> dict[str, str]:
    entries, source = report.diary.entries, report.source
    began = datetime.fromtimestamp(entries[0].recorded_ns / 1e9, timezone.utc)
    length_s = (entries[-1].recorded_ns - entries[0].recorded_ns) / 1e9
    sizes = sorted({entry.size for entry in entries})
    frames = sorted({entry.frame_id for entry in entries})
    return {
        'command': report.command,
        'model': report.model,
        'images': f'{source.num_frames} of {" and ".join(f"{w}x{h}" for w, h in sizes)} pixels, '
        f'frame_id {", ".join(frames) or "empty"}',
        'recorded': f'{began.strftime("%Y-%m-%d %H:%M:%S UTC")}, {length_s:.1f} s long',
    }


def _times(entries: Sequence[Entry]) -> Floats:
    recorded = np.array([entry.recorded_ns for entry in entries], np.int64)
    return np.asarray((recorded - recorded[:1]) / 1e9, np.float64)


def _people(entries: Sequence[Entry], times: Floats, end_s: float) -> str:
    counts = np.array([len(entry.ids) for entry in entries], np.float64)
    spans = presence(entries, times)
    rows = [f'{counts.mean():.1f}', f'{counts.max():.0f}', f'{100 * (counts > 0).mean():.0f} %']
    parts = [
        '<h2>People</h2>',
        page.table(
            ['in an image, on average', 'at most', 'images with anybody', 'ids given'],
            [[*rows, str(len(spans))]],
        ),
        curve_svg(times, counts, 'people', end_s, whole=True),
    ]
    if spans:
        parts += [
            '<p class="note">When each id was there. A person who was lost for long comes back '
            'with a new one; of many ids those there longest are shown.</p>',
            people_svg(spans, end_s),
        ]
    return '\n'.join(parts)


def presence(entries: Sequence[Entry], times: Floats) -> dict[int, list[tuple[float, float]]]:
    """Return when each id was there, as (start, length) in seconds."""
    seen: dict[int, list[float]] = {}
    for entry, time in zip(entries, times.tolist(), strict=True):
        for number in set(entry.ids) - {UNKNOWN}:
            seen.setdefault(number, []).append(time)
    return {number: _spans(moments) for number, moments in seen.items()}


def _spans(moments: Sequence[float]) -> list[tuple[float, float]]:
    starts = [moments[0], *(b for a, b in pairwise(moments) if b - a > ABSENT_S)]
    ends = [*(a for a, b in pairwise(moments) if b - a > ABSENT_S), moments[-1]]
    return [(start, end - start) for start, end in zip(starts, ends, strict=True)]


def _pictures(diary: BagDiary) -> str:
    figures = ''.join(
        f'<figure><img alt="people" src="{moment.picture}"><figcaption>image '
        f'{moment.entry.index}, people: {len(moment.entry.ids)}</figcaption></figure>'
        for moment in diary.moments
    )
    return (
        '<h2>Pictures</h2><p class="note">Of each part of the bag the image whose people have the '
        f'highest scores together.</p><div class="grid">{figures}</div>'
    )


def _speed(entries: Sequence[Entry], times: Floats, end_s: float) -> str:
    speeds = np.array([max(entry.speeds, default=np.nan) for entry in entries])
    if not np.isfinite(speeds).any():
        return ''
    return (
        '<h2>Speed of motion</h2><p class="note">Of the fastest person in each image: the median '
        'over the keypoints, in sizes of the person (root of the area of the box) per second, '
        'since the image before. The trembling of the answers is part of it.</p>'
        + curve_svg(times, speeds, 'sizes / s', end_s)
    )


def _rhythm(report: BagReport, times: Floats, end_s: float) -> str:
    entries, comparison = report.diary.entries, report.comparison
    steps = np.diff([entry.stamp_ns for entry in entries]) / 1e6
    onward = steps > 0
    if not onward.any():
        return ''
    usual = float(np.median(steps[onward]))
    late = np.flatnonzero(steps > LATE * usual)
    dropped = {index for _, index in comparison.dropped} if comparison else set()
    dropped_s = times[[entry.index in dropped for entry in entries]]
    parts = [
        '<h2>Rate, gaps and drops</h2>',
        _rates(steps, usual, late, len(report.source.unreadable)),
        '<p class="note">From the stamp of each image to that of the next. A gap is longer than '
        f'{LATE} usual steps (red).</p>',
        rhythm_svg(times[1:][onward], steps[onward], dropped_s, usual, end_s),
        _gaps(entries, steps, late),
        _unreadable(report.source),
    ]
    if comparison:
        lines = ''.join(f'<li>{escape(line.strip())}</li>' for line in comparison.lines())
        parts.append(f'<p>Against the live node (its drops are orange above):</p><ul>{lines}</ul>')
    return '\n'.join(parts)


def _rates(steps: Floats, usual: float, late: NDArray[np.intp], unreadable: int) -> str:
    columns = {
        'usual rate': f'{1e3 / usual:.2f} / s',
        'gaps': str(len(late)),
        'longest': f'{steps[late].max():.0f} ms' if len(late) else '-',
        'images missing in them': str(sum(round(steps[i] / usual) - 1 for i in late)),
        'time went back': str(int((steps < 0).sum())),
        'unreadable': str(unreadable),
    }
    return page.table([*columns], [[*columns.values()]])


def _unreadable(source: BagSource) -> str:
    if not source.unreadable:
        return ''
    first = source.unreadable[0]
    return (
        f'<p class="note">The first image that could not be decoded, {first.header.index}: '
        f'{escape(first.reason)}</p>'
    )


def _gaps(entries: Sequence[Entry], steps: Floats, late: NDArray[np.intp]) -> str:
    worst = sorted(late.tolist(), key=lambda i: -steps[i])[:WORST_GAPS]
    if not worst:
        return ''
    lines = [[str(entries[i].index), f'{steps[i]:.0f} ms'] for i in sorted(worst)]
    return page.table(['longest gaps: after image', 'to the next'], lines)


def _age(entries: Sequence[Entry], times: Floats, end_s: float) -> str:
    ages = np.array([np.nan if entry.age_ms is None else entry.age_ms for entry in entries])
    if not np.isfinite(ages).any():
        return ''
    half, most = np.nanpercentile(ages, (50, 95))
    return (
        f'<h2>Age when recorded</h2><p class="note">From the stamp of an image to its recording: '
        f'{half:.1f} ms (median), {most:.1f} ms (95 %).</p>' + curve_svg(times, ages, 'ms', end_s)
    )


def _processing(entries: Sequence[Entry], times: Floats, end_s: float) -> str:
    spent = np.array([1e3 * entry.spent_s for entry in entries])
    half, most = np.percentile(spent, (50, 95))
    return (
        '<h2>Processing</h2><p class="note">Reading an image and finding its people, on the '
        f'machine that made this page: {half:.1f} ms (median), {most:.1f} ms (95 %).</p>'
        + curve_svg(times, spent, 'ms', end_s)
    )
