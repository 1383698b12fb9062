"""Decoders that move poses in shares of their size, from scores that are there already."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from pavenet_core.model import PaveNet
from pavenet_core.model.pose_decoder import PoseDecoder
from pavenet_core.model.predictions import PosePrediction
from pavenet_core.model.pyramid import CHANNELS
from pavenet_core.model.query_selection import Queries
from pavenet_core.presets import COMPACT

CONFIG = replace(COMPACT, num_frames=1, num_queries=3, pose_layers=1)


def window() -> tuple[Queries, list[list[Tensor]], Tensor]:
    """Give three queries, the second twice as large as the first, and one frame's maps."""
    noise = torch.Generator().manual_seed(0)
    pose = 0.3 + 0.1 * torch.rand(17, 2, generator=noise)
    poses = torch.stack([pose, 0.3 + 2 * (pose - 0.3), pose + 0.1])[None]
    query = torch.randn(1, 3, CONFIG.channels, generator=noise)
    maps = [torch.randn(1, CHANNELS[i % 4], 8, 8, generator=noise) for i in CONFIG.pose_levels]
    return Queries(query, poses, torch.tensor([[1.0, -2.0, 0.5]])), [maps], torch.ones(1, 8, 2)


def test_a_fresh_decoder_leaves_poses_and_scores_as_they_came() -> None:
    torch.manual_seed(0)
    queries, values, ratios = window()
    layers, poses = PoseDecoder(CONFIG)(queries, values, ratios)
    torch.testing.assert_close(poses[:, 0], queries.reference_poses)
    assert torch.equal(layers[0].class_logits, queries.logits)


def test_a_move_is_a_share_of_the_pose_s_size() -> None:
    torch.manual_seed(0)
    decoder, (queries, values, ratios) = PoseDecoder(CONFIG), window()
    last = decoder.keypoint_heads[0][0][-1]
    nn.init.normal_(last.bias, std=0.1)  # whatever the query
    layers, _ = decoder(queries, values, ratios)
    before = queries.reference_poses
    size = (before.amax(2) - before.amin(2)).amax(-1)[..., None, None]
    expected = before + last.bias.view(17, 2) * size
    torch.testing.assert_close(layers[0].poses, expected)


def test_self_attention_is_told_where_poses_are() -> None:
    torch.manual_seed(0)
    decoder, (queries, values, ratios) = PoseDecoder(CONFIG), window()
    nn.init.normal_(decoder.pose_position[-1].weight)
    nn.init.normal_(decoder.class_heads[0].weight)

    def logits(poses: Tensor) -> Tensor:
        layers, _ = decoder(queries._replace(reference_poses=poses), values, ratios)
        # Only the first query's pose changed, and only by conferring others hear of it.
        return layers[0].class_logits[:, 1:]

    moved = queries.reference_poses.clone()
    moved[:, 0] += 0.05
    assert (logits(moved) - logits(queries.reference_poses)).abs().min() > 1e-3


@pytest.mark.parametrize('frames', [1, 3])
def test_people_s_poses_are_finite_and_moved_by_both_decoders(
    make_tiny_pyramid: Callable[..., PaveNet], frames: int
) -> None:
    model = make_tiny_pyramid(frames)
    images = torch.randn(2, frames, 3, 64, 128)
    with torch.inference_mode():
        memory = model.encode(images.flatten(0, 1), torch.tensor([[64, 128]] * 2 * frames))
        found = model.find_poses(memory)
        joints = model.find_joints(found, torch.tensor([[0, 1]] * 2))
    assert found.proposals is None
    key = found.poses[:, frames // 2]
    last: PosePrediction = found.layers[-1]
    assert torch.equal(last.poses, key)
    assert joints[-1].keypoints.isfinite().all()
    assert (joints[-1].keypoints - key[:, :2]).abs().amax((2, 3)).min() > 1e-3
