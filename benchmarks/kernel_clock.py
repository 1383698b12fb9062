"""Times of short GPU work: events around every call, and around replays of a CUDA graph."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

Run = Callable[[], object]
Facts = dict[str, Any]
SLOW_SECONDS = 1.0  # what takes longer is run no more often than it must be


def summary(milliseconds: Sequence[float]) -> Facts:
    """Return median and 95th percentile in milliseconds."""
    ordered = sorted(milliseconds)
    return {
        'median_ms': statistics.median(ordered),
        'p95_ms': ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))],
        'runs': len(ordered),
    }


def time_calls(
    runs: Sequence[Run], device: str, seconds: float = 0.1, most: int = 50, least: int = 10
) -> Facts:
    """
    Time calls one by one, taking turns among `runs`, whose inputs together outgrow the cache.

    A short call's time includes the host's: the GPU waits for Python.
    """
    slow = warm_up(runs, device)
    if device == 'cpu':
        return summary([_host_time(runs[i % len(runs)]) for i in range(2 * len(runs))])
    least = 2 if slow else least
    events = []
    began = time.perf_counter()
    while len(events) < least or (len(events) < most and time.perf_counter() - began < seconds):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        run = runs[len(events) % len(runs)]
        start.record()
        run()
        end.record()
        events.append((start, end))
        if slow or len(events) % 10 == 0:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    return summary([start.elapsed_time(end) for start, end in events])


def warm_up(runs: Sequence[Run], device: str) -> bool:
    """Run each three times, slow ones twice; return whether they are slow."""
    took = 0.0
    for turn in range(3):
        began = time.perf_counter()
        for run in runs:
            run()
        if device != 'cpu':
            torch.cuda.synchronize()
        took = (time.perf_counter() - began) / len(runs)
        if turn and took > SLOW_SECONDS:  # the first may have had things to load
            break
    return took > SLOW_SECONDS


def time_graph(runs: Sequence[Run], device: str, replays: int = 12, least: int = 6) -> Facts:
    """Time a CUDA graph of all runs, per run: what the GPU takes without waiting for the host."""
    if device == 'cpu':
        return time_calls(runs, device)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        warm_up(runs, device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            kept = [run() for run in runs]
    replayed = time_calls([graph.replay], device, most=replays, least=least)
    del kept
    return {
        key: value / len(runs) if key.endswith('_ms') else value for key, value in replayed.items()
    }


def copy_bandwidth(device: str) -> float:
    """Return bytes read and written a second by copying a tensor far larger than any cache."""
    count = 1 << 16 if device == 'cpu' else 1 << 30
    source = torch.randn(count, device=device)
    target = torch.empty_like(source)
    median = time_calls([lambda: target.copy_(source)], device, most=20)['median_ms']
    return 2 * source.numel() * source.element_size() / (1e-3 * float(median))


def _host_time(run: Run) -> float:
    began = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - began)
