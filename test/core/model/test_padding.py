"""A picture's poses are the same alone and in a batch of any sizes."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.own_canvas import own_canvases

SIZES = ((96, 160), (130, 70), (160, 224), (96, 160), (40, 33))  # height, width in pixels


@pytest.fixture(scope='module', params=['mobilenetv2_035', 'resnet10t', 'swin'])
def model(request: pytest.FixtureRequest, make_tiny_model: Callable[..., PaveNet]) -> PaveNet:
    """Make networks whose trunks spread padding by convolutions, pooling and windows."""
    if request.param != 'swin':
        return make_tiny_model(backbone=request.param)
    return make_tiny_model(
        backbone='swin_tiny_patch4_window7_224',
        backbone_args={
            'strict_img_size': False,
            'always_partition': True,
            'depths': (2, 2, 2, 2),
            'embed_dim': 24,
        },
        backbone_indices=(1, 2),
        backbone_norm=True,
    )


def window(model: PaveNet, height: int, width: int, seed: int) -> Tensor:
    noise = torch.Generator().manual_seed(seed)
    frames = model.config.num_frames
    pixels = torch.randint(0, 256, (frames, height, width, 3), generator=noise, dtype=torch.uint8)
    return model.normalise(pixels, torch.tensor([[height, width]] * frames))


def padded_batch(windows: list[Tensor], height: int, width: int) -> Tensor:
    batch = torch.zeros(len(windows), *windows[0].shape[:2], height, width)
    for row, images in zip(batch, windows, strict=True):
        row[:, :, : images.shape[2], : images.shape[3]] = images
    return batch


def outputs(model: PaveNet, images: Tensor, sizes: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        poses, joints = model(images, sizes, 5)
    return [poses.class_logits.sigmoid(), poses.poses, joints.keypoints, joints.sigmas]


def alone(model: PaveNet, images: Tensor) -> list[Tensor]:
    height, width = images.shape[2:]
    canvas = own_canvases(torch.tensor([[height, width]]), (10**6, 10**6), 32)[0]
    return outputs(model, padded_batch([images], *canvas), torch.tensor([[height, width]]))


@pytest.mark.parametrize('canvas', [(160, 224), (192, 320)])
def test_a_batch_of_mixed_sizes_gives_what_each_picture_gives_alone(
    model: PaveNet, canvas: tuple[int, int]
) -> None:
    windows = [window(model, *size, seed) for seed, size in enumerate(SIZES)]
    together = outputs(model, padded_batch(windows, *canvas), torch.tensor(SIZES))
    for row, images in enumerate(windows):
        for ours, theirs in zip(alone(model, images), together, strict=True):
            torch.testing.assert_close(theirs[row : row + 1], ours, rtol=1e-4, atol=1e-5)


def test_padding_is_as_good_as_no_padding_in_training(model: PaveNet) -> None:
    """The same with gradients: those of the small picture's loss do not see the large one."""
    sizes = torch.tensor([SIZES[0], SIZES[2]])
    windows = [window(model, *size, 7) for size in (SIZES[0], SIZES[2])]
    weight = model.joint_decoder.layers[0].attention.value_proj.weight
    grads = []
    for batch, valid in (
        (windows[0][None], sizes[:1]),
        (padded_batch(windows, 160, 224), sizes),
    ):
        _, joints = model(batch, valid, 5)
        (grad,) = torch.autograd.grad(joints.keypoints[0].square().sum(), weight)
        grads.append(grad)
    torch.testing.assert_close(*grads, rtol=1e-3, atol=1e-6)


def test_fewer_tokens_than_queries_are_filled_up(make_tiny_model: Callable[..., PaveNet]) -> None:
    model = make_tiny_model(num_queries=40)
    small = window(model, 64, 64, 0)  # 16 + 4 tokens
    ours = outputs(model, small[None], torch.tensor([[64, 64]]))
    batch = padded_batch([small, window(model, 160, 224, 1)], 160, 224)
    together = outputs(model, batch, torch.tensor([[64, 64], [160, 224]]))
    for mine, theirs in zip(ours, together, strict=True):
        assert mine.isfinite().all()
        torch.testing.assert_close(theirs[:1], mine, rtol=1e-4, atol=1e-5)


def test_the_authors_way_lets_padding_matter(make_tiny_model: Callable[..., PaveNet]) -> None:
    """Both switches change what a padded picture gives, so neither is dead."""
    model = make_tiny_model()
    for layer in model.pose_decoder.layers:
        torch.nn.init.ones_(layer.attention.value_proj.bias)
    batch = padded_batch([window(model, 96, 100, 0)], 96, 128)
    sizes = torch.tensor([[96, 100]])
    ours = outputs(model, batch, sizes)[1]
    config: ModelConfig = model.config
    model.config = replace(config, zero_padding_values=False)
    assert not torch.allclose(outputs(model, batch, sizes)[1], ours)
    model.config = config
    model.query_selection.valid_only = False
    model.query_selection.class_head.weight.data.zero_()  # all tokens alike: the first are taken
    anyone = outputs(model, batch, sizes)[1]
    model.query_selection.valid_only = True
    assert not torch.allclose(outputs(model, batch, sizes)[1], anyone)
