"""Parameters against the authors' network, multiply-adds against sums done by hand."""

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.complexity import MODULES, complexity, default_size, multiply_adds
from pavenet_core.model.deformable_attention import DeformableAttention
from pavenet_core.presets import PRESETS

# Of the authors' network (15 keypoints), counted on their code.
BACKBONES = {'r50': 23_508_032, 'hrnet_w48': 65_325_120, 'swin_l': 194_997_780}
NECKS = {'r50': 5_638_144, 'hrnet_w48': 1_058_816, 'swin_l': 4_229_120}
WHOLE = {
    'r50': {3: 50_951_151, 5: 58_128_491},
    'hrnet_w48': {3: 88_188_911, 5: 95_366_251},
    'swin_l': {3: 221_031_875, 5: 228_209_215},
}
ENCODER, LEVEL_EMBEDDING = 4_541_184, 1_024
POSE_LAYERS, JOINT_LAYERS = {3: 6_096_288, 5: 8_316_768}, {3: 2_435_840, 5: 2_830_592}
POSE_HEAD, POSE_SIGMA_HEAD, CLASS_HEAD, JOINT_HEAD = 672_286, 139_294, 257, 132_098
QUERY_TABLE, JOINT_QUERY_TABLE = 300 * 512, 15 * 512
HEATMAP_HEAD, FLOW = 3_855, 53_784  # ours has no such head, and keeps the flows in the losses


@pytest.mark.parametrize('frames', [3, 5])
@pytest.mark.parametrize('trunk', WHOLE)
def test_parameters_are_the_authors_module_by_module(trunk: str, frames: int) -> None:
    config = PRESETS[f'official_{trunk}' + ('' if frames == 3 else '_t5')]
    cost = complexity(config, (64, 64))
    ours = {name: part.parameters for name, part in cost.modules.items()}
    assert ours == {
        'backbone': BACKBONES[trunk],
        'neck': NECKS[trunk],
        'spatial_encoder': ENCODER + LEVEL_EMBEDDING,
        'query_selection': 65_792  # enc_output
        + 512  # its norm
        + CLASS_HEAD
        + POSE_HEAD
        + POSE_SIGMA_HEAD
        + QUERY_TABLE // 2,  # content; the decoder has the positions
        'pose_decoder': POSE_LAYERS[frames]
        + 3 * (frames * POSE_HEAD + CLASS_HEAD + POSE_SIGMA_HEAD)
        + QUERY_TABLE // 2,
        'joint_decoder': JOINT_LAYERS[frames]
        + 2 * (frames * JOINT_HEAD + JOINT_HEAD)
        + JOINT_QUERY_TABLE,
    }
    assert cost.total.parameters == WHOLE[trunk][frames] - HEATMAP_HEAD - 3 * FLOW


def test_a_resnet_50_costs_what_it_is_known_for() -> None:
    """4,089,184,256 at 224x224 with the classifier of 2048 x 1000."""
    cost = complexity(PRESETS['r50'], (224, 224))
    assert cost.modules['backbone'].frame == 4_089_184_256 - 2048 * 1000


def test_sampling_costs_five_multiply_adds_per_channel() -> None:
    with torch.device('meta'):
        attention = DeformableAttention(channels=8, heads=2, frames=3, levels=1, points=4)
        anchors, scales = torch.empty(1, 10, 3, 1, 1, 2), torch.empty(1, 1, 1, 1, 1, 2)
        values = [torch.empty(1, 2, 4, 5, 6)] * 3
        inputs = torch.empty(1, 10, 8), anchors, scales, values
    cost, _ = multiply_adds(attention, *inputs)
    points = 3 * 4  # of all frames, for each head
    linear = 8 * (2 * points * 2 + 2 * points + 8)  # offsets, weights, output
    assert cost == 10 * (linear + 5 * 8 * points)


def hand_counted(config: ModelConfig, maps: dict[int, int], people: int) -> dict[str, list[int]]:
    """
    Return frame and window for each module but the backbone.

    maps  channels of each map from the backbone: its cells
    """
    c, f, t = config.channels, config.ffn_channels, config.num_frames
    k, q, heads, levels = len(config.skeleton), config.num_queries, config.num_heads, len(maps)
    tokens = sum(maps.values())

    def sampling(frames: int, points: int) -> int:
        rows = heads * frames * levels * points
        return 3 * c * rows + c * c + 5 * c * frames * levels * points

    def mlp(*sizes: int) -> int:
        return sum(a * b for a, b in pairwise(sizes))

    def layer(queries: int, group: int, points: int) -> int:
        self_attention = 4 * c * c + 2 * c * group
        return queries * (self_attention + sampling(t, points) + mlp(c, f, c))

    pose_heads, values = t * mlp(c, 2 * c, 2 * c, 2 * c, 2 * k), tokens * c * c
    pose = config.pose_layers * (layer(q, q, k) + q * pose_heads) + q * c  # one class head
    joint = config.joint_layers * (layer(people * k, k, 4) + people * k * t * mlp(c, c, c, 2))
    joint += people * k * mlp(c, c, c, 2)  # one head of spreads
    joint -= (people - 1) * k * (4 * c * c + 2 * c * k)  # the first self-attention is everyone's
    joint -= people * k * (t - 1) * mlp(c, c, c, 2)  # the last layer moves the key frame only
    encoder = tokens * (c * c + sampling(1, 4) + mlp(c, f, c))
    chosen = q * mlp(c, 2 * c, 2 * c, 2 * c, 2 * k)
    return {
        'neck': [sum(inputs * c * cells for inputs, cells in maps.items()), 0],
        'spatial_encoder': [config.encoder_layers * encoder, 0],
        'query_selection': [tokens * (c * c + c) + chosen, 0],
        'pose_decoder': [config.pose_layers * values, pose],
        'joint_decoder': [config.joint_layers * values, joint],
    }


