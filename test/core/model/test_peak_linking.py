"""Peaks of the frames of a window, made by hand, become queries."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from pavenet_core.model.peak_linking import (
    AFTER,
    BEFORE,
    KEY_SHARE,
    UNLINKED,
    UNSURE,
    PeakLinking,
    spread,
)
from pavenet_core.model.peak_selection import NO_PEAK, Peaks
from pavenet_core.model.query_selection import Queries
from pavenet_core.presets import COMPACT
from pavenet_core.runtime.postprocess import score_keypoints

QUERIES, KEYPOINTS = 6, 17
CONFIG = replace(COMPACT, num_queries=QUERIES)
LINK = PeakLinking(CONFIG)


def pose(x: float, y: float) -> Tensor:
    """Give a person's pose around a place."""
    noise = torch.Generator().manual_seed(0)
    spread = torch.rand(KEYPOINTS, 2, generator=noise) - 0.5
    return torch.tensor([x, y]) + spread * torch.tensor([0.1, 0.3])


def frame(*people: tuple[Tensor, float], warmth: float = 0.8) -> Peaks:
    """Give the peaks of one frame, filled up with none, each query telling which it is."""
    poses = torch.zeros(1, QUERIES, KEYPOINTS, 2)
    logits = torch.full((1, QUERIES), NO_PEAK)
    for index, (of_person, score) in enumerate(people):
        poses[0, index], logits[0, index] = of_person, torch.tensor(score).logit()
    query = torch.arange(1.0, QUERIES + 1)[None, :, None].expand(-1, -1, 4)
    return Peaks(query, poses, logits, torch.full((1, QUERIES, KEYPOINTS), warmth))


def test_a_window_of_equal_frames_gives_what_the_one_frame_gives() -> None:
    one = frame((pose(0.3, 0.5), 0.9), (pose(0.7, 0.5), 0.4))
    queries = LINK([one] * 3)
    assert queries.reference_poses.shape == (1, 3, QUERIES, KEYPOINTS, 2)
    for t in range(3):
        torch.testing.assert_close(queries.reference_poses[:, t, :2], one.poses[:, :2])
    torch.testing.assert_close(queries.logits[:, :2].sigmoid(), torch.tensor([[0.9, 0.4]]))
    assert (queries.logits[:, 2:] < NO_PEAK / 2).all()
    assert torch.equal(queries.query[:, :2], one.query[:, :2])


def test_an_image_model_takes_its_frame_as_it_is() -> None:
    one = frame((pose(0.3, 0.5), 0.9))
    queries = PeakLinking(CONFIG.with_frames(1))([one])
    assert torch.equal(queries.reference_poses[:, 0], one.poses)
    assert torch.equal(queries.logits, one.logits) and torch.equal(queries.query, one.query)


def test_each_frame_has_the_pose_of_the_same_person_whatever_its_rank() -> None:
    left, right = pose(0.3, 0.5), pose(0.7, 0.5)
    before = frame((right - 0.01, 0.9), (left - 0.01, 0.5))
    after = frame((left + 0.01, 0.9), (right + 0.01, 0.5))
    queries = LINK([before, frame((left, 0.9), (right, 0.7)), after])
    for index, person in enumerate((left, right)):
        first, key, last = queries.reference_poses[0, :, index]
        torch.testing.assert_close(first, person - 0.01)
        torch.testing.assert_close(last, person + 0.01)
        # The others go along with the person most of the way: who walks is not seen behind.
        behind, ahead = (0.01 * count * (1 - part_of_way(count)) for count in (BEFORE, AFTER))
        torch.testing.assert_close(key, person + (ahead - behind) / (1 + BEFORE + AFTER))


def part_of_way(count: float, key_warmth: float = 0.8) -> float:
    """Return how far a neighbour's pose, all 0.8 warm, goes to the key frame's own."""
    sure = KEYPOINTS * key_warmth**4 * 0.8**2 * count
    return sure / (sure + UNSURE)


@pytest.mark.parametrize('warmth', [0.8, 0.2])
def test_others_go_along_the_less_the_less_sure_the_key_frame_is(warmth: float) -> None:
    person, blurred = pose(0.5, 0.5), pose(0.51, 0.5)
    key = frame((blurred, 0.9))
    key.warmth[:] = warmth
    other = frame((person, 0.9))
    [seen] = LINK([other, key, other]).reference_poses[0, 1, :1]
    shares = torch.tensor([warmth**2, 0.8**2 * BEFORE, 0.8**2 * AFTER])
    places = torch.tensor(
        [0.01, *(0.01 * part_of_way(count, warmth) for count in (BEFORE, AFTER))]
    )
    moved = float((shares * places).sum() / shares.sum())
    assert (moved < 0.002) == (warmth == 0.2)
    torch.testing.assert_close(seen, person + torch.tensor([moved, 0.0]))


def scores_of(queries: Queries) -> Tensor:
    """Return the keypoints' scores as the runtime reads them."""
    assert queries.sigmas is not None
    return torch.from_numpy(score_keypoints(queries.sigmas.numpy()))


def test_a_spread_is_read_as_the_score_that_it_stands_for() -> None:
    scores = torch.tensor([[[0.0, 0.01, 0.3, 0.77, 0.99, 1.0]]])
    read = torch.from_numpy(score_keypoints(spread(scores).numpy()))
    torch.testing.assert_close(read, scores, atol=3e-4, rtol=0)


