"""Matching of predicted poses and people."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from pavenet_core.model.predictions import PosePrediction
from pavenet_core.skeleton import POSETRACK15
from pavenet_core.train import matcher
from pavenet_core.train.matcher import assign, cost_matrix, match, object_keypoint_similarity
from pavenet_core.train.targets import BatchTargets, Targets

K = len(POSETRACK15)
SIGMAS = torch.tensor(POSETRACK15.sigmas)


def make_targets(seed: int, people: int, hidden: float = 0.3) -> Targets:
    generator = torch.Generator().manual_seed(seed)
    return Targets(
        keypoints=torch.rand(people, K, 2, generator=generator),
        visible=torch.rand(people, K, generator=generator) > hidden,
        areas=torch.rand(people, generator=generator) * 3000 + 500,
        image_size=(150, 200),
        ignore_boxes=torch.zeros(0, 4),
    )


def make_prediction(seed: int, images: int, candidates: int) -> PosePrediction:
    generator = torch.Generator().manual_seed(seed)
    poses = torch.rand(images, candidates, K, 2, generator=generator)
    logits = torch.randn(images, candidates, generator=generator)
    return PosePrediction(logits, poses, torch.full_like(poses, 0.1))


def batch(targets: list[Targets]) -> BatchTargets:
    return BatchTargets.of(targets, torch.device('cpu'))


def pairs(
    prediction: PosePrediction, targets: list[Targets], repeats: int = 1
) -> list[tuple[list[int], list[int]]]:
    """Match one stage and return, image by image, candidates and people among the target's."""
    (found,) = match([prediction], batch(targets), SIGMAS, repeats=[repeats])
    own = [target.visible.any(-1).nonzero().squeeze(-1) for target in targets]
    offset, result = 0, []
    for i, indices in enumerate(own):
        mine = found.images == i
        assert found.slots[mine].tolist() == list(range(int(mine.sum())))
        people = indices[found.people[mine] - offset]
        result.append((found.candidates[mine].tolist(), people.tolist()))
        offset += len(indices)
    return result


def numpy_cost(logit: Tensor, pose: Tensor, target: Targets, person: int) -> float:
    """Compute the cost of one pair as the definition reads."""
    p = 1 / (1 + np.exp(-float(logit)))
    focal = -0.25 * (1 - p) ** 2 * np.log(p + 1e-12) + 0.75 * p**2 * np.log(1 - p + 1e-12)
    distance, similarity, seen = 0.0, 0.0, 0
    for k in range(K):
        if not target.visible[person, k]:
            continue
        seen += 1
        dx, dy = (pose[k] - target.keypoints[person, k]).tolist()
        distance += abs(dx) + abs(dy)
        spread = 2 * float(target.areas[person]) * (2 * POSETRACK15.sigmas[k]) ** 2
        similarity += np.exp(-((dx * 200) ** 2 + (dy * 150) ** 2) / spread)
    return float(2 * focal + 70 * distance / (2 * seen) - 7 * similarity / seen)


def test_costs_equal_the_definition() -> None:
    prediction = make_prediction(0, images=2, candidates=6)
    near = prediction.poses * 0.02
    targets = [make_targets(1, 3), make_targets(2, 4)]
    targets[0].keypoints.mul_(0.02)
    prediction = prediction._replace(poses=torch.stack([near[0], prediction.poses[1]]))
    cost = cost_matrix([prediction], batch(targets), SIGMAS)
    for i, matrix in enumerate(cost.split([3, 4])):
        expected = [
            [
                numpy_cost(prediction.class_logits[i, n], prediction.poses[i, n], targets[i], g)
                for g in range(len(targets[i].areas))
            ]
            for n in range(6)
        ]
        np.testing.assert_allclose(matrix.T, expected, rtol=1e-4, atol=1e-4)


def test_exact_poses_find_their_people() -> None:
    targets = [make_targets(3, 4)]
    prediction = make_prediction(4, images=1, candidates=9)
    prediction.poses[0, [7, 2, 5, 0]] = targets[0].keypoints
    assert pairs(prediction, targets) == [([0, 2, 5, 7], [3, 1, 2, 0])]


def test_the_assignment_is_the_cheapest() -> None:
    targets = batch([make_targets(5, 3)])
    matrix = cost_matrix([make_prediction(6, 1, 5)], targets, SIGMAS).T.numpy()
    candidates, people = assign(matrix)
    best = min(
        float(sum(matrix[n, g] for g, n in enumerate(order)))
        for order in permutations(range(5), 3)
    )
    assert float(matrix[candidates, people].sum()) == pytest.approx(best, rel=1e-6)


