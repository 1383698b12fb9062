from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import Weights
from pavenet_core.presets import PRESETS
from pavenet_core.skeleton import COCO17, POSETRACK15, Skeleton
from pavenet_core.train.start import RANDOM, choose_config, read_any_weights, start

Make = Callable[..., PaveNet]


def weights_of(model: PaveNet) -> Weights:
    return Weights(model.config, model.state_dict(), {})


def test_an_image_model_of_coco_starts_a_video_model_of_posetrack(make_tiny_model: Make) -> None:
    image = make_tiny_model(1)
    config = image.config.with_frames(3)
    video = start(config, weights_of(image), RANDOM, POSETRACK15).model
    assert (video.config.num_frames, video.config.skeleton) == (3, POSETRACK15)
    theirs = image.pose_decoder.keypoint_heads[1][0][-1].weight.unflatten(0, (17, 2))
    for head in video.pose_decoder.keypoint_heads[1]:
        ours = head[-1].weight.unflatten(0, (15, 2))
        for joint, name in enumerate(POSETRACK15.names):
            if name in COCO17.names:
                assert torch.equal(ours[joint], theirs[COCO17.names.index(name)]), name


def test_keypoints_that_the_weights_do_not_know_are_named(
    make_tiny_model: Make, caplog: pytest.LogCaptureFixture
) -> None:
    image = make_tiny_model(1)
    names = ('nose', 'Left Shoulder', 'Right Shoulder')
    with caplog.at_level('INFO'):
        start(image.config, weights_of(image), RANDOM, Skeleton.of_names('own', names))
    assert caplog.messages[0].endswith('know by name: Left Shoulder, Right Shoulder')
    assert 'scores stay low' not in caplog.text


def test_a_pyramid_says_that_keypoints_without_a_heat_map_keep_low_scores(
    make_tiny_pyramid: Make, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_tiny_pyramid()
    for hand, told in (('left_wrist', False), ('left_hand', True)):
        caplog.clear()
        skeleton = Skeleton.of_names('own', ('nose', hand, hand.replace('left', 'right')))
        start(model.config, weights_of(model), RANDOM, skeleton)
        assert any('their scores stay low' in m for m in caplog.messages) is told
    assert 'nearest to it of left_eye, right_eye, left_ear' in caplog.text


def test_layers_that_the_weights_lack_keep_their_start(
    make_tiny_model: Make, caplog: pytest.LogCaptureFixture
) -> None:
    known = make_tiny_model(1)
    config = replace(known.config, joint_layers=3)
    with caplog.at_level('INFO'):
        model = start(config, weights_of(known), RANDOM, COCO17).model
    assert 'keep their start values: joint_decoder.layers.2.' in caplog.text
    for name, value in known.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_weights_of_another_network_are_refused(make_tiny_model: Make) -> None:
    small = make_tiny_model(1)
    with pytest.raises(ValueError, match=r'the weights are of tiny: of \d+ tensors of petr'):
        start(PRESETS['petr'], weights_of(small), RANDOM, COCO17)


def test_a_petr_of_the_authors_starts_the_paper_s_network(
    official_shapes: dict[str, dict[str, tuple[int, ...]]], tmp_path: Path
) -> None:
    state = {
        name: torch.full(shape, 0.25)
        for name, shape in official_shapes['official_r50'].items()
        if 'pre_' not in name and 'next_' not in name and 'sigma' not in name
    }
    torch.save({'state_dict': state}, tmp_path / 'petr.pth')
    weights = read_any_weights(tmp_path / 'petr.pth')
    assert (weights.config.name, weights.config.num_frames) == ('petr_r50', 1)
    config = choose_config('r50', None, weights)
    model = start(config, weights, 'imagenet', POSETRACK15).model  # no trunk is asked for
    assert (model.config.num_frames, model.config.joint_layers) == (3, 3)
    filled = {name for name, value in model.state_dict().items() if (value == 0.25).all()}
    fresh = {name for name in model.state_dict() if name not in filled}
    assert all('sigma_head' in n or 'joint_decoder' in n or 'num_batches' in n for n in fresh)
    assert any(n.startswith('joint_decoder.layers.1.') for n in filled)
    assert any(n.startswith('joint_decoder.layers.2.') for n in fresh)
    assert model.pose_decoder.layers[0].attention.sampling_offsets.bias.eq(0.25).all()


def test_a_file_of_neither_kind_is_one_sentence(tmp_path: Path) -> None:
    torch.save({'state_dict': {'fc.weight': torch.ones(2, 2)}}, tmp_path / 'other.pth')
    with pytest.raises(
        ValueError, match=r'not a checkpoint of pavenet train.*nor one of the auth'
    ):
        read_any_weights(tmp_path / 'other.pth')


def test_a_trunk_that_cannot_be_had_is_one_sentence(make_tiny_model: Make) -> None:
    config = replace(make_tiny_model(1).config, backbone='mobilenetv2_150')  # has no ImageNet form
    with pytest.raises(ValueError, match=r'cannot get the ImageNet weights of .*--trunk random'):
        start(config, None, 'imagenet', COCO17)
