import numpy as np
import pytest

from pavenet_core.metrics.polygon import inside

SQUARE = [[0, 0], [4, 0], [4, 4], [0, 4]]
# A dart that points left: its notch is outside.
DART = [[0, 2], [4, 0], [2, 2], [4, 4]]


@pytest.mark.parametrize('polygon', [SQUARE, SQUARE[::-1], SQUARE[2:] + SQUARE[:2]])
def test_the_boundary_is_outside(polygon) -> None:
    points = np.array([[1, 1], [3.9, 3.9], [0, 0], [4, 2], [2, 4], [5, 4], [-1, 0]], np.float32)
    found = inside(points, np.array(polygon, np.float32))
    assert found.tolist() == [True, True, False, False, False, False, False]


def test_notches_are_outside_and_rays_through_corners_count_once() -> None:
    points = np.array([[1, 2], [3, 2], [2.1, 1.5], [-1, 2], [-1, 0]], np.float32)
    found = inside(points, np.array(DART, np.float32))
    assert found.tolist() == [True, False, True, False, False]


def test_what_is_enclosed_twice_is_outside() -> None:
    star = [[np.cos(0.8 * np.pi * i), np.sin(0.8 * np.pi * i)] for i in range(5)]
    found = inside(np.array([[0, 0], [0.9, 0]], np.float32), np.array(star, np.float32))
    assert found.tolist() == [False, True]
