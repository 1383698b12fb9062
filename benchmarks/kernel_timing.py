"""How fast the kernel is: against memory, the torch form and other people's kernels."""

import itertools
import platform
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch
from kernel_cases import Case, Inputs, cases, compulsory_bytes, draw
from kernel_check import NAMES
from kernel_clock import copy_bandwidth, time_calls, time_graph
from kernel_forms import Form, kernel_form, load_kernel, peer_form, torch_form
from kernel_peers import load_peer, peers_in
from kernel_report import Facts, Report

CACHE_BYTES = 256 << 20  # rotate over inputs of more than this, several times any L2
LONG_MS = 5.0  # beside which the host's time is nothing
NUMBERS = (torch.float32, torch.float16, torch.bfloat16)


def machine(report: Report) -> None:
    """Note what it runs on, and how fast the memory is."""
    facts: Facts = {'torch': torch.__version__, 'cuda': torch.version.cuda}
    facts['python'] = platform.python_version()
    if not report.dry_run:
        properties = torch.cuda.get_device_properties(0)
        facts |= {
            'gpu': properties.name,
            'multiprocessors': properties.multi_processor_count,
            'l2_bytes': getattr(properties, 'L2_cache_size', None),
            'capability': f'{properties.major}.{properties.minor}',
        }
        report.attempt('nvidia-smi', lambda: _last_line('nvidia-smi', '-L'))
        report.attempt('nvcc', lambda: _last_line('nvcc', '--version'))
    report.note('machine', facts)
    report.attempt('copy_bytes_per_second', lambda: copy_bandwidth(report.device))
    report.attempt('products', lambda: _products(report))


def timing(report: Report) -> None:
    """Time the kernel and the torch form at every size; what matters most comes first."""
    load_kernel(report)
    bandwidth = copy_bandwidth(report.device)
    for case, dtype in calls_to_time(report.dry_run):
        _time_forms(case, dtype, bandwidth, report)


def calls_to_time(dry_run: bool) -> list[tuple[Case, torch.dtype]]:
    """Return all calls in all number types; without a GPU only in float32."""
    return list(itertools.product(cases(dry_run), NUMBERS[:1] if dry_run else NUMBERS))


def _time_forms(case: Case, dtype: torch.dtype, bandwidth: float, report: Report) -> None:
    sets = input_sets(case, dtype, report.device)
    named: dict[str, Callable[[Inputs], Form]] = {
        'kernel': lambda x: kernel_form(case, x),
        'kernel with softmax': lambda x: kernel_form(case, x, softmax=True),
        'torch form': lambda x: torch_form(case, x),
    }
    for name, form in named.items():

        def measure(form: Callable[[Inputs], Form] = form) -> Facts:
            return times(case, [form(x) for x in sets], bandwidth, report)

        report.attempt(f'{case.name}, {dtype}, {name}', measure)


def peers(report: Report) -> None:
    """Time other people's kernels, which know float32 only, having seen that they agree."""
    folders = peers_in(report.peer)
    if report.dry_run or not folders:
        report.note('peers', {'skipped': 'dry run' if report.dry_run else 'no --peer'})
        return
    load_kernel(report)
    bandwidth = copy_bandwidth(report.device)
    for folder in folders:
        module = load_peer(folder)
        for case in cases(report.dry_run):
            sets = input_sets(case, torch.float32, report.device)
            forms = [peer_form(module, case, x) for x in sets]
            key = f'{case.name}, {folder.name}'
            report.attempt(f'{key}, agrees', lambda c=case, f=forms, s=sets: _agreement(c, f, s))
            report.attempt(key, lambda c=case, f=forms: times(c, f, bandwidth, report))


def build_peers(report: Report) -> None:
    """Compile the peers."""
    if report.dry_run:
        report.note('peers', {'skipped': 'dry run'})
        return
    for folder in peers_in(report.peer):
        report.attempt(folder.name, lambda f=folder: {'ok': bool(load_peer(f))})


def input_sets(case: Case, dtype: torch.dtype, device: str) -> list[Inputs]:
    """Return inputs that together outgrow the cache, at most eight."""
    first = draw(case, dtype, device)
    one = sum(x.numel() * x.element_size() for x in first)
    count = min(8, 1 + CACHE_BYTES // max(one, 1)) if device == 'cuda' else 1
    return [first, *(draw(case, dtype, device, seed) for seed in range(1, count))]


def times(case: Case, forms: list[Form], bandwidth: float, report: Report) -> Facts:
    """Time forward and backward, and relate them to the bytes that must move."""
    element = forms[0].forward().element_size()
    moved = compulsory_bytes(case, element)
    found: Facts = {'input_sets': len(forms), 'gather_bytes': moved['gather']}
    for direction in ('forward', 'backward'):
        runs = [getattr(form, direction) for form in forms]
        facts: Facts = {'calls': time_calls(runs, report.device)}
        if facts['calls']['median_ms'] < LONG_MS:
            try:
                facts['graph'] = time_graph(runs, report.device)
            except RuntimeError as error:  # then the calls must do
                facts['graph_failed'] = str(error)[:300]
                torch.cuda.synchronize()
        best = (facts.get('graph') or facts['calls'])['median_ms']
        facts['compulsory_bytes'] = moved[direction]
        facts['bytes_per_second'] = moved[direction] / (1e-3 * best)
        facts['share_of_copy'] = facts['bytes_per_second'] / bandwidth
        found[direction] = facts
    return found


def _agreement(case: Case, forms: list[Form], sets: list[Inputs]) -> Facts:
    """Return how far a peer is from our kernel; frames and heads of weights lie elsewhere."""
    theirs = (forms[0].forward(), *forms[0].backward())
    ours = kernel_form(case, sets[0])
    output, by_value, by_locations, by_weights = (ours.forward(), *ours.backward())
    rearranged = (
        output,
        by_value.flatten(1, 2),
        by_locations.transpose(2, 3).flatten(3, 4),
        by_weights.transpose(2, 3).flatten(3, 4),
    )
    errors = {
        name: float((b.reshape(a.shape) - a).norm() / a.norm())
        for name, a, b in zip(NAMES, rearranged, theirs, strict=True)
    }
    return {'errors': errors, 'ok': max(errors.values()) < 1e-4}


def _products(report: Report) -> Facts:
    """Return operations a second of large matrix products, the other ceiling."""
    size = 64 if report.dry_run else 8192
    rates: Facts = {}
    for name, dtype, tf32 in (
        ('float32', torch.float32, False),
        ('tf32', torch.float32, True),
        ('float16', torch.float16, False),
    ):
        torch.backends.cuda.matmul.allow_tf32 = tf32
        a, b = (torch.randn(size, size, device=report.device).to(dtype) for _ in range(2))
        median = time_calls([lambda a=a, b=b: a @ b], report.device, most=10)['median_ms']
        rates[name] = 2 * size**3 / (1e-3 * float(median))
    torch.backends.cuda.matmul.allow_tf32 = False
    return rates


def _last_line(*command: str) -> str:
    if command[0] == 'nvcc' and Path('/usr/local/cuda/bin/nvcc').is_file():
        command = ('/usr/local/cuda/bin/nvcc', *command[1:])
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    return said.stdout.strip().splitlines()[-1]
