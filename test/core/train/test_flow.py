"""The flow's density and the residual log-likelihood, against plain numpy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pavenet_core.train.flow import RealNvp, residual_nll

Array = NDArray[np.float64]


def numpy_log_prob(flow: RealNvp, points: Array) -> Array:
    """Follow the definition point by point, in float64."""
    state = {name: value.double().numpy() for name, value in flow.state_dict().items()}

    def mlp(name: str, x: Array) -> Array:
        for layer in (0, 2, 4):
            x = state[f'{name}.{layer}.weight'] @ x + state[f'{name}.{layer}.bias']
            if layer < 4:
                x = np.where(x > 0, x, 0.01 * x)
        return x

    log_probs = []
    for point in points:
        z, log_det = point, 0.0
        for i in range(5, -1, -1):
            axis = 0 if i % 2 == 0 else 1  # the axis that this layer moves
            kept = z.copy()
            kept[axis] = 0
            scale = np.tanh(mlp(f's.{i}', kept))[axis]
            z = z.copy()
            z[axis] = (z[axis] - mlp(f't.{i}', kept)[axis]) / np.exp(scale)
            log_det -= scale
        gaussian = -0.5 * ((z - flow.prior_mean) ** 2).sum() - np.log(2 * np.pi)
        log_probs.append(gaussian + log_det)
    return np.array(log_probs)


@pytest.mark.parametrize('prior_mean', [0.5, 0.0])
def test_log_prob_equals_numpy(prior_mean: float) -> None:
    torch.manual_seed(0)
    flow = RealNvp(prior_mean)
    points = torch.randn(7, 2) * 3
    expected = numpy_log_prob(flow, points.double().numpy())
    np.testing.assert_allclose(flow.log_prob(points).detach(), expected, rtol=1e-5, atol=1e-5)


def test_density_integrates_to_one() -> None:
    torch.manual_seed(0)
    axis = torch.linspace(-14, 14, 400)
    points = torch.cartesian_prod(axis, axis)
    step = float(axis[1] - axis[0])
    with torch.no_grad():
        total = RealNvp().log_prob(points).exp().sum() * step**2
    assert float(total) == pytest.approx(1, abs=2e-3)


def test_state_has_the_official_names() -> None:
    state = RealNvp().state_dict()
    layers = [f'{net}.{i}.{j}' for net in 'ts' for i in range(6) for j in (0, 2, 4)]
    names = {f'{layer}.{kind}' for layer in layers for kind in ('weight', 'bias')}
    assert set(state) == {'mask'} | names
    assert state['mask'].tolist() == [[0, 1], [1, 0]] * 3
    assert sum(p.numel() for p in RealNvp().parameters()) == 53_784


def test_nll_equals_numpy() -> None:
    torch.manual_seed(1)
    flow = RealNvp()
    predicted, target = torch.rand(5, 2), torch.rand(5, 2)
    sigmas = torch.rand(5, 2) * 0.5 + 0.05
    mu, goal, s = (x.double().numpy() for x in (predicted, target, sigmas))
    density = numpy_log_prob(flow, (mu - goal) / s)[:, None]
    base = np.log(s * np.sqrt(2 * np.pi)) + np.abs(goal - mu) / (np.sqrt(2) * s + 1e-9)
    expected = np.log(s) - density + base
    actual = residual_nll(flow, predicted, sigmas, target).detach()
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('sigma', [0.0, 1e-30, 1e-6])
def test_tiny_sigma_keeps_gradients_finite_and_is_still_taught(sigma: float) -> None:
    torch.manual_seed(0)
    flow = RealNvp()
    predicted = torch.rand(4, 2, requires_grad=True)
    sigmas = torch.full((4, 2), sigma, requires_grad=True)
    loss = residual_nll(flow, predicted, sigmas, torch.rand(4, 2)).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [predicted.grad, sigmas.grad, *(p.grad for p in flow.parameters())]
    assert all(g is not None and bool(g.isfinite().all()) for g in gradients)
    assert sigmas.grad is not None and bool((sigmas.grad != 0).all())


def test_no_points_are_an_ordinary_input() -> None:
    flow = RealNvp()
    nothing = torch.zeros(0, 2)
    loss = residual_nll(flow, nothing, nothing, nothing)
    assert loss.shape == (0, 2)
    loss.sum().backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and not p.grad.any() for p in flow.parameters())
