"""Residual log-likelihood estimation (RLE): a learned density of the keypoint error."""

import math

import torch
from torch import Tensor, nn

# A tenth of a pixel in an image of 1,000. The authors have no floor, but the gradient grows with
# sigma ** -3 and would overflow.
MIN_SIGMA = 1e-4


class RealNvp(nn.Module):
    """
    Model the density of 2D points by six affine coupling layers over a unit Gaussian.

    The mean of the Gaussian is 0.5 per axis in the authors' code and 0 in the RLE paper.
    """

    mask: Tensor

    def __init__(self, prior_mean: float = 0.5, num_layers: int = 6, channels: int = 64) -> None:
        """Build coupling layers that in turn keep y and keep x."""
        super().__init__()
        self.prior_mean = prior_mean
        keep = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        self.register_buffer('mask', keep.repeat((num_layers + 1) // 2, 1)[:num_layers])
        self.t = nn.ModuleList(_coupling_mlp(channels) for _ in range(num_layers))
        self.s = nn.ModuleList(
            _coupling_mlp(channels).append(nn.Tanh()) for _ in range(num_layers)
        )

    def log_prob(self, points: Tensor) -> Tensor:
        """
        Return the log density of points.

        points   (N, 2)
        returns  (N,)
        """
        z = points
        log_det = points.new_zeros(points.shape[:-1])
        for i in reversed(range(len(self.mask))):
            keep = self.mask[i]
            kept = z * keep
            log_scale = self.s[i](kept) * (1 - keep)
            shift = self.t[i](kept) * (1 - keep)
            z = kept + (1 - keep) * (z - shift) * torch.exp(-log_scale)
            log_det = log_det - log_scale.sum(-1)
        distance = (z - self.prior_mean).square().sum(-1)
        return log_det - 0.5 * distance - math.log(2 * math.pi)


def residual_nll(flow: RealNvp, predicted: Tensor, sigmas: Tensor, target: Tensor) -> Tensor:
    """
    Return the negative log-likelihood of keypoints under their predicted positions and spreads.

    predicted, target  (N, 2)  x then y
    sigmas             (N, 2)
    returns            (N, 2)  per axis; the flow's density, of both axes, counts in each
    """
    # The floor bounds value and gradient, but lets the gradient through so sigma can recover.
    sigmas = sigmas + (MIN_SIGMA - sigmas).clamp(min=0).detach()
    error = predicted - target
    residual = sigmas.log() - flow.log_prob(error / sigmas).unsqueeze(-1)
    base = (sigmas * math.sqrt(2 * math.pi)).log() + error.abs() / (math.sqrt(2) * sigmas + 1e-9)
    return residual + base


def _coupling_mlp(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2, channels),
        nn.LeakyReLU(),
        nn.Linear(channels, channels),
        nn.LeakyReLU(),
        nn.Linear(channels, 2),
    )
