"""The losses of a compact network's heat maps: CenterNet's focal loss, and the guesses' error."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pavenet_core.model.peak_selection import HeatMaps
from pavenet_core.train.targets import BatchTargets

SPREAD = 1.5  # cells, of the Gaussians; measured on MoveNet's own heat maps
REACH = 4  # cells to either side that a Gaussian is drawn
OWN = 0.1  # where a target is above this, no ignored region hides it


@dataclass(frozen=True)
class HeatWeights:
    """Weights of the three losses."""

    centre: float = 1.0
    keypoint: float = 1.0
    guess: float = 5.0


def heat_losses(
    maps: HeatMaps,
    targets: BatchTargets,
    valid_counts: Tensor,
    weights: HeatWeights = HeatWeights(),
) -> dict[str, Tensor]:
    """
    Return the weighted losses by name.

    valid_counts  (B, 2) rows and columns of the map that show picture

    A person's centre is that of the box around its known keypoints. Ignored regions cost nothing,
    nor does a keypoint of a person that is not known, within the person's box.
    """
    batch, keypoints, height, width = maps.keypoints.shape
    extent = valid_counts.flip(1)[targets.images]  # (G, 2) columns, rows
    places = targets.keypoints * extent[:, None]
    low, high = _boxes(places, targets.visible)
    centres = (low + high) / 2
    shape = (batch, keypoints, height, width)
    hidden = _ignored(targets.ignore_boxes, valid_counts, height, width)
    everyone = torch.ones_like(targets.visible[:, :1])
    centre_target = draw(centres[:, None], everyone, targets.images, (batch, 1, height, width))
    target = draw(places, targets.visible, targets.images, shape)
    unknown = _unknown(low, high, targets, shape)
    losses = {
        'heat_centre': focal(maps.centres, centre_target, hidden),
        'heat_keypoint': focal(maps.keypoints, target, hidden | unknown),
        'heat_guess': guess_loss(maps.guesses, places, centres, high - low, targets),
    }
    factors = (weights.centre, weights.keypoint, weights.guess)
    return {name: f * loss for (name, loss), f in zip(losses.items(), factors, strict=True)}


def draw(
    places: Tensor, known: Tensor, images: Tensor, shape: tuple[int, int, int, int]
) -> Tensor:
    """
    Draw a Gaussian at each known place, 1 in its own cell; the larger where two meet.

    places   (G, C, 2)  x, y in cells
    known    (G, C)
    images   (G,)       which picture each belongs to
    returns  `shape`, (B, C, h, w)
    """
    _, channels, height, width = shape
    cell = places.floor()
    step = torch.arange(-REACH, REACH + 1, device=places.device)
    x, y = (cell[..., axis, None] + step for axis in (0, 1))  # (G, C, 9)
    bell = (-(step**2) / (2 * SPREAD**2)).exp()
    inside = ((x >= 0) & (x < width))[..., None, :] & ((y >= 0) & (y < height))[..., None]
    warmth = bell[:, None] * bell * (inside & known[..., None, None])
    plane = images[:, None] * channels + torch.arange(channels, device=places.device)
    index = plane[..., None, None] * (height * width) + (
        y.clamp(0, height - 1)[..., None] * width + x.clamp(0, width - 1)[..., None, :]
    )
    drawn = torch.zeros(shape, device=places.device)
    drawn.view(-1).scatter_reduce_(0, index.long().flatten(), warmth.flatten(), 'amax')
    return drawn


def focal(logits: Tensor, target: Tensor, hidden: Tensor) -> Tensor:
    """Return CenterNet's penalty-reduced focal loss per peak; hidden cells cost nothing."""
    logits = logits.float()
    peak = target >= 1
    scores = logits.sigmoid()
    hit = (1 - scores).square() * functional.logsigmoid(logits) * peak
    miss = scores.square() * functional.logsigmoid(-logits) * (1 - target) ** 4
    counted = ~hidden | (target > OWN)
    return -(hit + miss * (~peak & counted)).sum() / peak.sum().clamp(min=1)


def guess_loss(
    guesses: Tensor, places: Tensor, centres: Tensor, extent: Tensor, targets: BatchTargets
) -> Tensor:
    """
    Return the mean error of the guesses near each person's centre, in shares of its extent.

    The cell asked is up to one off: nor will the peak always be the very centre.
    """
    _, _, height, width = guesses.shape
    cell = centres.floor() + torch.randint(-1, 2, centres.shape, device=centres.device)
    x, y = cell[:, 0].clamp(0, width - 1).long(), cell[:, 1].clamp(0, height - 1).long()
    here = torch.stack([x, y], 1)[:, None] + 0.5
    guessed = guesses[targets.images, :, y, x].float().unflatten(1, (-1, 2)) + here
    error = (guessed - places).abs().sum(2) / extent.amax(1, keepdim=True).clamp(min=2)
    return (error * targets.visible).sum() / targets.visible.sum().clamp(min=1)


def _boxes(places: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
    """Return the corners (G, 2) of the boxes around visible keypoints."""
    seen = visible[..., None]
    low = torch.where(seen, places, torch.inf).amin(1)
    high = torch.where(seen, places, -torch.inf).amax(1)
    return low, high


def _ignored(boxes: Tensor, valid_counts: Tensor, height: int, width: int) -> Tensor:
    """Return (B, 1, h, w): cells in an ignored box (B, I, 4), or beyond the picture."""
    rows, columns = valid_counts[:, :1], valid_counts[:, 1:]
    y = torch.arange(height, device=boxes.device) + 0.5
    x = torch.arange(width, device=boxes.device) + 0.5
    in_rows, in_columns = (
        (boxes[..., axis, None] * size[..., None] <= at)
        & (at <= boxes[..., axis + 2, None] * size[..., None])
        for axis, at, size in ((1, y, rows), (0, x, columns))
    )
    covered = torch.matmul(in_rows.transpose(1, 2).float(), in_columns.float()) > 0
    beyond = (y >= rows)[:, :, None] | (x >= columns)[:, None]
    return (covered | beyond)[:, None]


def _unknown(
    low: Tensor, high: Tensor, targets: BatchTargets, shape: tuple[int, int, int, int]
) -> Tensor:
    """Return `shape`: cells in the box of somebody of whom that keypoint is not known."""
    margin = 0.1 * (high - low)
    low, high = low - margin, high + margin
    y = torch.arange(shape[2], device=low.device)
    x = torch.arange(shape[3], device=low.device)
    in_rows = (low[:, 1:] <= y + 1) & (y <= high[:, 1:])
    in_columns = (low[:, :1] <= x + 1) & (x <= high[:, :1])
    inside = (in_rows[:, :, None] & in_columns[:, None])[:, None] & ~targets.visible[
        ..., None, None
    ]
    count = torch.zeros(shape, dtype=torch.float16, device=low.device)
    return count.index_add_(0, targets.images, inside.to(torch.float16)) > 0
