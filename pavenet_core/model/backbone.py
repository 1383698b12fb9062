"""The trunk: any timm model, giving its feature maps."""

from typing import Any

import timm
import torch
from timm.layers import LayerNorm2d, PatchEmbed
from timm.models import generate_default_cfgs, register_model
from timm.models.efficientnet import _gen_mobilenet_v2
from timm.models.swin_transformer import SwinTransformerBlock
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pavenet_core.config import ModelConfig

# Without an entry here timm warns of it at every start.
default_cfgs = generate_default_cfgs({'mobilenetv2_150.untrained': {}})


@register_model
def mobilenetv2_150(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build MobileNetV2 at 1.5 times the width, the trunk of MoveNet MultiPose."""
    return _gen_mobilenet_v2('mobilenetv2_150', 1.5, pretrained=pretrained, **kwargs)


class RightPaddedConv2d(nn.Conv2d):
    """A 3x3 convolution of stride 2, padded right and below only."""

    def forward(self, x: Tensor) -> Tensor:
        """Halve a picture of even sides."""
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class PaddedSwinBlock(SwinTransformerBlock):  # type: ignore[misc]  # mypy does not read timm
    """
    Windows as Swin's authors cut them when the map does not divide into windows.

    timm shifts the map and then pads it, so that the rows that wrapped around sit beside the last
    real ones, where the attention mask does not look for them.
    """

    def _attn(self, x: Tensor) -> Tensor:
        """Pad below and to the right, then shift and attend: (N, h, w, C) -> (N, h, w, C)."""
        height, width = x.shape[1:3]
        rows, columns = self.window_size
        padded = F.pad(x, (0, 0, 0, -width % columns, 0, -height % rows))
        return super()._attn(padded)[:, :height, :width]


class Backbone(nn.Module):
    """
    Turn images into feature maps.

    images (N, 3, H, W) normalised -> maps [(N, C_i, h_i, w_i)], finest first

    `channels` and `strides` list what comes out.
    """

    def __init__(self, config: ModelConfig, pretrained: bool = False) -> None:
        super().__init__()
        self.trunk = timm.create_model(
            config.backbone,
            pretrained=pretrained,
            features_only=True,
            out_indices=config.backbone_indices,
            **config.backbone_args,
        )
        if config.pyramid:
            read_before_widening(self.trunk)
        if config.backbone == 'mobilenetv2_150':
            pad_like_tensorflow(self.trunk)
        elif config.backbone.startswith('swin_'):
            pad_before_shifting(self.trunk)
        self.channels: list[int] = self.trunk.feature_info.channels()
        self.strides: list[int] = self.trunk.feature_info.reduction()
        # Some of timm's transformers put the channels last.
        self.channels_last = getattr(self.trunk, 'output_fmt', 'NCHW') == 'NHWC'
        self.norms = nn.ModuleList(
            LayerNorm2d(channels, eps=1e-5) if config.backbone_norm else nn.Identity()
            for channels in self.channels
        )
        self.recompute = False

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, finest first."""
        if not (self.recompute and torch.is_grad_enabled()):
            return self._maps(images)
        # Picture by picture, so that the activations of one alone are there at a time.
        single = [checkpoint(self._maps, x, use_reentrant=False) for x in images.split(1)]
        return [torch.cat(maps) for maps in zip(*single, strict=True)]

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps = self.trunk(images)
        if self.channels_last:
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        return [norm(x) for norm, x in zip(self.norms, maps, strict=True)]


def read_before_widening(trunk: Any) -> None:
    """
    Take a MobileNetV2's map of stride 16 from before its last widening, as MoveNet does.

    timm offers the last map of each stride only.
    """
    trunk._stage_out_idx = {2: 1, 3: 2, 4: 3, 7: 4}
    trunk.feature_info.info[3] |= {'stage': 4, 'module': 'blocks.3', 'num_chs': 96}


def pad_before_shifting(trunk: nn.Module) -> None:
    """Let a Swin trunk pad in the order of its authors, and pictures to whole patches."""
    for layer in trunk.modules():
        if isinstance(layer, SwinTransformerBlock):
            # timm's constructor offers no other block; the weights are the same.
            layer.__class__ = PaddedSwinBlock
        elif isinstance(layer, PatchEmbed):
            layer.dynamic_img_pad = True


def pad_like_tensorflow(trunk: nn.Module) -> None:
    """
    Move the padding of the stride-2 convolutions to where MoveNet's weights learnt it.

    timm's `pad_type='same'` computes the same, but for free image sizes torch.export was not done
    with its sums after eight minutes.
    """
    for name, layer in list(trunk.named_modules()):
        if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
            padded = RightPaddedConv2d(
                layer.in_channels,
                layer.out_channels,
                3,
                stride=2,
                groups=layer.groups,
                bias=layer.bias is not None,
            )
            padded.weight = layer.weight
            trunk.set_submodule(name, padded)
