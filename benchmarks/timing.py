"""Fair timing on a busy machine: the candidates take turns, and ratios come first."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import onnxruntime as ort

from pavenet_core.benchmark import markdown_table
from pavenet_core.machine import Machine

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
    print('\n'.join(markdown_table(head, rows)))


def print_setting() -> None:
    """Print the command and the machine, without which no figure means anything."""
    print(f'command: {" ".join(["python", *sys.argv])}')
    print(f'machine: {Machine().describe()}; onnxruntime {ort.__version__}')