@pytest.mark.parametrize('people', [1, 5, 12])
def test_leaving_out_hopeless_candidates_changes_nothing(people: int) -> None:
    rng = np.random.default_rng(people)
    for _ in range(20):
        # Everybody likes the same candidates, so that most don't get their first choice.
        matrix = rng.normal(size=(40, 1)) + 0.1 * rng.normal(size=(40, people))
        candidates, chosen = assign(matrix, repeats=3)
        expected, columns = linear_sum_assignment(np.tile(matrix, (1, 3)))
        assert candidates.tolist() == expected.tolist()
        assert chosen.tolist() == (columns % people).tolist()


def test_batch_equals_single_images() -> None:
    prediction = make_prediction(7, images=3, candidates=8)
    targets = [make_targets(8, 2), make_targets(9, 0), make_targets(10, 5)]
    batched = pairs(prediction, targets)
    for i, target in enumerate(targets):
        single = PosePrediction(*(tensor[i : i + 1] for tensor in prediction))
        assert [batched[i]] == pairs(single, [target])


def test_stages_together_equal_each_alone() -> None:
    stages = [make_prediction(7, 3, 40), make_prediction(8, 3, 9), make_prediction(9, 3, 9)]
    targets = batch([make_targets(8, 2), make_targets(9, 0), make_targets(10, 5)])
    together = match(stages, targets, SIGMAS, repeats=[4, 1, 1])
    for stage, found, repeats in zip(stages, together, (4, 1, 1), strict=True):
        (alone,) = match([stage], targets, SIGMAS, repeats=[repeats])
        assert len(found.people) == 7 * repeats
        assert all(torch.equal(a, b) for a, b in zip(found, alone, strict=True))


def test_points_are_the_visible_keypoints_of_the_pairs() -> None:
    targets = batch([make_targets(8, 2), make_targets(10, 5)])
    (found,) = match([make_prediction(7, 2, 9)], targets, SIGMAS)
    expected = targets.visible[found.people].flatten().nonzero().squeeze(-1)
    assert torch.equal(found.points, expected)


def test_poses_that_are_no_numbers_can_be_matched() -> None:
    prediction = make_prediction(7, images=1, candidates=4)
    prediction.poses[0, :3] = float('nan')
    ((candidates, people),) = pairs(prediction, [make_targets(8, 2)])
    assert 3 in candidates
    assert sorted(people) == [0, 1]


def test_groups_of_people_do_not_change_the_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, targets = make_prediction(7, images=1, candidates=8), batch([make_targets(8, 7)])
    whole = cost_matrix([prediction], targets, SIGMAS)
    monkeypatch.setattr(matcher, 'CHUNK_ELEMENTS', 8 * K * 3)
    grouped = cost_matrix([prediction], targets, SIGMAS)
    assert torch.equal(whole, grouped)


@pytest.mark.parametrize('repeats', [1, 3])
def test_nobody_is_an_ordinary_image(repeats: int) -> None:
    prediction = make_prediction(11, images=1, candidates=4)
    for target in (make_targets(12, 0), make_targets(12, 2, hidden=1.0)):
        (found,) = match([prediction], batch([target]), SIGMAS, repeats=[repeats])
        assert all(column.shape == (0,) for column in found)
        assert all(column.dtype == torch.int64 for column in found)


def test_people_without_visible_keypoints_are_left_out() -> None:
    target = make_targets(13, 3)
    target.visible[1] = False
    assert torch.equal(batch([target]).keypoints, target.keypoints[[0, 2]])
    ((_, people),) = pairs(make_prediction(14, 1, 6), [target])
    assert sorted(people) == [0, 2]


def test_repeats_give_a_person_several_candidates() -> None:
    target = make_targets(15, 2)
    prediction = make_prediction(16, images=1, candidates=10)
    prediction.poses[0, :3] = target.keypoints[0] + 0.001
    prediction.poses[0, 3:6] = target.keypoints[1] + 0.001
    assert pairs(prediction, [target], 3) == [([0, 1, 2, 3, 4, 5], [0, 0, 0, 1, 1, 1])]


def test_more_people_than_candidates() -> None:
    ((candidates, people),) = pairs(make_prediction(17, 1, 2), [make_targets(18, 5)])
    assert candidates == [0, 1]
    assert len(set(people)) == 2


def test_half_precision_predictions_cost_in_float32() -> None:
    prediction = PosePrediction(*(t.bfloat16() for t in make_prediction(19, 1, 4)))
    assert cost_matrix([prediction], batch([make_targets(20, 2)]), SIGMAS).dtype == torch.float32


def test_similarity_by_hand() -> None:
    squared_px = torch.zeros(2, K)
    squared_px[0, 0] = 2 * 100 * (2 * 0.026) ** 2  # one spread of the nose: exp(-1)
    visible = torch.zeros(2, K, dtype=torch.bool)
    visible[0, :2] = True
    similarity = object_keypoint_similarity(
        squared_px, visible, torch.tensor([100.0, 0.0]), SIGMAS
    )
    assert similarity.tolist() == pytest.approx([(np.exp(-1) + 1) / 2, 0])
