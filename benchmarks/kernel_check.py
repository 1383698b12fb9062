"""Is the kernel right on this GPU? Against double precision, and against its own registration."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from kernel_cases import Case, Inputs, cases, draw
from kernel_forms import kernel_form, load_kernel, reference
from kernel_report import Facts, Report
from torch import Tensor

from pavenet_core import ops

TOLERANCE = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.float16: 2e-3,
    torch.bfloat16: 1.6e-2,
}
ODD = [
    Case('head of 8', ((5, 7), (3, 2), (1, 1)), batch=2, queries=37, heads=3, channels=8),
    Case('head of 24', ((9, 4),), frames=1, queries=1, points=1, channels=24),
    Case('head of 136', ((3, 5), (2, 2)), frames=2, queries=33, heads=1, channels=136),
    Case('maps of one cell', ((1, 1), (1, 9), (9, 1)), frames=5, queries=100, points=7),
    Case('17 points of 5 frames', ((6, 5), (3, 3), (2, 1), (1, 1)), frames=5, points=17),
]
NAMES = ('output', 'by value', 'by locations', 'by weights')
BORDER = 4  # roundings of a location times a size, which take one or two
MOST_LEFT_OUT = 1e-3  # of all samples


def build(report: Report) -> None:
    """Compile and load the kernel."""
    if report.dry_run:
        report.note('kernel', {'skipped': 'dry run: the torch form stands in'})
        return
    ops.build()
    report.note('kernel', {'ok': True})


def check(report: Report) -> None:
    """Compare every number type and size with the torch form in double precision."""
    load_kernel(report)
    numbers = list(TOLERANCE)[1:3] if report.dry_run else list(TOLERANCE)
    odd = ODD[:2] if report.dry_run else ODD
    for case in [*odd, *cases(report.dry_run)]:
        for dtype, softmax in itertools.product(numbers, (False, True)):
            if case not in ODD and (softmax or dtype == torch.float64):
                continue
            _compare(case, dtype, softmax, report)
    report.attempt('poison', lambda: _poison(report.device))
    report.attempt('beyond the map', lambda: _beyond(report.device))


def _compare(case: Case, dtype: torch.dtype, softmax: bool, report: Report) -> None:
    inputs = draw(case, dtype, report.device)
    if softmax:
        inputs = inputs._replace(weights=inputs.weights.clamp(min=1e-6).log())

    def errors() -> Facts:
        form = kernel_form(case, inputs, softmax)
        return compare(case, inputs, (form.forward(), *form.backward()), softmax)

    report.attempt(f'{case.name}, {dtype}, softmax {softmax}', errors)


def compare(case: Case, inputs: Inputs, found: Sequence[Tensor], softmax: bool = False) -> Facts:
    """
    Return the relative errors of output and gradients against double precision.

    found  output, and gradients by values, locations and weights

    The derivative by a location jumps at a cell's border, and rounding takes samples across it:
    those within rounding of one are left out, and counted.
    """
    expected = reference(case, inputs, softmax)
    clear = _clear_of_borders(case, inputs.locations)
    errors = {}
    for name, ours, theirs in zip(NAMES, found, expected, strict=True):
        difference = ours.double() - theirs
        if name == 'by locations':
            difference, theirs = difference[clear], theirs[clear]
        error = difference.norm() / theirs.norm().clamp(min=1e-30)
        errors[name] = float(error.nan_to_num(float('inf')))
    left_out = int((~clear).sum())
    ok = max(errors.values()) < TOLERANCE[inputs.value.dtype]
    few = left_out <= MOST_LEFT_OUT * clear.numel()
    return {'errors': errors, 'left_out': left_out, 'of': clear.numel(), 'ok': ok and few}


def _clear_of_borders(case: Case, locations: Tensor) -> Tensor:
    """Return (B, Q, T, M, L, P), True if rounding cannot take the sample to another cell."""
    sizes = torch.tensor(case.shapes, device=locations.device).flip(1).double()[:, None]
    cells = locations.double() * sizes - 0.5
    rounding = BORDER * torch.finfo(locations.dtype).eps * sizes
    return ((cells - cells.round()).abs() > rounding).all(-1)


def gradients(report: Report) -> None:
    """Check gradients by finite differences, and the registration by torch's own checks."""
    load_kernel(report)
    case = Case('small', ((3, 2), (1, 1)), frames=2, queries=3, points=2, heads=2, channels=8)
    inputs = draw(case, torch.float64, report.device)
    leaves = [x.requires_grad_() for x in inputs[:3]]

    def differentiable(*given: Tensor) -> Tensor:
        return ops.deformable_attention(given[0], case.shapes, given[1], given[2], softmax=True)

    def finite_differences() -> Facts:
        # The kernel's sums to memory come in any order.
        return {'ok': torch.autograd.gradcheck(differentiable, leaves, nondet_tol=1e-10)}

    report.attempt('gradcheck', finite_differences)
    report.attempt('compile', lambda: _compiles(differentiable, leaves))
    if not report.dry_run:
        report.attempt('opcheck', lambda: _opcheck(case, inputs))


