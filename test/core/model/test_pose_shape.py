"""A pose's size and description."""

import torch

from pavenet_core.model.pose_shape import LEAST_SIZE, describe_poses, pose_size


def pose() -> torch.Tensor:
    """Give a pose 0.2 wide and 0.4 high around (0.5, 0.3)."""
    return torch.tensor([[[[0.4, 0.1], [0.6, 0.5], [0.5, 0.2]]]])


def test_the_size_is_the_longer_side_of_each_pose_s_box() -> None:
    torch.testing.assert_close(pose_size(pose()), torch.tensor([[[[0.4]]]]))
    turned = pose().flip(-1)
    torch.testing.assert_close(
        pose_size(torch.stack([turned, 2 * turned])).flatten(), torch.tensor([0.4, 0.8])
    )
    assert pose_size(pose() * 0).item() == torch.tensor(LEAST_SIZE)


def test_a_description_is_shape_centre_and_log_of_the_size() -> None:
    expected = [-0.25, -0.5, 0.25, 0.5, 0, -0.25, 0.5, 0.3, 0.4]
    (described,) = describe_poses(pose())[0]
    torch.testing.assert_close(described, torch.tensor([*expected[:-1], torch.tensor(0.4).log()]))


def test_the_shape_stays_when_a_person_moves_and_grows() -> None:
    before, after = describe_poses(pose())[0, 0], describe_poses(pose() * 1.5 + 0.1)[0, 0]
    torch.testing.assert_close(after[:6], before[:6])
    torch.testing.assert_close(after[6:8], before[6:8] * 1.5 + 0.1)
    torch.testing.assert_close(after[8], before[8] + torch.tensor(1.5).log())


def test_all_that_is_but_a_point_is_described_in_numbers() -> None:
    point = torch.full((1, 1, 3, 2), 0.5, requires_grad=True)
    described = describe_poses(point)
    described.sum().backward()
    assert described.isfinite().all() and point.grad is not None and point.grad.isfinite().all()