def test_a_keypoint_is_as_sure_as_it_is_warm_where_the_person_is_seen() -> None:
    person, other = pose(0.3, 0.5), pose(0.7, 0.5)
    alone = scores_of(LINK([frame((other, 0.9)), frame((person, 0.9)), frame((other, 0.9))]))
    torch.testing.assert_close(alone[0, 0], torch.full((KEYPOINTS,), 0.8), atol=1e-3, rtol=0)
    key = frame((person, 0.9))
    key.warmth[0, 0, 9] = 0.0
    seen = scores_of(LINK([frame((person, 0.9)), key, frame((person, 0.9))]))
    expected = 0.8 * ((BEFORE + AFTER) / (1 + BEFORE + AFTER)) ** 0.5
    assert float(seen[0, 0, 9]) == pytest.approx(expected, abs=1e-3)
    still = PeakLinking(CONFIG.with_frames(1))([key])
    torch.testing.assert_close(scores_of(still)[0, 0], key.warmth[0, 0], atol=1e-3, rtol=0)


def test_two_people_are_not_linked_with_one_pose() -> None:
    sure, unsure, only = pose(0.5, 0.5), pose(0.52, 0.52), pose(0.508, 0.508)
    neighbour = frame((only, 0.9))
    queries = LINK([neighbour, frame((sure, 0.9), (unsure, 0.5)), neighbour])
    torch.testing.assert_close(queries.reference_poses[0, 0, 0], only)
    torch.testing.assert_close(queries.reference_poses[0, :, 1], unsure.expand(3, -1, -1))


def test_a_keypoint_that_the_key_frame_does_not_show_comes_from_its_neighbours() -> None:
    person, wrong = pose(0.5, 0.5), pose(0.5, 0.5)
    wrong[9] += 0.03
    key = frame((wrong, 0.9))
    key.warmth[0, 0, 9] = 0.0
    queries = LINK([frame((person, 0.9)), key, frame((person, 0.9))])
    torch.testing.assert_close(queries.reference_poses[0, 1, 0], person)
    sure = LINK([frame((person, 0.9)), frame((wrong, 0.9)), frame((person, 0.9))])
    # All are as warm, and one keypoint of the key frame draws the others a little along.
    places = [0.03, *(0.03 / KEYPOINTS * part_of_way(count) for count in (BEFORE, AFTER))]
    moved = (places[0] + BEFORE * places[1] + AFTER * places[2]) / (1 + BEFORE + AFTER)
    expected = person[9] + moved
    torch.testing.assert_close(sure.reference_poses[0, 1, 0, 9], expected)


def test_scores_are_mixed_and_nobody_linked_counts_as_half_seen() -> None:
    person = pose(0.5, 0.5)
    queries = LINK([frame((person, 0.2)), frame((person, 0.8)), frame()])
    neighbours = (1 - KEY_SHARE) / 2
    expected = torch.tensor(KEY_SHARE * 0.8 + neighbours * 0.2 + neighbours * UNLINKED * 0.8)
    torch.testing.assert_close(queries.logits[0, 0].sigmoid(), expected)
    # Where nobody is linked the pose is the key frame's.
    torch.testing.assert_close(queries.reference_poses[0, 2, 0], person)


def test_whom_only_neighbours_show_becomes_one_query() -> None:
    seen, hidden = pose(0.3, 0.5), pose(0.7, 0.5)
    neighbours = [frame((hidden + step, 0.9), (seen, 0.9)) for step in (-0.002, 0.002)]
    queries = LINK([neighbours[0], frame((seen, 0.9)), neighbours[1]])
    torch.testing.assert_close(queries.reference_poses[0, 1, 0], seen)
    torch.testing.assert_close(queries.reference_poses[0, 1, 1], hidden, atol=3e-3, rtol=0)
    assert queries.logits[0, 1].sigmoid() == pytest.approx((1 - KEY_SHARE) * 0.9)
    assert (queries.logits[0, 2:] < NO_PEAK / 2).all()


def test_a_frame_after_the_key_frame_adds_nobody() -> None:
    seen, later = pose(0.3, 0.5), pose(0.7, 0.5)
    one = frame((seen, 0.9))
    queries = LINK([one, one, frame((later, 0.9), (seen, 0.9))])
    torch.testing.assert_close(queries.reference_poses[0, 1, 0], seen)
    assert (queries.logits[0, 1:] < NO_PEAK / 2).all()


def test_frames_that_show_nobody_give_nobody_in_numbers() -> None:
    queries = LINK([frame(warmth=0.0)] * 3)
    assert queries.reference_poses.isfinite().all() and (queries.logits < NO_PEAK / 2).all()


@pytest.mark.parametrize('order', [(0, 1), (1, 0)])
def test_windows_of_a_batch_do_not_see_each_other(order: tuple[int, int]) -> None:
    windows = [
        [frame((pose(0.3 + step, 0.5), 0.9)) for step in (-0.01, 0, 0.01)],
        [frame((pose(0.6, 0.4), 0.5), (pose(0.3, 0.3), 0.3)) for _ in range(3)],
    ]
    alone = [LINK(windows[index]) for index in order]
    together = LINK(
        [
            Peaks(*(torch.cat(x) for x in zip(*(windows[i][t] for i in order), strict=True)))
            for t in range(3)
        ]
    )
    for row, queries in enumerate(alone):
        for ours, theirs in zip(together, queries, strict=True):
            torch.testing.assert_close(ours[row], theirs[0])
