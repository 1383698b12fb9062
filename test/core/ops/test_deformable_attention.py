"""The kernel against the torch form; on a GPU benchmarks/on_gpu.py repeats the comparison."""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest

torch = pytest.importorskip('torch', reason='needs torch')

from torch import Tensor

from pavenet_core import ops

Shapes = Sequence[tuple[int, int]]
# Rounding of what is stored; sums are at least float32.
TOLERANCE = {
    torch.float64: 1e-14,
    torch.float32: 1e-6,
    torch.float16: 1e-3,
    torch.bfloat16: 8e-3,
}
pytestmark = pytest.mark.usefixtures('simulated_gpu')


class Case(NamedTuple):
    """Arguments of `pavenet_core.ops.deformable_attention`, and an output gradient."""

    value: Tensor
    shapes: Shapes
    locations: Tensor
    weights: Tensor
    upstream: Tensor


DrawCase = Callable[..., Case]


@pytest.fixture
def case() -> Callable[..., Case]:
    def draw(
        shapes: Shapes = ((5, 7), (3, 2), (1, 1)),
        *,
        batch: int = 2,
        frames: int = 2,
        heads: int = 2,
        channels: int = 16,
        queries: int = 9,
        points: int = 3,
        dtype: torch.dtype = torch.float32,
    ) -> Case:
        """Draw values and weights about zero and locations in and around the map."""
        generator = torch.Generator().manual_seed(0)
        wide = torch.promote_types(dtype, torch.float32)
        tokens = sum(height * width for height, width in shapes)
        sampled = (batch, queries, frames, heads, len(shapes), points)

        def normal(*size: int) -> Tensor:
            return torch.randn(size, generator=generator, dtype=torch.float64)

        return Case(
            normal(batch, frames, tokens, heads, channels).to(dtype),
            shapes,
            (0.5 + 0.5 * normal(*sampled, 2)).to(wide),
            normal(*sampled).to(wide),
            normal(batch, queries, heads * channels).to(dtype),
        )

    return draw


def flat(case: Case) -> list[int]:
    return list(itertools.chain.from_iterable(case.shapes))


def run(case: Case, softmax: bool = False) -> list[Tensor]:
    """Return the output and the gradients of value, locations and weights."""
    inputs = (case.value, flat(case), case.locations, case.weights, softmax)
    output = torch.ops.pavenet.deformable_attention(*inputs)
    gradients = torch.ops.pavenet.deformable_attention_backward(case.upstream, *inputs)
    return [output, *gradients]


def reference(case: Case, softmax: bool = False) -> list[Tensor]:
    """Return the same from the torch form in double precision."""
    value, locations, weights = (
        x.double().requires_grad_() for x in (case.value, case.locations, case.weights)
    )
    output = ops.by_torch(value, case.shapes, locations, weights, softmax)
    inputs = (value, locations, weights)
    return [output, *torch.autograd.grad(output, inputs, case.upstream.double())]


def assert_agree(case: Case, softmax: bool = False) -> None:
    expected = reference(case, softmax)
    names = ('output', 'value', 'locations', 'weights')
    for name, ours, theirs in zip(names, run(case, softmax), expected, strict=True):
        error = (ours.double() - theirs).norm() / theirs.norm().clamp(min=1e-30)
        assert error < TOLERANCE[case.value.dtype], name


@pytest.mark.parametrize('softmax', [False, True])
def test_weights_or_their_logits(case: DrawCase, softmax: bool) -> None:
    assert_agree(case(), softmax)


@pytest.mark.parametrize('dtype', TOLERANCE)
def test_every_number_type(case: DrawCase, dtype: torch.dtype) -> None:
    drawn = case(dtype=dtype)
    assert_agree(drawn, softmax=True)
    assert_agree(drawn._replace(weights=drawn.weights.to(dtype)), softmax=True)
    for ours, given in zip(run(drawn)[1:], (drawn.value, *drawn[2:4]), strict=True):
        assert ours.dtype == given.dtype