@pytest.mark.parametrize('frames', [1, 3])
def test_a_small_network_costs_what_a_hand_counts(
    frames: int, make_tiny_model: Callable[..., PaveNet]
) -> None:
    model = make_tiny_model(frames)
    cost = complexity(model.config, (96, 150), people=4)
    assert cost.canvas == (96, 160)
    cells = [6 * 10, 3 * 5]
    expected = hand_counted(
        model.config, dict(zip(model.backbone.channels, cells, strict=True)), people=4
    )
    for name, (frame, window) in expected.items():
        part = cost.modules[name]
        assert [part.frame, part.window] == [frame, window], name
        seen = 1 if name == 'query_selection' else frames
        assert part.scratch == frame * seen + window, name
    assert cost.total.stream == cost.total.frame + cost.total.window


def test_people_cost_the_joint_decoder_no_value_projection() -> None:
    one, two, many = (complexity(PRESETS['official_r50'], people=people) for people in (1, 2, 100))
    ours, theirs = one.modules['joint_decoder'], many.modules['joint_decoder']
    assert ours.frame == theirs.frame == 2 * 22223 * 256**2  # layers, tokens, channels
    person = two.modules['joint_decoder'].window - ours.window
    assert theirs.window == ours.window + 99 * person
    assert ours.window < ours.frame / 50
    assert many.total.stream - one.total.stream == 99 * person


@pytest.mark.parametrize('people', [1, 9])
def test_values_are_projected_once_per_frame_and_layer(
    people: int, make_tiny_model: Callable[..., PaveNet]
) -> None:
    """Of B windows of T frames, whoever is in them; the authors' code does it per person."""
    model, windows, tokens = make_tiny_model(3), 2, 6 * 10 + 3 * 5
    seen: dict[str, list[int]] = {}

    def remember(name: str) -> Callable[..., None]:
        return lambda _module, inputs, _output: seen.setdefault(name, []).append(
            inputs[0][..., 0].numel()
        )

    for name, module in model.named_modules():
        if '_decoder.' in name and name.endswith('value_proj'):
            module.register_forward_hook(remember(name))
    with torch.inference_mode():
        images, sizes = torch.zeros(windows, 3, 3, 96, 160), torch.tensor([[96, 160]] * windows)
        _, joints = model(images, sizes, people)
    assert joints.keypoints.shape[:2] == (windows, people)
    config = model.config
    assert len(seen) == config.pose_layers + config.joint_layers
    assert all(calls == [windows * config.num_frames * tokens] for calls in seen.values())


def test_mixed_frames_cannot_be_kept() -> None:
    """The paper's baseline encodes all frames anew for each window."""
    modules = complexity(PRESETS['pavenet_ste'], (128, 128)).modules
    kept = {name for name in MODULES if modules[name].frame}
    assert kept == {'backbone', 'neck'}
    once = complexity(PRESETS['r50'], (128, 128)).modules
    for name in ('query_selection', 'pose_decoder', 'joint_decoder'):
        assert modules[name].window == modules[name].scratch == once[name].scratch


@pytest.mark.parametrize('name', ['stpd_only', 'learned_poses'])
def test_networks_without_some_part_can_be_counted(name: str) -> None:
    modules = complexity(PRESETS[name], (64, 64)).modules
    absent = 'joint_decoder' if name == 'stpd_only' else 'query_selection'
    assert [part for part in MODULES if modules[part].scratch == 0] == [absent]


def test_the_largest_network_takes_seconds() -> None:
    start = time.monotonic()
    cost = complexity(PRESETS['swin_l_t5'])
    assert time.monotonic() - start < 60
    assert cost.canvas == (800, 1344)
    assert 880e9 < cost.total.frame < 885e9


def test_default_pictures_have_the_models_longer_side() -> None:
    assert default_size(PRESETS['official_swin_l']) == (800, 1333)
    assert default_size(PRESETS['compact']) == (384, 512)


def test_a_pyramid_is_counted_on_both_scales_and_its_decoder_keeps_nothing_of_a_frame() -> None:
    modules = complexity(PRESETS['compact'], (384, 512)).modules
    # Of a cell of each stride, by inputs and outputs of its layers.
    cell = {
        32: 480 * 1280 + 1280 * 64,
        16: 96 * 64 + 64 * 9 + 64 * 32,
        8: 48 * 32 + 32 * 9 + 32 * 24,
        4: 40 * 24 + 24 * 9 + 24 * 24,
    }
    areas = (384 * 512, 192 * 256)
    by_hand = sum(area // stride**2 * cost for area in areas for stride, cost in cell.items())
    assert modules['neck'].frame == by_hand
    assert modules['spatial_encoder'].scratch == 0
    assert modules['pose_decoder'].frame == 0 < modules['pose_decoder'].window


@pytest.mark.parametrize('people', [0, 61])
def test_more_people_than_queries_are_refused(people: int) -> None:
    with pytest.raises(ValueError, match=f'1 to 60 .*, got {people}'):
        complexity(PRESETS['compact'], people=people)


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match='at least 1'):
        complexity(replace(PRESETS['compact'], name='other'), (0, 64))
