import numpy as np
import pytest

from pavenet_core.train.augmentation import FINETUNE
from pavenet_core.train.sources import fitted


@pytest.mark.parametrize('size', [(360, 640), (480, 640), (640, 480), (500, 500)])
def test_fitted_pictures_are_about_as_large_as_at_run_time(size: tuple[int, int]) -> None:
    augmentation, rng = fitted(FINETUNE, 512), np.random.default_rng(0)
    views = [augmentation.draw_view(size, rng) for _ in range(200)]
    longest = np.array([max(view.size) for view in views if not view.cropped])
    assert 480 < longest.max() <= 512
    assert longest.min() >= 256
    assert np.median(longest) > 350
    assert all(max(view.size) <= 512 for view in views)