@pytest.mark.parametrize(
    'sizes',
    [
        {'channels': 8, 'dtype': torch.bfloat16},  # one thread holds a head
        {'channels': 24},  # two threads of eight are idle
        {'channels': 24, 'dtype': torch.float16},
        {'channels': 136},  # more than a warp holds at once
        {'channels': 136, 'dtype': torch.float16},
        {'channels': 72, 'dtype': torch.float64},
        {'channels': 40, 'dtype': torch.bfloat16, 'queries': 45, 'heads': 8},
        {'channels': 8, 'heads': 3, 'batch': 1, 'frames': 5, 'points': 1},
        {'shapes': [(1, 1)], 'frames': 1, 'points': 1},
        {'shapes': [(1, 9), (9, 1)]},
        {'frames': 3, 'points': 17, 'queries': 2, 'batch': 1},  # a pose decoder's
        {'queries': 45, 'heads': 8, 'channels': 8},  # several blocks, no splits
        {'queries': 301, 'channels': 16, 'heads': 2},  # half a cache line: heads take turns
        {'queries': 173, 'channels': 32, 'heads': 6, 'dtype': torch.bfloat16, 'batch': 3},
        {'queries': 401, 'channels': 32, 'heads': 3, 'dtype': torch.float16},  # and don't
    ],
)
def test_sizes(case: DrawCase, sizes: dict[str, int]) -> None:
    assert_agree(case(**sizes))


