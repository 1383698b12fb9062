"""Fair timing on a busy machine: the candidates take turns, and ratios come first."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import onnxruntime as ort

Milliseconds = list[float]


def interleaved(
    candidates: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3
) -> dict[str, Milliseconds]:
    """Run every candidate once a round, so that a slow minute hits all of them."""
    times: dict[str, Milliseconds] = {name: [] for name in candidates}
    for turn in range(warm_up + rounds):
        for name, run in candidates.items():
            began = time.perf_counter()
            run()
            if turn >= warm_up:
                times[name].append(1e3 * (time.perf_counter() - began))
    return times


def percentile(times: Milliseconds, share: float) -> float:
    """Return the time that this share of the runs stayed under."""
    return sorted(times)[min(len(times) - 1, int(share * len(times)))]


def print_times(times: Mapping[str, Milliseconds], base: str) -> None:
    """Print a Markdown table: ratio of medians to the base's, then milliseconds."""
    unit = statistics.median(times[base])
    rows = [
        (
            name,
            f'{statistics.median(of) / unit:.2f}',
            f'{statistics.median(of):.2f}',
            f'{percentile(of, 0.95):.2f}',
        )
        for name, of in times.items()
    ]
    print_table(('', f'x {base}', 'median ms', 'p95 ms'), rows)


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for index, row in enumerate((head, *rows)):
        print('| ' + ' | '.join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + ' |')
        if index == 0:
            print('|' + '|'.join('-' * (w + 2) for w in widths) + '|')


def print_setting() -> None:
    """Print the command and the machine, without which no figure means anything."""
    cpu = platform.processor()
    facts = Path('/proc/cpuinfo')
    if facts.is_file():
        names = [x.split(':')[1] for x in facts.read_text().splitlines() if 'model name' in x]
        cpu = names[0].strip() if names else cpu
    load = os.getloadavg()[0]
    print(f'command: {" ".join(["python", *sys.argv])}')
    print(
        f'machine: {cpu}, {os.cpu_count()} cores, load {load:.1f}; onnxruntime {ort.__version__}'
    )
