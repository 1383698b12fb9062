"""MoveNet's pyramid: a convolutional neck, and all the encoder that the compact networks have."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pavenet_core.model.spatial_encoder import level_sizes

CHANNELS = (24, 24, 32, 64)  # of the maps of a picture, finest first; of all scales alike
MAPS = len(CHANNELS)


class PyramidMemory(NamedTuple):
    """
    Encoded frames as maps; all decoder layers sample the same ones.

    maps          [(N, C_l, h_l, w_l)] * L, finest first, scale by scale
    valid_counts  (N, L, 2) rows and columns of each map that show picture, not whole: a pose's
                  coordinates are shares of them, and a cell too many would be a shift
    """

    maps: list[Tensor]
    valid_counts: Tensor

    @property
    def valid_ratios(self) -> Tensor:
        """Return (N, L, 2): valid share of each map's width and height."""
        shapes = [(x.shape[2], x.shape[3]) for x in self.maps]
        sizes = level_sizes(shapes, self.maps[0].device)
        return (self.valid_counts / sizes).flip(2)

    def frame(self, index: int, num_frames: int) -> 'PyramidMemory':
        """Return one frame of each window; images lie window by window."""
        maps = [x[index::num_frames] for x in self.maps]
        return PyramidMemory(maps, self.valid_counts[index::num_frames])


class Pyramid(nn.Module):
    """
    Carry what coarse maps know to finer ones, step by step.

    maps of strides 4, 8, 16, 32 -> [(N, C_l, h_l, w_l)] * 4, finest first, for each scale

    Layers and names are those of MoveNet MultiPose, whose weights it can begin with.
    """

    def __init__(self, backbone_channels: list[int]) -> None:
        super().__init__()
        c4, c8, c16, c32 = backbone_channels
        self.last = nn.Conv2d(c32, 1280, 1)
        self.lateral32 = nn.Conv2d(1280, 64, 1)
        self.lateral16 = nn.Conv2d(c16, 64, 1)
        self.lateral8 = nn.Conv2d(c8, 32, 1)
        self.lateral4 = nn.Conv2d(c4, 24, 1)
        self.topdown16 = separable(64, 32)
        self.topdown8 = separable(32, 24)
        self.topdown4 = separable(24, 24)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the maps, finest first; each side of a map is twice that of the next."""
        scales = [maps[i : i + MAPS] for i in range(0, len(maps), MAPS)]
        return [level for of_one in scales for level in self._carry(of_one)]

    def _carry(self, maps: list[Tensor]) -> list[Tensor]:
        f4, f8, f16, f32 = maps
        p32 = self.lateral32(functional.relu6(self.last(f32)))
        p16 = self.topdown16(_double(p32) + self.lateral16(f16))
        p8 = self.topdown8(_double(p16) + self.lateral8(f8))
        p4 = self.topdown4(_double(p8) + self.lateral4(f4))
        return [p4, p8, p16, p32]


class PyramidEncoder(nn.Module):
    """The place of the spatial encoder, with nothing left to do."""

    recompute = False

    def __init__(self, strides: list[int]) -> None:
        super().__init__()
        self.strides = strides

    def forward(self, levels: list[Tensor], valid_sizes: Tensor) -> PyramidMemory:
        """
        Note which part of each map shows picture.

        levels       [(N, C_l, h_l, w_l)] * L
        valid_sizes  (N, 2) height, width in pixels of the un-padded images
        """
        shapes = [(x.shape[2], x.shape[3]) for x in levels]
        sizes = level_sizes(shapes, levels[0].device)
        shown = (
            valid_sizes[:, None] / torch.tensor(self.strides, device=valid_sizes.device)[:, None]
        )
        counts = torch.minimum(shown.to(sizes.device, non_blocking=True), sizes)
        # Half precision is for the convolutions alone: where to sample is not to be rounded.
        return PyramidMemory([x.float() for x in levels], counts)


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Build a depthwise 3x3 without bias, a 1x1 and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1),
        nn.ReLU(),
    )


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode='bilinear', align_corners=False)
