"""Choose the pose queries of a compact network: the peaks of a heat map of people's centres."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pavenet_core.config import ModelConfig
from pavenet_core.model.pyramid import CHANNELS, PyramidMemory
from pavenet_core.model.query_selection import Queries

BLOCK = 4  # cells of a side of the blocks among which a keypoint is first sought
WINDOW = 7  # cells of a side of the window in which it is then found
NO_PEAK = -30.0  # what a cell's logit is lowered by if a neighbour's is higher
SPREAD, LEAST_SPREAD = 0.1, 1.5  # how far it may be from its guess: of the person, in cells


class HeatMaps(NamedTuple):
    """
    What the finest map says of the key frame, cell by cell, for the losses.

    centres    (B, 1, h, w)  logits of people's centres
    keypoints  (B, K, h, w)  logits of keypoints, whoever has them
    guesses    (B, 2*K, h, w)  of a person centred here, x and y of each keypoint, cells from here
    """

    centres: Tensor
    keypoints: Tensor
    guesses: Tensor


class PeakSelection(nn.Module):
    """
    Keep the Q best peaks of the centres' heat map, each with a pose to begin with.

    A peak guesses its keypoints; each is then moved to where the keypoints' heat map is warmest
    near the guess, as MoveNet does, whose weights these heads can begin with. The poses are
    detached: what the decoders learn does not change them.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_queries, self.keypoints = config.num_queries, len(config.skeleton)
        finest = CHANNELS[0]
        self.centre_head = HeatHead(finest, 1)
        self.guess_head = HeatHead(finest, 2 * self.keypoints)
        self.keypoint_head = HeatHead(finest, self.keypoints)
        # What a query begins with: the features, centre's logit and keypoints' warmth of its peak.
        self.content = nn.Linear(finest + 1 + self.keypoints, config.channels)
        self.norm = nn.LayerNorm(config.channels)

    def forward(self, memory: PyramidMemory) -> tuple[HeatMaps | None, Queries]:
        """Return the heat maps, in training only, and the queries made of the best Q peaks."""
        finest = memory.maps[0]
        centres = self.centre_head(finest)
        heat = self.keypoint_head(finest)
        around = self.guess_head.depthwise(finest)
        with torch.autocast(finest.device.type, enabled=False):
            scores, cells = self._peaks(centres.detach().float(), memory.valid_counts[:, 0])
            guesses = self.guess_head.at(gather(around, cells).detach().float())
            guesses = guesses.unflatten(2, (self.keypoints, 2))
            middles = place(cells, *finest.shape[2:])[:, :, None] + 0.5
            places, warmth = warmest(heat.detach().float(), guesses + middles)
            logits = torch.logit(scores.sigmoid() * warmth.mean(2), 1e-6)
            features = torch.cat([scores[..., None], torch.logit(warmth, 1e-6)], 2).clamp(-9, 9)
        query = self.content(torch.cat([gather(finest, cells), features.to(finest.dtype)], 2))
        sizes = memory.valid_counts[:, 0].flip(1)[:, None, None]
        queries = Queries(self.norm(query), (places / sizes).clamp(0, 1), logits)
        if not self.training:
            return None, queries
        return HeatMaps(centres, heat, self.guess_head.finish(around)), queries

    def _peaks(self, centres: Tensor, valid_counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, Q) and cell indices (B, Q), best first; cells without a peak last."""
        height, width = centres.shape[2:]
        rows = torch.arange(height, device=centres.device)[None] < valid_counts[:, :1]
        columns = torch.arange(width, device=centres.device)[None] < valid_counts[:, 1:]
        inside = (rows[:, :, None] & columns[:, None])[:, None]
        peak = centres == functional.max_pool2d(centres, 3, 1, 1)
        # Finite, for a picture may have fewer peaks than queries, and no two alike.
        logits = torch.where(peak, centres, centres + NO_PEAK)
        logits = torch.where(inside, logits, 2 * NO_PEAK).flatten(1)
        logits = functional.pad(logits, (0, self.num_queries), value=3 * NO_PEAK)
        best, cells = logits.topk(self.num_queries, 1)
        return best, cells.clamp(max=height * width - 1)


class HeatHead(nn.Module):
    """A depthwise 3x3, then for each cell 96 hidden channels and what comes out."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
        self.pointwise = nn.Conv2d(inputs, 96, 1)
        self.out = nn.Conv2d(96, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, C, h, w) for every cell."""
        return self.finish(self.depthwise(x))

    def finish(self, x: Tensor) -> Tensor:
        """Do what comes after the depthwise convolution."""
        hidden: Tensor = self.pointwise(x).relu()
        return cast(Tensor, self.out(hidden))

    def at(self, x: Tensor) -> Tensor:
        """Do the same for some cells alone: (B, Q, C) -> (B, Q, outputs)."""
        return self.finish(x.transpose(1, 2)[..., None])[..., 0].transpose(1, 2)


def gather(x: Tensor, cells: Tensor) -> Tensor:
    """Return what a map (B, C, h, w) has at cells (B, Q): (B, Q, C)."""
    flat = x.flatten(2)
    return flat.gather(2, cells[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)


def place(cells: Tensor, height: int, width: int) -> Tensor:
    """Return column and row of the cells (...) of a map: (..., 2). ONNX has no free modulo."""
    columns = torch.arange(width, device=cells.device).expand(height, width)
    rows = torch.arange(height, device=cells.device)[:, None].expand(height, width)
    return torch.stack([columns.flatten()[cells], rows.flatten()[cells]], -1)


def warmest(heat: Tensor, guesses: Tensor) -> tuple[Tensor, Tensor]:
    """
    Move each keypoint to the warmest place near its guess.

    heat     (B, K, h, w)     logits; sides are multiples of `BLOCK`
    guesses  (B, Q, K, 2)     x, y in cells
    returns  (B, Q, K, 2), and (B, Q, K) in [0, 1]: how warm it is there
    """
    warmth = heat.sigmoid()
    spread = (SPREAD * (guesses.amax(2) - guesses.amin(2)).amax(2)).clamp(min=LEAST_SPREAD)
    blocks = functional.max_pool2d(warmth, BLOCK)  # (B, K, h/4, w/4)
    rows, columns = blocks.shape[2:]
    # How near each row and column of blocks is: a Gaussian of x times one of y.
    near = [
        (
            -(
                (BLOCK * (torch.arange(n, device=heat.device) + 0.5) - guesses[..., axis, None])
                ** 2
            )
            / (2 * spread[:, :, None, None] ** 2)
        ).exp()
        for axis, n in ((0, columns), (1, rows))
    ]
    likely = blocks[:, None] * near[1][..., None] * near[0][..., None, :]  # (B, Q, K, h/4, w/4)
    best = likely.flatten(3).argmax(3)
    corner = BLOCK * place(best, rows, columns) - (WINDOW - BLOCK) // 2
    return _within(warmth, corner, guesses, spread)


def _within(
    warmth: Tensor, corner: Tensor, guesses: Tensor, spread: Tensor
) -> tuple[Tensor, Tensor]:
    """Find the centre of the warmth in windows that begin at cells `corner` (B, Q, K, 2)."""
    batch, keypoints, height, width = warmth.shape
    step = torch.arange(WINDOW, device=warmth.device)
    x = corner[..., 0, None] + step  # (B, Q, K, W)
    y = corner[..., 1, None] + step
    inside = ((x >= 0) & (x < width))[..., None, :] & ((y >= 0) & (y < height))[..., None]
    index = y.clamp(0, height - 1)[..., None] * width + x.clamp(0, width - 1)[..., None, :]
    flat = index.transpose(1, 2).flatten(2)  # (B, K, Q*W*W)
    found = warmth.flatten(2).gather(2, flat).view(batch, keypoints, -1, WINDOW**2)
    found = found.transpose(1, 2) * inside.flatten(3)
    near = [
        (
            -((places + 0.5 - guesses[..., axis, None]) ** 2) / (2 * spread[:, :, None, None] ** 2)
        ).exp()
        for axis, places in ((0, x), (1, y))
    ]
    weights = (found * (near[1][..., None] * near[0][..., None, :]).flatten(3)) ** 2
    total = weights.sum(3).clamp(min=1e-12)
    shares = (weights / total[..., None]).unflatten(3, (WINDOW, WINDOW))
    moved = torch.stack(
        [(shares.sum(3) * (x + 0.5)).sum(3), (shares.sum(4) * (y + 0.5)).sum(3)], 3
    )
    lost = (weights.sum(3) < 1e-12)[..., None]
    return torch.where(lost, guesses, moved), found.amax(3)
