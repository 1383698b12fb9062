import numpy as np
import pytest

from pavenet_core.evaluation.degrade import CHANGES, degrade

PICTURE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)


@pytest.mark.parametrize('change', CHANGES)
def test_a_change_is_the_same_for_the_same_seed_and_leaves_the_picture_alone(change) -> None:
    before = PICTURE.copy()
    once, again, other = (degrade(PICTURE, change, seed) for seed in (1, 1, 2))
    assert (once.shape, once.dtype) == (PICTURE.shape, np.uint8)
    assert np.array_equal(once, again)
    assert np.array_equal(PICTURE, before)
    assert np.abs(once.astype(int) - PICTURE).mean() > 5
    assert change == 'darkness' or not np.array_equal(once, other)


def test_each_change_does_what_it_says() -> None:
    assert degrade(PICTURE, 'darkness', 0).mean() == pytest.approx(PICTURE.mean() / 10, rel=0.02)
    assert degrade(PICTURE, 'motion blur', 0).std() < 0.8 * PICTURE.std()
    grey = np.full((90, 120, 3), 100, np.uint8)
    assert degrade(grey, 'noise', 0).std() == pytest.approx(20, rel=0.1)
    hidden = (degrade(grey, 'cut-out', 0) == 127).mean()
    assert 0.1 < hidden < 0.35
