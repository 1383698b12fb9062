"""From the trunk's maps to L maps of C channels each."""

from torch import Tensor, nn

from pavenet_core.config import ModelConfig


class Neck(nn.Module):
    """
    Project each map with a 1x1 convolution and group norm, no activation.

    maps [(N, C_i, h_i, w_i)] -> [(N, C, h_l, w_l)] * L

    The first level beyond the trunk's comes from its last raw map, later ones from the one before.
    """

    def __init__(self, config: ModelConfig, backbone_channels: list[int]) -> None:
        super().__init__()
        channels = config.channels
        extra = config.num_levels - len(backbone_channels)
        self.lateral = nn.ModuleList(
            _conv_norm(inputs, channels, kernel=1) for inputs in backbone_channels
        )
        self.extra = nn.ModuleList(
            _conv_norm(backbone_channels[-1] if i == 0 else channels, channels, kernel=3)
            for i in range(extra)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Return the L levels, finest first."""
        levels = [project(x) for project, x in zip(self.lateral, maps, strict=True)]
        x = maps[-1]
        for downsample in self.extra:
            x = downsample(x)
            levels.append(x)
        return levels


def _conv_norm(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Build a convolution (stride 2 if 3x3) and its group norm."""
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride=1 if kernel == 1 else 2, padding=kernel // 2, bias=False
    )
    nn.init.xavier_uniform_(convolution.weight)
    return nn.Sequential(convolution, nn.GroupNorm(32, outputs))
