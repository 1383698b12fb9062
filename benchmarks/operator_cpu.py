"""The forms of deformable attention on a CPU, in torch or onnxruntime, at the networks' sizes."""

import argparse
import io
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import onnxruntime as ort
import operator_forms as forms
import torch
from kernel_cases import LARGE, SMALL, Case, draw
from timing import interleaved, print_setting, print_times
from torch import Tensor, nn

# Few heads and two levels, as of a small network at 384x512.
NARROW = Case('', ((24, 32), (12, 16)), heads=4)
FORMS = {
    form.__name__: form
    for form in (
        forms.samples,
        forms.bags,
        forms.maps_queries_first,
        forms.one_weighted_sum,
        forms.gather_and_matmul,
        forms.dense_matmul,
    )
}
NOT_IN_ONNX = ('bags',)  # these become loops
MAX_DENSE = 4_000_000  # shares: beyond that they alone fill the memory


def cases() -> list[Case]:
    """Return the calls of a narrow network and R50: encoder, and both decoders with 20 people."""
    found = []
    for case, size in (
        (NARROW, 'narrow 384x512'),
        (Case('', SMALL), 'R50 480x640'),
        (Case('', LARGE), 'R50 800x1333'),
    ):
        keypoints, queries = (17, 60) if case is NARROW else (15, 300)
        found += [
            replace(case, name=f'{size}, encoder', frames=1, queries=0),
            replace(case, name=f'{size}, pose decoder', queries=queries, points=keypoints),
            replace(case, name=f'{size}, joint decoder', queries=20 * keypoints),
        ]
    return found


def make_call(case: Case) -> forms.Call:
    """Draw one call, its values as maps."""
    value, locations, weights, _ = draw(case, torch.float32, 'cpu')
    batch, frames, _, heads, channels = value.shape
    levels = value.split([height * width for height, width in case.shapes], 2)
    maps = [
        level[:, frame].permute(0, 2, 3, 1).reshape(batch, heads, channels, *shape)
        for frame in range(frames)
        for level, shape in zip(levels, case.shapes, strict=True)
    ]
    return forms.Call(
        maps,
        locations.transpose(2, 3).flatten(3, 4).contiguous(),
        weights.transpose(2, 3).flatten(3, 4).contiguous(),
    )


class Block(nn.Module):
    """A form as the exporter wants it."""

    def __init__(self, form: forms.Form) -> None:
        super().__init__()
        self.form = form

    def forward(self, values: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
        """Call it."""
        return self.form(values, locations, weights)


def in_torch(form: forms.Form, call: forms.Call) -> Callable[[], object]:
    """Return the form without gradients."""

    def run() -> Tensor:
        with torch.inference_mode():
            return form(*call)

    return run


def in_onnx(form: forms.Form, call: forms.Call, threads: int) -> Callable[[], object]:
    """Return the form as a graph."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        program = torch.onnx.export(
            Block(form), tuple(call), dynamo=True, opset_version=20, verbose=False
        )
    assert program is not None
    program.save(file)
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    session = ort.InferenceSession(file.getvalue(), options, providers=['CPUExecutionProvider'])
    names = [node.name for node in session.get_inputs()]
    tensors = (*call.values, call.locations, call.weights)
    feed = {n: x.contiguous().numpy() for n, x in zip(names, tensors, strict=True)}
    return partial(session.run, None, feed)


def measure(case: Case, engine: str, threads: int, rounds: int) -> None:
    """Print one case's table."""
    call = make_call(case)
    expected = forms.samples(*call)
    runs = {}
    for name, form in FORMS.items():
        shares = expected.shape[1] * case.heads * case.tokens * case.frames
        if form is forms.dense_matmul and shares > MAX_DENSE:
            continue
        if engine == 'onnx' and name in NOT_IN_ONNX:
            continue
        torch.testing.assert_close(form(*call), expected, atol=1e-3, rtol=1e-3)
        runs[name] = in_torch(form, call) if engine == 'torch' else in_onnx(form, call, threads)
    print(f'\n{case.name}: {case.samples} samples, {engine}, {threads} threads')
    print_times(interleaved(runs, rounds, warm_up=2), 'samples')


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
            measure(case, args.engine, args.threads, args.rounds)


if __name__ == '__main__':
    main()
