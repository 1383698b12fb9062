"""The trunk: any timm model, giving its feature maps."""

from typing import Any

import timm
from timm.models import register_model
from timm.models.efficientnet import _gen_mobilenet_v2
from torch import Tensor, nn

from pavenet_core.config import ModelConfig


@register_model
def mobilenetv2_150(pretrained: bool = False, **kwargs: Any) -> nn.Module:
    """Build MobileNetV2 at 1.5 times the width, the trunk of MoveNet MultiPose."""
    return _gen_mobilenet_v2('mobilenetv2_150', 1.5, pretrained=pretrained, **kwargs)


class Backbone(nn.Module):
    """
    Turn images into feature maps.

    images (N, 3, H, W) normalised -> maps [(N, C_i, h_i, w_i)], finest first

    `channels` and `strides` list what comes out.
    """

    def __init__(self, config: ModelConfig, pretrained: bool = False) -> None:
        super().__init__()
        # MoveNet's weights were trained with TensorFlow's padding: right and below only.
        options = {'pad_type': 'same'} if config.backbone == 'mobilenetv2_150' else {}
        self.trunk = timm.create_model(
            config.backbone,
            pretrained=pretrained,
            features_only=True,
            out_indices=config.backbone_indices,
            **options,
        )
        self.channels: list[int] = self.trunk.feature_info.channels()
        self.strides: list[int] = self.trunk.feature_info.reduction()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps, finest first."""
        return list(self.trunk(images))
