"""The whole network on a GPU: latency, memory, operations, and where the time goes."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
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
# What matters most first.
FORMS = (
    ('float16', 'kernel'),
    ('tf32', 'kernel'),
    ('float32', 'kernel'),
    ('float16', 'torch form'),
    ('float32', 'torch form'),
)
Run = Callable[[], Any]


def models(report: Report) -> None:
    """Time whole windows of three frames."""
    for config, sizes in _plan(report):
        model = _network(config, report)
        for size in sizes:
            name = f'{config.name} {size[0]}x{size[1]}'
            run = _window(model, size, report)
            report.attempt(f'{name}, size', lambda m=model, r=run: _size(m, r))
            for precision, form in [('float32', 'kernel')] if report.dry_run else FORMS:

                def latency(precision: str = precision, form: str = form, run: Run = run) -> Facts:
                    with _precision(precision), _form(form), _constants_kept():
                        return _latency(run, report)

                report.attempt(f'{name}, {precision}, {form}', latency)
            if not report.dry_run:
                report.attempt(f'{name}, float16, time by kernel', lambda r=run: _profile(r))


def compiled(report: Report) -> None:
    """Let torch.compile make what it can of the smallest network, in half precision."""
    config, sizes = _plan(report)[0]
    name = f'{config.name} {sizes[0][0]}x{sizes[0][1]}'
    report.attempt(name, lambda: _compiled(config, sizes[0], report))


def _plan(report: Report) -> list[tuple[ModelConfig, Sequence[tuple[int, int]]]]:
    if report.dry_run:
        return [(replace(COMPACT, num_queries=4), ((64, 96),))]
    return [(config, SIZES) for config in (R50, HRNET_W48, SWIN_L)]


def _size(model: PaveNet, run: Run) -> Facts:
    return {
        'parameters': sum(p.numel() for p in model.parameters()),
        'operations': _operations(run),
    }


def _network(config: ModelConfig, report: Report) -> PaveNet:
    torch.manual_seed(0)
    return PaveNet(config).eval().requires_grad_(False).to(report.device)


def _window(model: PaveNet, size: tuple[int, int], report: Report) -> Run:
    alignment = model.config.input_alignment
    height, width = (-(-side // alignment) * alignment for side in size)
    images = torch.randn(1, model.config.num_frames, 3, height, width, device=report.device)
    valid_sizes = torch.tensor([size], device=report.device)
    # These pictures fill their canvas, so the host need not be asked for its size.
    model.encode = lambda x, sizes: model.encode_maps(model.backbone(x), sizes)  # type: ignore[method-assign]

    def run() -> Any:
        with torch.inference_mode():
            return model(images, valid_sizes, PEOPLE)

    return run


def _latency(run: Run, report: Report) -> Facts:
    if not report.dry_run:
        torch.cuda.reset_peak_memory_stats()
    facts = {'calls': time_calls([run], report.device, seconds=0.4, most=15, least=4)}
    if not report.dry_run:
        facts['peak_bytes'] = torch.cuda.max_memory_allocated()
        try:
            facts['graph'] = time_graph([run], report.device, replays=8, least=4)
        except RuntimeError as error:
            facts['graph_failed'] = str(error)[:300]
            torch.cuda.synchronize()
    return facts


def _compiled(config: ModelConfig, size: tuple[int, int], report: Report) -> Facts:
    model = _network(config, report)
    run = _window(model, size, report)
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

    activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    with _precision('float16'):
        run()
        with profile(activities=activities) as profiled:
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


@contextlib.contextmanager
def _constants_kept() -> Iterator[None]:
    """Make a small constant once: a CUDA graph cannot copy from the host."""
    make = torch.tensor
    kept: dict[str, torch.Tensor] = {}

    def tensor(data: object, **options: Any) -> torch.Tensor:
        key = repr((data, options))
        if key not in kept:
            kept[key] = make(data, **options)
        return kept[key]

    torch.tensor = tensor
    try:
        yield
    finally:
        torch.tensor = make
