"""Batch norms become biases of the convolutions before them."""

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def fold_batch_norms(trunk: nn.Module) -> None:
    """
    Fold each batch norm of a MobileNet, in evaluation mode, into the convolution before it.

    The exporter does so too, but not where one convolution runs on two scales: there the norms
    would stay, and int8 would stop at each of them.
    """
    convolution = ''
    for name, module in list(trunk.named_modules()):
        if isinstance(module, nn.Conv2d):
            convolution = name
        elif isinstance(module, nn.BatchNorm2d):
            before = trunk.get_submodule(convolution)
            assert isinstance(before, nn.Conv2d)
            trunk.set_submodule(convolution, fuse_conv_bn_eval(before, module))
            # timm's norms do the activation too.
            trunk.set_submodule(name, getattr(module, 'act', nn.Identity()))
