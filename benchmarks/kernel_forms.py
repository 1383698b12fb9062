"""The competitors as closures over prepared inputs: the kernel, the torch form, the peers'."""

import itertools
from collections.abc import Callable
from typing import NamedTuple

import torch
from kernel_cases import Case, Inputs
from kernel_report import Report
from torch import Tensor

from pavenet_core import ops
from pavenet_core.model.deformable_attention import deformable_attention as of_maps

Run = Callable[[], object]


class Form(NamedTuple):
    """A way to compute one call and its gradients (of values, locations and weights)."""

    forward: Callable[[], Tensor]
    backward: Callable[[], tuple[Tensor, ...]]


def load_kernel(report: Report) -> None:
    """Load the kernel, or fail: without it a network would take torch's form and not say so."""
    if not report.dry_run:
        ops.build()


def kernel_form(case: Case, inputs: Inputs, softmax: bool = False) -> Form:
    """Return our kernel; without a GPU the torch form stands in."""
    if not inputs.value.is_cuda:
        return rearranged_form(case, inputs, softmax)
    arguments = (
        inputs.value,
        list(itertools.chain.from_iterable(case.shapes)),
        inputs.locations,
        inputs.weights,
        softmax,
    )
    return Form(
        lambda: torch.ops.pavenet.deformable_attention(*arguments),
        lambda: torch.ops.pavenet.deformable_attention_backward(inputs.upstream, *arguments),
    )


def rearranged_form(case: Case, inputs: Inputs, softmax: bool = False) -> Form:
    """Return the torch form on tokens, rearranging them in every call."""
    return _by_autograd(
        lambda *given: ops.by_torch(given[0], case.shapes, given[1], given[2], softmax),
        inputs,
    )


def torch_form(case: Case, inputs: Inputs) -> Form:
    """Return the torch form as the model calls it: on maps, which are prepared beforehand."""
    batch, frames, _, heads, channels = inputs.value.shape
    levels = inputs.value.split([height * width for height, width in case.shapes], 2)
    maps = [
        level[:, frame].permute(0, 2, 3, 1).reshape(batch, heads, channels, *shape)
        for frame in range(frames)
        for level, shape in zip(levels, case.shapes, strict=True)
    ]
    dtype = inputs.value.dtype
    locations = inputs.locations.permute(0, 3, 2, 4, 5, 1, 6).flatten(2, 3).contiguous().to(dtype)
    weights = inputs.weights.permute(0, 3, 2, 4, 5, 1).flatten(2, 3).contiguous()
    leaves = [x.detach().requires_grad_() for x in (*maps, locations, weights)]

    def forward() -> Tensor:
        return of_maps(leaves[:-2], leaves[-2], leaves[-1])

    return _with_gradients(forward, leaves, inputs.upstream)


def peer_form(module: object, case: Case, inputs: Inputs) -> Form:
    """Return a kernel with Deformable DETR's interface; frames are levels to it."""
    batch, frames, tokens, heads, channels = inputs.value.shape
    device = inputs.value.device
    shapes = torch.tensor(case.shapes * frames, device=device)
    starts = torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]])
    value = inputs.value.reshape(batch, frames * tokens, heads, channels)
    locations = inputs.locations.transpose(2, 3).flatten(3, 4).contiguous()
    weights = inputs.weights.transpose(2, 3).flatten(3, 4).contiguous()
    given = (value, shapes, starts, locations, weights)
    return Form(
        lambda: module.ms_deform_attn_forward(*given, 64),  # type: ignore[attr-defined]
        lambda: tuple(
            module.ms_deform_attn_backward(*given, inputs.upstream, 64)  # type: ignore[attr-defined]
        ),
    )


def reference(case: Case, inputs: Inputs, softmax: bool = False) -> list[Tensor]:
    """Return output and gradients of the torch form in double precision."""
    doubled = Inputs(*(x.double() for x in inputs))
    form = rearranged_form(case, doubled, softmax)
    return [form.forward().detach(), *form.backward()]


def _by_autograd(function: Callable[..., Tensor], inputs: Inputs) -> Form:
    leaves = [x.detach().requires_grad_() for x in inputs[:3]]
    return _with_gradients(lambda: function(*leaves), leaves, inputs.upstream)


def _with_gradients(forward: Callable[[], Tensor], leaves: list[Tensor], upstream: Tensor) -> Form:
    outputs: dict[int, Tensor] = {}

    def backward() -> tuple[Tensor, ...]:
        # Autograd goes back on the stream it came by; a CUDA graph has one of its own.
        stream = torch.cuda.current_stream().cuda_stream if upstream.is_cuda else 0
        if stream not in outputs:
            outputs[stream] = forward()
        return torch.autograd.grad(outputs[stream], leaves, upstream, retain_graph=True)

    def without_graph() -> Tensor:
        with torch.no_grad():
            return forward()

    return Form(without_graph, backward)