def test_gradients_by_finite_differences(case: DrawCase) -> None:
    drawn = case(((3, 2), (1, 1)), batch=1, queries=2, channels=8, points=2, dtype=torch.float64)
    inputs = [drawn.value, drawn.locations, drawn.weights]

    def by_kernel(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return torch.ops.pavenet.deformable_attention(value, flat(drawn), locations, weights, True)

    torch.autograd.gradcheck(by_kernel, [x.requires_grad_() for x in inputs])


# opcheck asks for gradients that it does not need.
@pytest.mark.filterwarnings('ignore:The .grad attribute')
def test_registration_is_sound(case: DrawCase) -> None:
    drawn = case()
    given = (drawn.value, flat(drawn), drawn.locations, drawn.weights, True)
    torch.library.opcheck(
        torch.ops.pavenet.deformable_attention_backward.default, (drawn.upstream, *given)
    )
    for x in (drawn.value, drawn.locations, drawn.weights):
        x.requires_grad_()
    torch.library.opcheck(torch.ops.pavenet.deformable_attention.default, given)


def test_compiles_without_a_break(case: DrawCase) -> None:
    drawn = case()

    def scaled(value: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return 2 * torch.ops.pavenet.deformable_attention(
            value, flat(drawn), locations, weights, False
        )

    inputs = (drawn.value.requires_grad_(), drawn.locations, drawn.weights)
    compiled = torch.compile(scaled, fullgraph=True, backend='aot_eager')(*inputs)
    torch.testing.assert_close(compiled, scaled(*inputs))
    compiled.sum().backward()
    assert drawn.value.grad is not None


@pytest.mark.filterwarnings('ignore:.*deterministic')
def test_every_element_is_written(case: DrawCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.utils.deterministic, 'fill_uninitialized_memory', True)
    torch.use_deterministic_algorithms(True, warn_only=True)  # new memory is NaN
    try:
        assert torch.empty(3).isnan().all()
        results = run(case(batch=3, queries=5, channels=24), softmax=True)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(x.isfinite().all() for x in results)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_inputs_need_not_be_contiguous(case: DrawCase, dtype: torch.dtype) -> None:
    drawn = case(dtype=dtype)
    expected = run(drawn)
    strided = drawn._replace(
        locations=drawn.locations.transpose(0, 1).contiguous().transpose(0, 1),
        weights=drawn.weights.movedim(3, 0).contiguous().movedim(0, 3),
        upstream=drawn.upstream.mT.contiguous().mT,
    )
    values = {
        'every other frame': drawn.value.repeat_interleave(2, 1)[:, ::2],
        'heads first': drawn.value.transpose(2, 3).contiguous().transpose(2, 3),
        'channels apart': drawn.value.repeat_interleave(2, 4)[..., ::2],
        'a part of wider tokens': torch.cat([drawn.value, drawn.value], 3)[:, :, :, :2],
        'off the 16 bytes': off_the_grid(drawn.value),
    }
    for name, value in values.items():
        assert torch.equal(value, drawn.value), name
        for ours, theirs in zip(run(strided._replace(value=value)), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize('dtype', TOLERANCE)
def test_the_output_gradient_may_lie_anywhere(case: DrawCase, dtype: torch.dtype) -> None:
    drawn = case(dtype=dtype, channels=8)
    assert_agree(drawn._replace(upstream=off_the_grid(drawn.upstream)))
    assert_agree(drawn._replace(upstream=drawn.upstream[:1, :1, :1].expand_as(drawn.upstream)))


def off_the_grid(x: Tensor) -> Tensor:
    """Return the same numbers one element behind a place that is a multiple of 16 bytes."""
    return torch.cat([x.new_zeros(1), x.flatten()])[1:].view(x.shape)


def test_one_value_for_a_whole_batch(case: DrawCase) -> None:
    drawn = case()
    shared = drawn._replace(value=drawn.value[:1].expand(2, -1, -1, -1, -1))
    assert_agree(shared)


@pytest.mark.parametrize('sizes', [{'batch': 0}, {'queries': 0}, {'points': 0}])
def test_nobody_asks(case: DrawCase, sizes: dict[str, int]) -> None:
    drawn = case(**sizes)
    output, *gradients = run(drawn)
    assert output.shape == drawn.upstream.shape
    assert not output.any()
    for ours, given in zip(gradients, (drawn.value, drawn.locations, drawn.weights), strict=True):
        assert ours.shape == given.shape
        assert not ours.any()


@pytest.mark.parametrize('where', [math.nan, math.inf, -math.inf, 1e30, -0.51, 1.51])
def test_beyond_the_map_is_nothing(case: DrawCase, where: float) -> None:
    drawn = case(((1, 1),), frames=1)
    drawn.locations[0, :, :, :, :, :, 0] = where
    output, by_value, by_locations, by_weights = run(drawn)
    assert output[1].any()
    assert not any(x[0].any() for x in (output, by_value, by_locations, by_weights))


def test_what_lies_beyond_a_map_is_not_read(case: DrawCase) -> None:
    drawn = case(((3, 4), (2, 2)), frames=1)
    drawn.value[:, :, 12:] = math.nan  # the second level
    drawn.weights[..., 1, :] = 0
    drawn.locations[..., 0, :, :] = torch.tensor([1.01, 1.01])  # the first level's last corner
    drawn.locations[..., 1, :, :] = math.nan
    assert all(x.isfinite().all() for x in run(drawn))


def test_padding_adds_nothing(case: DrawCase) -> None:
    drawn = case(((4, 6),), frames=1)
    padded = drawn.value.unflatten(2, (4, 6)).clone()
    padded[:, :, 3:], padded[:, :, :, 5:] = 0, 0
    padded = drawn._replace(value=padded.flatten(2, 3))
    cut = drawn._replace(
        value=padded.value.unflatten(2, (4, 6))[:, :, :3, :5].flatten(2, 3),
        shapes=[(3, 5)],
        locations=drawn.locations * torch.tensor([6 / 5, 4 / 3]),
    )
    torch.testing.assert_close(run(padded)[0], run(cut)[0])


@pytest.mark.parametrize(
    ('change', 'complaint'),
    [
        ({'shapes': ((5, 7), (3, 2))}, 'each of 3 levels'),
        ({'shapes': ((5, 7), (3, 2), (1, 2))}, 'have 43 tokens, the values 42'),
        ({'value': torch.zeros(2, 2, 42, 2, 12)}, 'multiple of 8 channels, got 12'),
        ({'value': torch.zeros(2, 3, 42, 2, 16)}, 'differ in batch, frames or heads'),
        ({'locations': torch.zeros(2, 9, 2, 2, 3, 3, 2).half()}, 'locations must be Float'),
        ({'weights': torch.zeros(2, 9, 2, 2, 3, 2)}, 'as the locations'),
    ],
)
def test_a_bad_argument_is_named(
    case: DrawCase, change: dict[str, object], complaint: str
) -> None:
    with pytest.raises(RuntimeError, match=complaint):
        run(case()._replace(**change))


def test_without_a_gpu_torch_answers(case: DrawCase) -> None:
    drawn = case(dtype=torch.bfloat16)
    ours = ops.deformable_attention(*drawn[:4], softmax=True)
    assert ours.dtype == torch.bfloat16
    torch.testing.assert_close(
        ours.double(), reference(drawn, softmax=True)[0], rtol=0.01, atol=0.01
    )


def test_without_a_gpu_a_location_that_is_no_number_is_nothing_too(case: DrawCase) -> None:
    drawn = case()
    drawn.locations[0, ..., 1] = math.nan
    found = reference(drawn)
    assert all(x.isfinite().all() for x in found)
    assert not found[0][0].any()


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.float64])
def test_every_cell_asks(case: DrawCase, dtype: torch.dtype) -> None:
    shapes = ((19, 13), (8, 5), (3, 1), (1, 2))
    cells = sum(height * width for height, width in shapes)
    assert_agree(
        case(shapes, queries=cells, frames=1, heads=4, channels=32, points=2, dtype=dtype)
    )
