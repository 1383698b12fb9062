"""Projecting tokens to values before sampling, cached or anew, or projecting what was sampled."""

import argparse
from collections.abc import Callable
from functools import partial

import operator_forms as forms
import torch
from kernel_cases import Case
from operator_cpu import cases, in_onnx, in_torch, make_call
from timing import interleaved, print_setting, print_times
from torch import Tensor


def project(tokens: Tensor, weight: Tensor, heads: int) -> Tensor:
    """Turn a map of tokens (B, 1, C, h, w) into values (B, M, c, h, w)."""
    batch, _, _, height, width = tokens.shape
    return (weight @ tokens.flatten(3)[:, 0]).view(batch, heads, -1, height, width)


def project_before(
    new: int, weight: Tensor, heads: int, maps: forms.Maps, locations: Tensor, weights: Tensor
) -> Tensor:
    """Sample values, of which the last `new` maps come as tokens."""
    kept = len(maps) - new
    values = [*maps[:kept], *(project(x, weight, heads) for x in maps[kept:])]
    return forms.samples(values, locations, weights)


def project_after(weight: Tensor, maps: forms.Maps, locations: Tensor, weights: Tensor) -> Tensor:
    """Sample all channels of the tokens for every head, then project each head's mix."""
    batch, queries, heads = locations.shape[:3]
    # A head of a query asks like a query of its own of one head.
    mixed = forms.samples(
        maps, locations.flatten(1, 2)[:, :, None], weights.flatten(1, 2)[:, :, None]
    )
    mixed = mixed.view(batch, queries, heads, -1).transpose(1, 2)  # (B, M, Q, C)
    by_head = weight.view(heads, -1, weight.shape[1])  # (M, c, C)
    return (mixed @ by_head.transpose(1, 2)).transpose(1, 2).flatten(2)


def make_runs(case: Case, engine: str, threads: int) -> dict[str, Callable[[], object]]:
    """Return the ways to make one call, having seen that they agree."""
    call = make_call(case)
    width = case.heads * case.channels
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(width, width, generator=generator) / width**0.5
    levels = len(case.shapes)
    tokens = [
        torch.randn(case.batch, 1, width, *shape, generator=generator)
        for shape in case.shapes * case.frames
    ]
    values = [project(x, weight, case.heads) for x in tokens]
    older = len(tokens) - levels
    ways: dict[str, tuple[forms.Form, forms.Maps]] = {
        'cached': (forms.samples, values),
        'newest frame projected': (
            partial(project_before, levels, weight, case.heads),
            [*values[:older], *tokens[older:]],
        ),
        'all projected': (partial(project_before, len(tokens), weight, case.heads), tokens),
        'projected after sampling': (partial(project_after, weight), tokens),
    }
    if case.frames == 1:
        del ways['newest frame projected']
    expected = forms.samples(values, call.locations, call.weights)
    runs = {}
    for name, (form, maps) in ways.items():
        given = call._replace(values=maps)
        torch.testing.assert_close(form(*given), expected, atol=1e-3, rtol=1e-3)
        runs[name] = in_torch(form, given) if engine == 'torch' else in_onnx(form, given, threads)
    return runs


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--engine', choices=('torch', 'onnx'), default='onnx')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=20)
    parser.add_argument('--only', default='', help='part of the names of the cases wanted')
    args = parser.parse_args()
    print_setting()
    torch.set_num_threads(args.threads)
    for case in cases():
        if args.only in case.name:
            print(f'\n{case.name}: {args.engine}, {args.threads} threads')
            runs = make_runs(case, args.engine, args.threads)
            print_times(interleaved(runs, args.rounds, warm_up=2), 'cached')


if __name__ == '__main__':
    main()