def sanitize(report: Report) -> None:
    """Run small calls under compute-sanitizer, if there is one."""
    tool = shutil.which('compute-sanitizer') or '/usr/local/cuda/bin/compute-sanitizer'
    if report.dry_run or not Path(tool).is_file():
        report.note('sanitizer', {'skipped': 'dry run' if report.dry_run else 'not installed'})
        return
    environment = os.environ | {'PYTORCH_NO_CUDA_MEMORY_CACHING': '1'}
    for kind in ('memcheck', 'racecheck'):

        def run(kind: str = kind) -> Facts:
            command = [tool, '--tool', kind, '--error-exitcode', '9', '--target-processes', 'all']
            result = subprocess.run(
                [*command, sys.executable, __file__],
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
            )
            return {'ok': result.returncode == 0, 'said': result.stdout[-600:]}

        report.attempt(kind, run)


def _poison(device: str) -> Facts:
    """Fill new memory with NaN and look for what the kernel left unwritten."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        clean = bool(torch.empty(8, device=device).isnan().all())
        for case in ODD:
            form = kernel_form(case, draw(case, torch.float32, device))
            found = (form.forward(), *form.backward())
            clean = clean and all(bool(x.isfinite().all()) for x in found)
    finally:
        torch.use_deterministic_algorithms(False)
    return {'ok': clean}


def _beyond(device: str) -> Facts:
    """Sample nothing outside the map and where a location is not a number."""
    case = ODD[0]
    found = []
    for where in (float('nan'), float('inf'), -1e30, -2.0, 3.0):
        inputs = draw(case, torch.float32, device)
        inputs.locations[..., 0] = where
        form = kernel_form(case, inputs)
        found += [form.forward(), *form.backward()]
    return {'ok': not any(bool(x.any()) for x in found)}


def _compiles(function: object, leaves: list[Tensor]) -> Facts:
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, backend='aot_eager')
    ours, theirs = compiled(*leaves), function(*leaves)  # type: ignore[operator]
    return {'ok': bool(torch.allclose(ours, theirs))}


def _opcheck(case: Case, inputs: Inputs) -> Facts:
    flat = list(itertools.chain.from_iterable(case.shapes))
    given = (inputs.value, flat, inputs.locations, inputs.weights, True)
    # Sums to memory in any order: gradients agree but for rounding.
    torch.library.opcheck(torch.ops.pavenet.deformable_attention.default, given)
    return {'ok': True}


def _calls_for_the_sanitizer() -> None:
    ops.build()
    for case, dtype in itertools.product(ODD[:3], (torch.float32, torch.float16)):
        form = kernel_form(case, draw(case, dtype, 'cuda'), softmax=True)
        form.forward()
        form.backward()
    torch.cuda.synchronize()


if __name__ == '__main__':
    _calls_for_the_sanitizer()
