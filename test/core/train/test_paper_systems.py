"""Every system of the paper: one training step, and where its gradients reach."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import widened
from pavenet_core.presets import PRESETS
from pavenet_core.train.criterion import Criterion
from pavenet_core.train.step import window_losses
from pavenet_core.train.targets import Targets

SIZE = (64, 96)  # height, width in pixels
SYSTEMS = sorted(set(PRESETS) - {'official_hrnet_w48_t5', 'official_swin_l', 'official_swin_l_t5'})


def two_people(config: ModelConfig) -> Targets:
    noise = torch.Generator().manual_seed(0)
    keypoints = torch.rand(2, len(config.skeleton), 2, generator=noise)
    return Targets(
        keypoints=keypoints,
        visible=torch.ones(keypoints.shape[:2], dtype=torch.bool),
        areas=torch.tensor([900.0, 1200.0]),
        image_size=SIZE,
        ignore_boxes=torch.zeros(0, 4),
    )


@torch.no_grad()
def leave_neutral_start(model: PaveNet) -> None:
    """Move every weight, since layers that start at zero pass no gradient on."""
    for parameter in model.parameters():
        parameter.add_(0.02 * torch.randn_like(parameter))


def untrained(config: ModelConfig) -> tuple[str, ...]:
    """Return the parameters that this system gives no gradient, by the start of their names."""
    last = config.pose_layers - 1
    # The last poses in other frames only start the joint decoder, behind a stop-gradient; the
    # last joints in other frames are not asked for at all.
    others = [frame for frame in range(config.num_frames) if frame != config.key_frame]
    heads = [f'pose_decoder.keypoint_heads.{last}.{frame}.' for frame in others]
    heads += [f'joint_decoder.keypoint_heads.{config.joint_layers - 1}.{f}.' for f in others]
    # The stride-4 map is made and dropped.
    if config.pyramid:  # peaks are found with the weights that were given
        given = ('centre', 'guess', 'keypoint', 'offset')
        heads += [f'query_selection.{name}_head.' for name in given]
        if 0 not in (*config.pose_levels, *config.joint_levels):  # so they alone read it
            heads += ['neck.lateral4.', 'neck.topdown4.']
    return (*heads, 'backbone.trunk.stage4.2.fuse_layers.0.')


@pytest.mark.parametrize('name', SYSTEMS)
def test_one_training_step_reaches_every_part(name: str) -> None:
    torch.manual_seed(0)
    config = replace(PRESETS[name], dropout=0.0)
    model, criterion = PaveNet(config).train(), Criterion(config.skeleton)
    model.backbone.eval()
    leave_neutral_start(model)
    height, width = (-(-side // config.input_alignment) * config.input_alignment for side in SIZE)
    images = torch.randn(config.num_frames, 3, height, width)
    memory = model.encode(images, torch.tensor([SIZE] * config.num_frames))
    losses = window_losses(model, criterion, memory, [two_people(config)])
    expected = {'loss_cls', 'loss_kpt'}
    expected |= {f'd{i}.{loss}' for i in range(config.pose_layers - 1) for loss in expected}
    expected |= {f'd{i}.loss_kpt_refine' for i in range(config.joint_layers)}
    proposes = not (config.learned_poses or config.pyramid)
    expected |= {'enc_loss_cls', 'enc_loss_kpt'} if proposes else set()
    assert set(losses) == expected
    torch.stack(list(losses.values())).sum().backward()
    dead = [
        key
        for key, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ]
    assert [key for key in dead if not key.startswith(untrained(config))] == []
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_petr_passes_no_gradient_from_layer_to_layer(
    make_tiny_model: Callable[..., PaveNet],
) -> None:
    """The authors' video network does: its first pose heads also learn from later layers."""
    for detach in (False, True):
        model = make_tiny_model(1, detach_poses=detach)
        memory = model.encode(torch.randn(1, 3, *SIZE), torch.tensor([SIZE]))
        found = model.find_poses(memory)
        head = model.pose_decoder.keypoint_heads[0][0][-1].weight
        # By way of the second layer's sampling a gradient still comes if poses are not detached.
        (grad,) = torch.autograd.grad(found.layers[1].poses.sum(), head, allow_unused=True)
        assert (grad is None) == detach


def test_queries_without_features_do_not_depend_on_the_picture(
    make_tiny_model: Callable[..., PaveNet],
) -> None:
    for learned_alone in (False, True):
        model = make_tiny_model(1, query_features=not learned_alone)
        images = torch.randn(2, 3, *SIZE)
        memory = model.encode(images, torch.tensor([SIZE] * 2))
        first, second = model.query_selection(memory)[1].query
        assert torch.equal(first, second) == learned_alone


@pytest.mark.parametrize('per_frame', [True, False])
def test_frames_have_poses_of_their_own_or_share_the_key_frames(
    make_tiny_model: Callable[..., PaveNet], per_frame: bool
) -> None:
    model = make_tiny_model(3, poses_per_frame=per_frame)
    memory = model.encode(torch.randn(3, 3, *SIZE), torch.tensor([SIZE] * 3))
    found = model.find_poses(memory)
    first, key, last = found.poses.unbind(1)
    assert torch.equal(first, key) != per_frame
    assert torch.equal(key, last) != per_frame
    assert (
        model.find_joints(found, torch.zeros(1, 2, dtype=torch.long))[-1]
        .keypoints.isfinite()
        .all()
    )


def test_an_image_model_of_shared_poses_widens(make_tiny_model: Callable[..., PaveNet]) -> None:
    image = make_tiny_model(1, poses_per_frame=False)
    video = make_tiny_model(3, poses_per_frame=False)
    video.load_state_dict(widened(image.state_dict(), image.config, 3))
    picture, size = torch.randn(1, 1, 3, *SIZE), torch.tensor([SIZE])
    with torch.inference_mode():
        ours, theirs = (
            net(picture.expand(-1, net.config.num_frames, -1, -1, -1), size, 4)[1].keypoints
            for net in (image, video)
        )
    torch.testing.assert_close(ours, theirs)
