"""The whole network on a GPU: latency, memory, operations, and where the time goes."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from kernel_clock import time_calls, time_graph
from kernel_report import Facts, Report

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.ops import attention
from pavenet_core.presets import COMPACT, HRNET_W48, R50, SWIN_L

PEOPLE = 20
SIZES = ((800, 1333), (480, 640))
SECONDS = 120  # after this nothing new is begun
Run = Callable[[], Any]


def models(report: Report) -> None:
    """Time whole windows of three frames."""
    began = time.perf_counter()
    for config, size in _plan(report):
        name = f'{config.name} {size[0]}x{size[1]}'
        if time.perf_counter() - began > SECONDS:
            report.note(name, {'skipped': 'out of time'})
            continue
        report.attempt(name, lambda c=config, s=size: _model(c, s, report))


def compiled(report: Report) -> None:
    """Let torch.compile make what it can of the smallest network, in half precision."""
    config, size = _plan(report)[0]
    report.attempt(f'{config.name} {size[0]}x{size[1]}', lambda: _compiled(config, size, report))


def _plan(report: Report) -> list[tuple[ModelConfig, tuple[int, int]]]:
    if report.dry_run:
        return [(replace(COMPACT, num_queries=4), (64, 96))]
    return [(config, size) for config in (R50, HRNET_W48, SWIN_L) for size in SIZES]


def _model(config: ModelConfig, size: tuple[int, int], report: Report) -> Facts:
    model, run = _window(config, size, report)
    found: Facts = {'parameters': sum(p.numel() for p in model.parameters())}
    found['operations'] = _operations(run)
    for precision in ('float32',) if report.dry_run else ('float32', 'tf32', 'float16'):
        for form in ('kernel', 'torch form'):
            with _precision(precision), _form(form):
                found[f'{precision}, {form}'] = _latency(run, report)
    if not report.dry_run:
        with _precision('float16'):
            found['time by kernel'] = _profile(run)
    return found


def _window(config: ModelConfig, size: tuple[int, int], report: Report) -> tuple[PaveNet, Run]:
    torch.manual_seed(0)
    model = PaveNet(config).eval().requires_grad_(False).to(report.device)
    alignment = config.input_alignment
    height, width = (-(-side // alignment) * alignment for side in size)
    images = torch.randn(1, config.num_frames, 3, height, width, device=report.device)
    valid_sizes = torch.tensor([size])

    def run() -> Any:
        with torch.inference_mode():
            return model(images, valid_sizes, PEOPLE)

    return model, run


def _latency(run: Run, report: Report) -> Facts:
    if not report.dry_run:
        torch.cuda.reset_peak_memory_stats()
    facts = {'calls': time_calls([run], report.device, seconds=0.8, most=20, least=5)}
    if not report.dry_run:
        facts['peak_bytes'] = torch.cuda.max_memory_allocated()
        try:
            facts['graph'] = time_graph([run], report.device, replays=10, least=5)
        except RuntimeError as error:
            facts['graph_failed'] = str(error)[:300]
            torch.cuda.synchronize()
    return facts


def _compiled(config: ModelConfig, size: tuple[int, int], report: Report) -> Facts:
    model, run = _window(config, size, report)
    began = time.perf_counter()
    backend = 'eager' if report.dry_run else 'inductor'
    model.compile(backend=backend)
    with _precision('float32' if report.dry_run else 'float16'):
        run()
        seconds = time.perf_counter() - began
        return {'compile_seconds': seconds, 'calls': time_calls([run], report.device, seconds=1)}


def _operations(run: Run) -> int:
    """Return additions and multiplications of matrix products and convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def _profile(run: Run) -> Facts:
    """Return the share of GPU time of the kernels that take most."""
    from torch.profiler import ProfilerActivity, profile

    run()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiled:
        run()
        torch.cuda.synchronize()
    kernels = [x for x in profiled.key_averages() if x.self_device_time_total > 0]
    total = sum(x.self_device_time_total for x in kernels)
    kernels.sort(key=lambda x: -x.self_device_time_total)
    return {
        'total_ms': total / 1e3,
        'shares': [
            [x.key[:120], x.count, round(x.self_device_time_total / total, 4)]
            for x in kernels[:25]
        ],
    }


@contextlib.contextmanager
def _precision(name: str) -> Iterator[None]:
    torch.backends.cuda.matmul.allow_tf32 = name == 'tf32'
    torch.backends.cudnn.allow_tf32 = name == 'tf32'
    with torch.autocast('cuda', torch.float16, enabled=name == 'float16'):
        yield
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@contextlib.contextmanager
def _form(name: str) -> Iterator[None]:
    """Keep the model from the kernel, to see what it brings."""
    available = attention.is_available
    if name == 'torch form':
        attention.is_available = lambda: False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        attention.is_available = available  # type: ignore[attr-defined]
