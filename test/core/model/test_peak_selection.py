"""Queries of heat maps whose peaks are known."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from pavenet_core.model.peak_selection import HeatHead, PeakSelection, nearness, place, warmest
from pavenet_core.model.pyramid import CHANNELS, PyramidMemory
from pavenet_core.presets import COMPACT
from pavenet_core.skeleton import Skeleton

# What stands in which channel of the finest map, passed on by the heads as it is.
CENTRE, GUESS, HEAT, OFFSET, TAG = 0, 1, 5, 7, 11
PAIR = Skeleton.of_names('pair', ('front', 'back'))
HEIGHT, WIDTH = 16, 24
CONFIG = replace(
    COMPACT, skeleton=PAIR, num_queries=4, scales=1, num_levels=4, pose_levels=(), joint_levels=()
)


@dataclass(frozen=True)
class Person:
    """
    One peak with two keypoints.

    cell     column, row of the centre
    guesses  column, row of both keypoints, in cells
    warm     column, row of the cells where the keypoints' heat maps are warm
    within   x, y of both keypoints in those cells
    """

    cell: tuple[int, int]
    score: float
    guesses: tuple[tuple[float, float], ...]
    warm: tuple[tuple[int, int], ...]
    within: tuple[tuple[float, float], ...] = ((0.25, 0.75), (0.5, 0.125))
    heat: float = 5.0

    def pose(self, columns: int = WIDTH, rows: int = HEIGHT) -> Tensor:
        places = torch.tensor(self.warm) + torch.tensor(self.within)
        return places / torch.tensor([columns, rows])


ANNA = Person((4, 5), 3.0, ((3.4, 2.6), (6.0, 9.5)), ((3, 2), (5, 9)))
BERT = Person((17, 9), 4.0, ((15.2, 9.9), (21.0, 10.5)), ((15, 8), (21, 11)))


def drawn(people: Iterable[Person], height: int = HEIGHT, width: int = WIDTH) -> Tensor:
    """Draw a map (1, C, h, w)."""
    x = torch.zeros(1, CHANNELS[0], height, width)
    x[:, CENTRE] = x[:, HEAT : HEAT + 2] = -10
    x[:, CENTRE] -= torch.arange(height * width).view(height, width) / 1e3  # but one is a peak
    for tag, person in enumerate(people, 1):
        column, row = person.cell
        x[0, CENTRE, row, column], x[0, TAG, row, column] = person.score, tag
        middle = torch.tensor([column + 0.5, row + 0.5])
        parts = zip(person.guesses, person.warm, person.within, strict=True)
        for k, (guess, (warm_x, warm_y), within) in enumerate(parts):
            both = slice(2 * k, 2 * k + 2)
            x[0, GUESS:][both, row, column] = torch.tensor(guess) - middle
            x[0, HEAT + k, warm_y, warm_x] = person.heat
            x[0, OFFSET:][both, warm_y, warm_x] = torch.tensor(within)
    return x


def pass_on(head: HeatHead, first: int) -> None:
    """Let a head give channels of the map as they are, from the first one on."""
    inputs = head.depthwise.weight.shape[0]
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        head.depthwise.weight[:, 0, 1, 1] = 1
        for channel in range(inputs):  # both signs, for the ReLU in between
            head.pointwise.weight[channel, channel] = 1
            head.pointwise.weight[inputs + channel, channel] = -1
        for output in range(head.out.out_channels):
            head.out.weight[output, first + output] = 1
            head.out.weight[output, inputs + first + output] = -1


def selection(**changes: object) -> PeakSelection:
    torch.manual_seed(0)
    module = PeakSelection(replace(CONFIG, **changes))
    pass_on(module.centre_head, CENTRE)
    pass_on(module.guess_head, GUESS)
    pass_on(module.keypoint_head, HEAT)
    pass_on(module.offset_head, OFFSET)
    return module


def memory_of(*finest: Tensor, valid: tuple[float, float] | None = None) -> PyramidMemory:
    """Put the finest map of each scale among those that selection must not look at."""
    maps, counts = [], []
    for x in finest:
        rows, columns = valid or (x.shape[2], x.shape[3])
        for level, channels in enumerate(CHANNELS):
            size = (x.shape[2] >> level, x.shape[3] >> level)
            maps.append(torch.full((1, channels, *size), torch.nan) if level else x)
            counts.append([rows / 2**level, columns / 2**level])
    return PyramidMemory(maps, torch.tensor([counts], dtype=torch.float32))


def test_known_peaks_give_poses_there_best_first() -> None:
    peaks = selection()(memory_of(drawn([ANNA, BERT])))
    assert peaks.query.shape == (1, 4, CONFIG.channels)
    torch.testing.assert_close(peaks.poses[0, 0], BERT.pose())
    torch.testing.assert_close(peaks.poses[0, 1], ANNA.pose())
    scores = torch.tensor([4.0, 3.0]).sigmoid().sqrt() * torch.tensor(5.0).sigmoid()
    torch.testing.assert_close(peaks.logits[0, :2], scores.logit())


def test_who_has_cool_keypoints_is_less_likely() -> None:
    peaks = selection()(memory_of(drawn([ANNA, replace(BERT, heat=-1.0)])))
    warm, cool = torch.tensor([5.0, -1.0]).sigmoid()
    bert, anna = peaks.logits[0, :2]  # in the order of the centres' scores
    torch.testing.assert_close(bert, (torch.tensor(4.0).sigmoid().sqrt() * cool).logit())
    torch.testing.assert_close(anna, (torch.tensor(3.0).sigmoid().sqrt() * warm).logit())


def test_sure_keypoints_count_for_more_than_unsure_ones() -> None:
    half_hidden = drawn([ANNA])
    column, row = ANNA.warm[1]
    half_hidden[0, HEAT + 1, row, column] = -3.0
    warm, cold = torch.tensor([5.0, -3.0]).sigmoid()
    expected = torch.tensor(3.0).sigmoid().sqrt() * ((warm**2 + cold**2) / 2).sqrt()
    peaks = selection()(memory_of(half_hidden))
    torch.testing.assert_close(peaks.logits[0, 0], expected.logit())


def test_a_keypoint_is_the_warm_cell_near_the_guess_not_a_hotter_one_far_away() -> None:
    near = drawn([ANNA])
    near[0, HEAT, 12, 20] = 9  # of somebody else
    peaks = selection()(memory_of(near))
    torch.testing.assert_close(peaks.poses[0, 0], ANNA.pose())


def test_keypoints_are_shares_of_the_valid_picture_and_stay_in_it() -> None:
    peaks = selection()(memory_of(drawn([ANNA]), valid=(12, 20)))
    torch.testing.assert_close(peaks.poses[0, 0], ANNA.pose(20, 12))
    # The picture's last row and column end within a cell.
    peaks = selection()(memory_of(drawn([ANNA]), valid=(11.25, 19.5)))
    torch.testing.assert_close(peaks.poses[0, 0], ANNA.pose(1, 1) / torch.tensor([19.5, 11.25]))
    beyond = replace(ANNA, warm=((3, 2), (5, 9)), within=((0.5, 0.5), (0.5, 0.5)))
    peaks = selection()(memory_of(drawn([beyond]), valid=(6, 20)))
    assert peaks.poses[0, 0, 1].tolist() == pytest.approx([5.5 / 20, 1.0])


@pytest.mark.parametrize('cell', [(22, 3), (3, 14)], ids=['columns', 'rows'])
def test_padding_never_wins(cell: tuple[int, int]) -> None:
    ghost = replace(BERT, cell=cell, score=9.0)
    module, valid = selection(), (12, 20)
    with_ghost = module(memory_of(drawn([ANNA, ghost]), valid=valid))
    torch.testing.assert_close(with_ghost.poses[0, 0], ANNA.pose(20, 12))
    assert with_ghost.logits[0, 0] > 0 and (with_ghost.logits[0, 1:] < -5).all()
    inside = module(memory_of(drawn([ANNA, ghost])))
    assert (inside.logits[0, :2] > 0).all(), 'or the test shows nothing'


def test_beside_a_peak_there_is_none() -> None:
    x = drawn([ANNA])
    column, row = ANNA.cell
    x[0, CENTRE, row, column + 1] = ANNA.score - 0.1
    peaks = selection()(memory_of(x))
    assert peaks.logits[0, 0] > 0 and (peaks.logits[0, 1:] < -5).all()


@pytest.mark.parametrize(('height', 'width'), [(HEIGHT, WIDTH), (4, 4)])
def test_fewer_peaks_and_fewer_cells_than_queries_are_filled_up(height: int, width: int) -> None:
    person = Person((1, 1), 2.0, ((0.5, 0.5), (2.5, 2.5)), ((0, 0), (2, 2)))
    peaks = selection(num_queries=30)(memory_of(drawn([person], height, width)))
    assert peaks.query.shape[:2] == peaks.logits.shape == (1, 30)
    assert peaks.query.isfinite().all() and peaks.logits.isfinite().all()
    assert ((peaks.poses >= 0) & (peaks.poses <= 1)).all()
    torch.testing.assert_close(peaks.poses[0, 0], person.pose(width, height))
    assert peaks.logits[0, 0] > 0 and (peaks.logits[0, 1:] < -5).all()


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    module = selection()
    alone = [module(memory_of(drawn(people))) for people in ([ANNA], [BERT, ANNA])]
    one, other = memory_of(drawn([ANNA])), memory_of(drawn([BERT, ANNA]))
    maps = [torch.cat(pair) for pair in zip(one.maps, other.maps, strict=True)]
    counts = torch.cat([one.valid_counts, other.valid_counts])
    together = module(PyramidMemory(maps, counts))
    for row, peaks in enumerate(alone):
        for ours, theirs in zip(together, peaks, strict=True):
            torch.testing.assert_close(ours[row], theirs[0])


def halved(person: Person, score: float) -> Person:
    """See a person of even cells on a map of half the size: the same pose."""
    return replace(
        person,
        cell=(person.cell[0] // 2, person.cell[1] // 2),
        score=score,
        guesses=tuple((x / 2, y / 2) for x, y in person.guesses),
        warm=tuple((x // 2, y // 2) for x, y in person.warm),
        within=tuple(
            ((x % 2 + dx) / 2, (y % 2 + dy) / 2)
            for (x, y), (dx, dy) in zip(person.warm, person.within, strict=True)
        ),
    )


@pytest.mark.parametrize(('fine', 'coarse'), [(3.0, 1.0), (1.0, 3.0)])
def test_of_a_person_seen_at_two_scales_the_better_survives(fine: float, coarse: float) -> None:
    anna = replace(ANNA, score=fine)
    half = drawn([halved(ANNA, coarse)], HEIGHT // 2, WIDTH // 2)
    module = selection(scales=2, num_levels=8, num_queries=5)
    peaks = module(memory_of(drawn([anna, BERT]), half))
    bert, best, *others = peaks.logits[0]
    torch.testing.assert_close(peaks.poses[0, 0], BERT.pose())
    torch.testing.assert_close(peaks.poses[0, 1], ANNA.pose())
    expected = torch.tensor(max(fine, coarse)).sigmoid().sqrt() * torch.tensor(5.0).sigmoid()
    torch.testing.assert_close(best, expected.logit())
    assert bert > best and all(logit < -5 for logit in others)


def test_people_of_either_scale_who_are_not_alike_stay() -> None:
    half = drawn([halved(BERT, 2.0)], HEIGHT // 2, WIDTH // 2)
    module = selection(scales=2, num_levels=8)
    peaks = module(memory_of(drawn([ANNA]), half))
    torch.testing.assert_close(peaks.poses[0, 0], ANNA.pose())
    torch.testing.assert_close(peaks.poses[0, 1], BERT.pose())
    assert (peaks.logits[0, :2] > 0).all() and (peaks.logits[0, 2:] < -5).all()


def test_a_query_knows_its_peak_and_only_its_content_is_trained() -> None:
    module = selection(num_queries=2)
    x = drawn([ANNA, BERT]).requires_grad_()
    peaks = module(memory_of(x))
    features = torch.cat([x.detach()[0, :, 9, 17], torch.tensor([4.0, 5.0, 5.0])])
    torch.testing.assert_close(peaks.query[0, 0], module.norm(module.content(features)))
    (peaks.query * torch.randn_like(peaks.query)).sum().backward()
    trained = {name for name, p in module.named_parameters() if p.grad is not None}
    assert trained == {'content.weight', 'content.bias', 'norm.weight', 'norm.bias'}
    assert x.grad is None and not peaks.poses.requires_grad


def test_the_search_by_blocks_finds_what_a_search_of_all_cells_finds() -> None:
    """But for ties between blocks, which one clear cell near each guess does not leave."""
    noise = torch.Generator().manual_seed(0)
    guesses = 4 + 12 * torch.rand(2, 6, 2, 2, generator=noise)
    warmth = 0.05 * torch.rand(2, 2, 20, 24, generator=noise)
    warmth[:, :, 3::7, 3::7] = 0.9
    where, warm = warmest(warmth, guesses)
    x, y = torch.arange(24) + 0.5, torch.arange(20) + 0.5
    near = nearness(x, y, guesses) * warmth[:, None].flatten(3)
    expected = near.argmax(3)
    found = near.gather(3, where[..., None])[..., 0]
    assert (where == expected).float().mean() > 0.8
    assert (found >= 0.5 * near.amax(3)).all()
    torch.testing.assert_close(
        warm, warmth[:, None].flatten(3).expand(-1, 6, -1, -1).gather(3, where[..., None])[..., 0]
    )


def test_places_are_columns_then_rows() -> None:
    cells = torch.tensor([[0, 3, 4, 11]])
    assert place(cells, 3, 4).tolist() == [[[0, 0], [3, 0], [0, 1], [3, 2]]]


def test_a_head_at_some_cells_equals_the_head_at_all() -> None:
    torch.manual_seed(0)
    head, x = HeatHead(24, 6), torch.randn(2, 24, 5, 7)
    cells = torch.randint(0, 35, (2, 9))
    depthwise = head.depthwise(x).flatten(2).gather(2, cells[:, None].expand(-1, 24, -1))
    expected = head(x).flatten(2).gather(2, cells[:, None].expand(-1, 6, -1))
    torch.testing.assert_close(head.at(depthwise.transpose(1, 2)), expected.transpose(1, 2))
