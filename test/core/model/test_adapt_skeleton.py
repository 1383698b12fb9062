"""Weights for one set of keypoints start another."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pavenet_core.model import PaveNet
from pavenet_core.model.adapt_skeleton import adapt_skeleton, keypoint_sources
from pavenet_core.skeleton import COCO17, POSETRACK15, POSETRACK_SLOTS, Skeleton

MakeModel = Callable[..., PaveNet]
KEPT = list(POSETRACK_SLOTS)
EARS = [3, 4]


def adapted(model: PaveNet, skeleton: Skeleton) -> PaveNet:
    state, config = adapt_skeleton(model.state_dict(), model.config, skeleton)
    other = PaveNet(config)
    other.load_state_dict(state)
    return other.eval()


def window() -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(1)
    return torch.randn(3, 3, 96, 128, generator=noise), torch.tensor([[96, 128]] * 3)


def silence_ears(model: PaveNet) -> None:
    """Keep the ears, but let nothing else depend on them."""
    state = model.state_dict()
    for name, value in state.items():
        if 'pose_decoder' in name and 'attention_weights' in name:
            by_keypoint = value.unflatten(0, (-1, len(COCO17)))
            by_keypoint[:, EARS] = -1e9 if name.endswith('bias') else 0
        elif 'pose_position.0.weight' in name:
            value[:, : 2 * len(COCO17)].unflatten(1, (len(COCO17), 2))[:, EARS] = 0
        elif name == 'query_selection.content.weight':
            value[:, -len(COCO17) :][:, EARS] = 0
        elif 'query_selection' in name and '_head.out.' in name and 'centre' not in name:
            by_keypoint = value.unflatten(0, (len(COCO17), -1))
            by_keypoint[EARS] = by_keypoint[:1].clone()
        elif 'keypoint_head' in name and '.6.' in name and 'joint' not in name:
            by_keypoint = value.unflatten(0, (len(COCO17), 2))
            by_keypoint[EARS] = by_keypoint[:1].clone()  # at the nose, inside the pose's extent
        elif 'joint_decoder' in name and 'self_attention.out_proj' in name:
            value.zero_()
    model.load_state_dict(state)


def test_eyes_become_the_heads_ends_and_the_ears_go() -> None:
    assert keypoint_sources(COCO17, POSETRACK15) == KEPT


@pytest.mark.parametrize(
    'changes',
    [{}, {'relative_poses': True}, {'poses_per_frame': False}],
    ids=['plain', 'relative poses', 'shared poses'],
)
def test_the_kept_keypoints_are_found_where_they_were(
    make_tiny_model: MakeModel, changes: dict[str, bool]
) -> None:
    model = make_tiny_model(3, **changes)
    silence_ears(model)
    smaller = adapted(model, POSETRACK15)
    people = torch.arange(4)[None]
    with torch.inference_mode():
        before, after = (m.find_poses(m.encode(*window())) for m in (model, smaller))
        joints_before, joints_after = (
            m.find_joints(found, people) for m, found in ((model, before), (smaller, after))
        )
    pairs = list(zip(before.layers, after.layers, strict=True))
    for old, new in [(before.proposals, after.proposals), *pairs]:
        torch.testing.assert_close(new.class_logits, old.class_logits)
        torch.testing.assert_close(new.poses, old.poses[:, :, KEPT])
        torch.testing.assert_close(new.sigmas, old.sigmas[:, :, KEPT])
    torch.testing.assert_close(after.poses, before.poses[:, :, :, KEPT])
    for old, new in zip(joints_before, joints_after, strict=True):
        torch.testing.assert_close(new.keypoints, old.keypoints[:, :, KEPT])
        torch.testing.assert_close(new.sigmas, old.sigmas[:, :, KEPT])


def test_a_pyramid_finds_the_kept_keypoints_where_they_were(make_tiny_pyramid: MakeModel) -> None:
    """Scores do change, being those of fewer keypoints: one frame, one scale keep their order."""
    one_scale = {'scales': 1, 'num_levels': 4, 'pose_levels': (1, 2), 'joint_levels': (0,)}
    model = make_tiny_pyramid(1, **one_scale)
    silence_ears(model)
    smaller = adapted(model, POSETRACK15)
    pictures, sizes = window()[0][:1, :, :64], torch.tensor([[64, 128]])
    people = torch.arange(4)[None]
    with torch.inference_mode():
        before, after = (m.find_poses(m.encode(pictures, sizes)) for m in (model, smaller))
        joints_before, joints_after = (
            m.find_joints(found, people)[-1] for m, found in ((model, before), (smaller, after))
        )
    assert before.poses[0, 0].std() > 0.05
    for old, new in zip(before.layers, after.layers, strict=True):
        torch.testing.assert_close(new.poses, old.poses[:, :, KEPT])
        torch.testing.assert_close(new.sigmas, old.sigmas[:, :, KEPT])
    torch.testing.assert_close(joints_after.keypoints, joints_before.keypoints[:, :, KEPT])


def test_every_tensor_of_a_pyramid_that_depends_on_the_keypoints_is_adapted(
    make_tiny_pyramid: MakeModel,
) -> None:
    model = make_tiny_pyramid()
    longer = Skeleton.of_names('own18', (*COCO17.names, 'tail'))
    there = adapted(model, longer)
    for name, value in adapted(there, COCO17).state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=0, atol=0)
    old, new = model.state_dict(), there.state_dict()
    for head, numbers in (('guess', 2), ('offset', 2), ('keypoint', 1)):
        rows = new[f'query_selection.{head}_head.out.weight'].unflatten(0, (18, numbers))
        torch.testing.assert_close(rows[17], rows[:17].mean(0))
    content, position = 'query_selection.content.weight', 'pose_decoder.pose_position.0.weight'
    assert torch.equal(new[content][:, :-1], old[content]) and not new[content][:, -1].any()
    assert torch.equal(new[position][:, :34], old[position][:, :34])
    assert not new[position][:, 34:36].any()
    assert torch.equal(new[position][:, 36:], old[position][:, 34:])


def test_proposals_stay_as_they_were_whatever_the_ears_do(make_tiny_model: MakeModel) -> None:
    model = make_tiny_model()
    smaller = adapted(model, POSETRACK15)
    with torch.inference_mode():
        before, after = (m.find_poses(m.encode(*window())).proposals for m in (model, smaller))
    torch.testing.assert_close(after.class_logits, before.class_logits, rtol=0, atol=0)
    torch.testing.assert_close(after.poses, before.poses[:, :, KEPT])


@pytest.mark.parametrize(
    'changes',
    [
        {'relative_poses': True, 'num_frames': 5},
        {'learned_poses': True, 'num_frames': 1},
        {'spatiotemporal_encoder': True, 'temporal_pose_decoder': False, 'joint_layers': 0},
        {'temporal_joint_decoder': False},
    ],
    ids=['five frames', 'learned poses', 'baseline', 'image joint decoder'],
)
def test_every_tensor_that_depends_on_the_keypoints_is_adapted(
    make_tiny_model: MakeModel, changes: dict[str, bool]
) -> None:
    longer = Skeleton.of_names('own18', (*COCO17.names, 'tail'))
    there = adapted(make_tiny_model(**changes), longer)
    back = adapted(there, COCO17)
    for name, value in make_tiny_model(**changes).state_dict().items():
        torch.testing.assert_close(back.state_dict()[name], value, rtol=0, atol=0)


def test_names_decide_not_places(make_tiny_model: MakeModel) -> None:
    turned = Skeleton.of_names('turned', COCO17.names[::-1])
    model = make_tiny_model()
    other = adapted(model, turned)
    with torch.inference_mode():
        before, after = (m(window()[0][None], window()[1][:1], 4) for m in (model, other))
    torch.testing.assert_close(after[1].keypoints.flip(2), before[1].keypoints)


def test_a_new_keypoint_starts_in_the_middle_of_the_known(make_tiny_model: MakeModel) -> None:
    model = make_tiny_model(relative_poses=True)
    skeleton = Skeleton.of_names('own18', (*COCO17.names, 'tail'))
    state = adapted(model, skeleton).state_dict()
    rows = state['query_selection.keypoint_head.6.weight'].unflatten(0, (18, 2))
    torch.testing.assert_close(rows[17], rows[:17].mean(0))
    assert (state['pose_decoder.pose_position.0.weight'][:, 34:36] == 0).all()


def test_nothing_in_common_is_refused(make_tiny_model: MakeModel) -> None:
    model = make_tiny_model()
    with pytest.raises(ValueError, match='no keypoint of a name that coco17 has'):
        adapt_skeleton(model.state_dict(), model.config, Skeleton.of_names('fish', ('fin',)))
