"""Choose the pose queries of a compact network: the peaks of a heat map of people's centres."""

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from pavenet_core.config import ModelConfig
from pavenet_core.model.pyramid import CHANNELS, MAPS, PyramidMemory

BLOCK = 4  # cells of a side of the blocks among which a keypoint is first sought
NO_PEAK = -30.0  # what a cell's logit is lowered by if a neighbour's is higher
ALIKE = 0.5  # object keypoint similarity
SPREAD, LEAST_SPREAD = 0.13, 1.5  # how far it may be from its guess: of the person, in cells


class Peaks(NamedTuple):
    """
    The people that one frame shows by itself, best first.

    query   (B, Q, C)     to begin decoding with
    poses   (B, Q, K, 2)  in [0, 1] of the valid picture
    logits  (B, Q)
    warmth  (B, Q, K)     how sure each keypoint is, in [0, 1]
    """

    query: Tensor
    poses: Tensor
    logits: Tensor
    warmth: Tensor

    def at(self, index: Tensor) -> 'Peaks':
        """Return some of them, (B, N) by index."""
        flat = (x.flatten(2) if x.ndim > 2 else x[..., None] for x in self)
        chosen = (x.gather(1, index[..., None].expand(-1, -1, x.shape[2])) for x in flat)
        query, poses, logits, warmth = chosen
        return Peaks(query, poses.unflatten(2, (-1, 2)), logits[..., 0], warmth)


class PeakSelection(nn.Module):
    """
    Keep the Q best peaks of the centres' heat maps, each with a pose to begin with.

    A peak guesses its keypoints; each is then moved to where the keypoints' heat map is warmest
    near the guess. So does MoveNet, whose weights these heads begin with. With two scales a
    person may have a peak in both: of poses that are alike the best is the peak.

    Nothing here but the queries' content is trained further, and the poses are detached.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_queries, self.keypoints = config.num_queries, len(config.skeleton)
        finest = CHANNELS[0]
        self.centre_head = HeatHead(finest, 1)
        self.guess_head = HeatHead(finest, 2 * self.keypoints)
        self.keypoint_head = HeatHead(finest, self.keypoints)
        self.offset_head = HeatHead(finest, 2 * self.keypoints)
        # What a query begins with: the features, centre's logit and keypoints' warmth of its peak.
        self.content = nn.Linear(finest + 1 + self.keypoints, config.channels)
        self.norm = nn.LayerNorm(config.channels)
        self.variances: Tensor
        self.register_buffer(
            'variances', (2 * torch.tensor(config.skeleton.sigmas)) ** 2, persistent=False
        )

    def forward(self, memory: PyramidMemory) -> Peaks:
        """Return the best Q peaks of each frame."""
        finest = range(0, len(memory.maps), MAPS)
        with torch.no_grad(), full_precision(memory.maps[0].device.type):
            # Few people are found in the half-size picture alone.
            peaks = [
                self._peaks(memory.maps[i], memory.valid_counts[:, i], self.num_queries // n)
                for n, i in enumerate(finest, 1)
            ]
            found = Peaks(*(torch.cat(x, 1) for x in zip(*peaks, strict=True)))
            if len(peaks) > 1:
                lowered = found.logits + NO_PEAK * self._has_better(found)
                best = lowered.topk(self.num_queries, 1)
                found = found.at(best.indices)._replace(logits=best.values)
        return found._replace(query=self.norm(self.content(found.query)))

    def _peaks(self, x: Tensor, valid_counts: Tensor, count: int) -> Peaks:
        """
        Find the best peaks of one scale, Q = `count` of them.

        x             (B, C, h, w)
        valid_counts  (B, 2) rows and columns that show picture
        returns       with features (B, Q, C + 1 + K) for queries
        """
        height, width = x.shape[2:]
        scores, cells = self._best_cells(self.centre_head(x), valid_counts, count)
        guesses = self.guess_head.at(gather(self.guess_head.depthwise(x), cells))
        middles = place(cells, height, width)[:, :, None] + 0.5
        warmth = self.keypoint_head(x).sigmoid()
        where, warm = warmest(warmth, guesses.unflatten(2, (self.keypoints, 2)) + middles)
        places = place(where, height, width) + self._offsets(x, where)
        poses = (places / valid_counts.flip(1)[:, None, None]).clamp(0, 1)
        # Of the joints the sure ones say most: who is half hidden is not half a person.
        sure = scores.sigmoid().sqrt() * warm.square().mean(2).sqrt()
        known = torch.cat([scores[..., None], torch.logit(warm, 1e-6)], 2).clamp(-9, 9)
        features = torch.cat([gather(x, cells), known], 2)
        # A cell beside a peak is no peak, however warm.
        logits = torch.where(scores < NO_PEAK / 2, scores, torch.logit(sure, 1e-6))
        return Peaks(features, poses, logits, warm)

    def _best_cells(
        self, centres: Tensor, valid_counts: Tensor, count: int
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B, Q) and cell indices (B, Q), best first; cells without a peak last."""
        height, width = centres.shape[2:]
        rows = torch.arange(height, device=centres.device)[None] < valid_counts[:, :1]
        columns = torch.arange(width, device=centres.device)[None] < valid_counts[:, 1:]
        inside = (rows[:, :, None] & columns[:, None])[:, None]
        peak = centres == functional.max_pool2d(centres, 3, 1, 1)
        # Finite, for a picture may have fewer peaks than queries, and no two alike.
        logits = torch.where(peak, centres, centres + NO_PEAK)
        logits = torch.where(inside, logits, 2 * NO_PEAK).flatten(1)
        logits = functional.pad(logits, (0, count), value=3 * NO_PEAK)
        best, cells = logits.topk(count, 1)
        return best, cells.clamp(max=height * width - 1)

    def _offsets(self, x: Tensor, where: Tensor) -> Tensor:
        """Return where in its cell (B, Q, K) each keypoint is: (B, Q, K, 2), in [0, 1]."""
        offsets = self.offset_head.at(gather(self.offset_head.depthwise(x), where.flatten(1)))
        own = torch.arange(self.keypoints, device=where.device)[None, None, :, None, None]
        offsets = offsets.unflatten(2, (self.keypoints, 2)).unflatten(1, where.shape[1:])
        return offsets.gather(3, own.expand(*where.shape, 1, 2))[..., 0, :]

    def _has_better(self, found: Peaks) -> Tensor:
        """Tell of which peaks there is a better one with a pose alike: (B, N) bool."""
        alike = similarity(found.poses, found.poses, self.variances) > ALIKE
        return (alike & (found.logits[:, None] > found.logits[:, :, None])).any(2)


