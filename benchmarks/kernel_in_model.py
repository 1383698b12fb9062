"""The whole network on a GPU: latency, memory, operations, and where the time goes."""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from kernel_clock import time_calls, time_graph
from kernel_forms import load_kernel
from kernel_report import Facts, Report
from torch import nn

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.decoder_layer import DecoderLayer
from pavenet_core.model.spatial_encoder import EncoderLayer
from pavenet_core.ops import attention
from pavenet_core.presets import HRNET_W48, R50, SWIN_L

PEOPLE = 20
LARGE, SMALL = (800, 1333), (480, 640)
KERNEL, TORCH = 'kernel', 'torch form'
# Rounds over all networks, what matters most first: one that is cut off has something of each.
ROUNDS = (
    (LARGE, (('float16', KERNEL), ('float32', KERNEL))),
    (SMALL, (('float16', KERNEL), ('float32', KERNEL))),
    (LARGE, (('tf32', KERNEL), ('float16', TORCH), ('float32', TORCH))),
    (SMALL, (('tf32', KERNEL), ('float16', TORCH), ('float32', TORCH))),
)
Size = tuple[int, int]
Forms = Sequence[tuple[str, str]]
Run = Callable[[], Any]


def models(report: Report) -> None:
    """Time whole windows of three frames."""
    load_kernel(report)
    networks: dict[str, PaveNet] = {}
    for size, forms in _rounds(report):
        for config in configs(report):
            if config.name not in networks:
                networks[config.name] = make_network(config, report)
            _round(networks[config.name], size, forms, report)


def _round(model: PaveNet, size: Size, forms: Forms, report: Report) -> None:
    name = f'{model.config.name} {size[0]}x{size[1]}'
    run = _window(model, size, report)
    report.attempt(f'{name}, size', lambda: _size(model, run))
    for precision, form in forms:

        def measure(precision: str = precision, form: str = form) -> Facts:
            with in_precision(precision), _form(form), constants_kept():
                return latency(run, report)

        report.attempt(f'{name}, {precision}, {form}', measure)
    if not report.dry_run and model.config is R50:
        report.attempt(f'{name}, float16, time by kernel', lambda: _profile(run))


def compiled(report: Report) -> None:
    """
    Let torch.compile make what it can of the smallest network, in half precision.

    First the layers of encoder and decoders, which are alike and soon compiled, then the whole.
    """
    load_kernel(report)
    config, size = configs(report)[0], _rounds(report)[0][0]
    name = f'{config.name} {size[0]}x{size[1]}'
    for what in ('layers', 'whole'):
        report.attempt(f'{name}, {what}', lambda w=what: _compiled(config, size, w, report))


def _rounds(report: Report) -> Sequence[tuple[Size, Forms]]:
    return (((64, 96), (('float32', KERNEL),)),) if report.dry_run else ROUNDS


def configs(report: Report) -> Sequence[ModelConfig]:
    """Return the networks to time, smallest first."""
    if report.dry_run:
        few = {'encoder_layers': 1, 'pose_layers': 1, 'joint_layers': 1, 'num_queries': 4}
        return (replace(R50, backbone='resnet18', **few),)
    return (R50, HRNET_W48, SWIN_L)


def _size(model: PaveNet, run: Run) -> Facts:
    return {
        'parameters': sum(p.numel() for p in model.parameters()),
        'operations': _operations(run),
    }


def make_network(config: ModelConfig, report: Report) -> PaveNet:
    """Build one with random weights, always the same, on the report's device."""
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


def latency(run: Run, report: Report) -> Facts:
    """Time calls and, if that can be had, a CUDA graph of one."""
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


def _compiled(config: ModelConfig, size: Size, what: str, report: Report) -> Facts:
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    model = make_network(config, report)
    run = _window(model, size, report)
    backend = 'eager' if report.dry_run else 'inductor'
    for module, method in steps(model) if what == 'layers' else [(model, 'forward')]:
        compiled_method = torch.compile(getattr(module, method), backend=backend, dynamic=False)
        setattr(module, method, compiled_method)
    began = time.perf_counter()
    with in_precision('float32' if report.dry_run else 'float16'):
        run()
        seconds = time.perf_counter() - began
        with constants_kept() if what == 'layers' else contextlib.nullcontext():
            facts = {'compile_seconds': seconds, **latency(run, report)}
    # Whether it was compiled in as many pieces as it should, in the timed calls too.
    facts['graphs'] = counters['stats']['unique_graphs']
    facts['graph_breaks'] = sum(counters['graph_break'].values())
    return facts


def steps(model: PaveNet) -> Iterator[tuple[nn.Module, str]]:
    """Yield the methods that encoder and decoders call layer by layer."""
    for module in model.modules():
        if isinstance(module, EncoderLayer):
            yield module, 'forward'
        elif isinstance(module, DecoderLayer):  # the joint decoder calls these, never the layer
            yield module, 'confer'
            yield module, 'look'


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
    with in_precision('float16'):
        run()
        with profile(activities=activities) as profiled:
            run()
            torch.cuda.synchronize()
    on_gpu = torch.autograd.DeviceType.CUDA  # else an operator's time repeats its kernels'
    kernels = [x for x in profiled.key_averages() if x.device_type == on_gpu]
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
def in_precision(name: str) -> Iterator[None]:
    """Compute in float32, tf32, or float16 by autocast."""
    torch.backends.cuda.matmul.allow_tf32 = name == 'tf32'
    torch.backends.cudnn.allow_tf32 = name == 'tf32'
    try:
        with torch.autocast('cuda', torch.float16, enabled=name == 'float16'):
            yield
    finally:
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
def constants_kept() -> Iterator[None]:
    """Make a small constant once: a CUDA graph copies only from pinned memory that stays."""
    make = torch.tensor
    kept: dict[str, torch.Tensor] = {}

    def tensor(data: object, **options: Any) -> torch.Tensor:
        key = repr((data, options))
        if key not in kept:
            made = make(data, **options)
            pin = torch.cuda.is_available() and made.device.type == 'cpu'
            kept[key] = made.pin_memory() if pin else made
        return kept[key]

    torch.tensor = tensor
    try:
        yield
    finally:
        torch.tensor = make
