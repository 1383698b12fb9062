"""A trunk without batch norms computes what it did with them."""

import copy

import torch
from torch import nn

from pavenet_core.export.fold import fold_batch_norms
from pavenet_core.model.backbone import Backbone
from pavenet_core.presets import COMPACT


@torch.no_grad()
def test_a_folded_trunk_gives_the_same_maps_on_both_scales() -> None:
    torch.manual_seed(0)
    backbone = Backbone(COMPACT).eval().double()
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):  # none at its neutral start
            layer.running_mean.normal_(std=0.2)
            layer.running_var.uniform_(0.5, 1.5)
            layer.weight.uniform_(0.8, 1.2)
            layer.bias.normal_(std=0.2)
    folded = copy.deepcopy(backbone)
    fold_batch_norms(folded.trunk)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    images = torch.randn(2, 3, 64, 128, dtype=torch.float64)
    maps = backbone(images)
    assert len(maps) == 8
    for ours, theirs in zip(folded(images), maps, strict=True):
        torch.testing.assert_close(ours, theirs)
        assert theirs.std() > 1e-3