def similarity(a: Tensor, b: Tensor, variances: Tensor) -> Tensor:
    """
    Return the object keypoint similarity of all pairs of poses.

    a, b       (B, N, K, 2), (B, M, K, 2)
    variances  (K,) of the skeleton's keypoints
    returns    (B, N, M); the area of a pair is the mean of their boxes'
    """
    areas = [(x.amax(2) - x.amin(2)).prod(2).clamp(min=1e-8) for x in (a, b)]
    scale = -1 / (areas[0][:, :, None] + areas[1][:, None])
    # Keypoints before pairs, and x and y apart: ONNX Runtime is quick along long last axes.
    a, b = ((x / variances.sqrt()[:, None]).permute(3, 0, 2, 1) for x in (a, b))
    x, y = a[..., None] - b[..., None, :]  # (B, K, N, M)
    return ((x * x + y * y) * scale[:, None]).exp().mean(1)


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


def full_precision(device: str) -> AbstractContextManager[object]:
    """Return what turns autocast off; meta tensors, on which costs are counted, have none."""
    if not torch.amp.is_autocast_available(device):
        return nullcontext()
    return torch.autocast(device, enabled=False)


def gather(x: Tensor, cells: Tensor) -> Tensor:
    """Return what a map (B, C, h, w) has at cells (B, Q): (B, Q, C)."""
    flat = x.flatten(2)
    return flat.gather(2, cells[:, None].expand(-1, flat.shape[1], -1)).transpose(1, 2)


def place(cells: Tensor, height: int, width: int) -> Tensor:
    """Return column and row of the cells (...) of a map: (..., 2). ONNX has no free modulo."""
    columns = torch.arange(width, device=cells.device).expand(height, width)
    rows = torch.arange(height, device=cells.device)[:, None].expand(height, width)
    return torch.stack([columns.flatten()[cells], rows.flatten()[cells]], -1)


def warmest(warmth: Tensor, guesses: Tensor) -> tuple[Tensor, Tensor]:
    """
    Find the warmest cell near each guess, the nearer the better.

    warmth   (B, K, h, w)     in [0, 1]; sides are multiples of `BLOCK`
    guesses  (B, Q, K, 2)     x, y in cells
    returns  (B, Q, K) indices of cells, and (B, Q, K) their warmth

    First the best block of cells, by its warmest and its middle, then the best cell in and around
    it: all cells for all queries would be sixteen times as many.
    """
    blocks = functional.max_pool2d(warmth, BLOCK)  # (B, K, h/4, w/4)
    rows, columns = blocks.shape[2:]
    middles = [BLOCK * (torch.arange(n, device=warmth.device) + 0.5) for n in (columns, rows)]
    likely = blocks[:, None].flatten(3) * nearness(middles[0], middles[1], guesses)
    corner = BLOCK * place(likely.argmax(3), rows, columns) - 1
    step = torch.arange(BLOCK + 2, device=warmth.device)
    height, width = warmth.shape[2:]
    x = (corner[..., :1] + step).clamp(0, width - 1)  # (B, Q, K, 6)
    y = (corner[..., 1:] + step).clamp(0, height - 1)
    cells = (y[..., None] * width + x[..., None, :]).flatten(3)  # (B, Q, K, 36)
    found = warmth.flatten(2).gather(2, cells.transpose(1, 2).flatten(2))
    found = found.unflatten(2, (-1, len(step) ** 2)).transpose(1, 2)
    best = (found * nearness(x + 0.5, y + 0.5, guesses)).argmax(3, keepdim=True)
    return cells.gather(3, best)[..., 0], found.gather(3, best)[..., 0]


def nearness(x: Tensor, y: Tensor, guesses: Tensor) -> Tensor:
    """
    Return how near all places of a grid are: a Gaussian as wide as people of that size need.

    x, y     (..., columns), (..., rows)  in cells, broadcastable to (B, Q, K, n)
    guesses  (B, Q, K, 2)
    returns  (B, Q, K, rows * columns)
    """
    spread = SPREAD * (guesses.amax(2) - guesses.amin(2)).amax(2)
    scale = -0.5 / spread.clamp(min=LEAST_SPREAD)[:, :, None, None].square()
    by_x = (scale * (x - guesses[..., :1]).square()).exp()
    by_y = (scale * (y - guesses[..., 1:]).square()).exp()
    return (by_y[..., None] * by_x[..., None, :]).flatten(3)
