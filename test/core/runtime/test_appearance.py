"""People painted on pictures, and what they look like."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from pavenet_core.poses import Poses
from pavenet_core.runtime.appearance import Looks, looks_of, thin_out

RED_BGR, BLUE_BGR = (0, 0, 255), (255, 0, 0)
LIMBS = [(0, 1), (2, 3)]
# Two limbs, one above the other, of each of two people.
PEOPLE = np.array([[[10, 10], [30, 10], [10, 30], [30, 30]]], np.float32)


def poses(points: np.ndarray, scores: np.ndarray | float = 1.0) -> Poses:
    return Poses(
        0,
        np.asarray(points, np.float32),
        np.broadcast_to(np.asarray(scores, np.float32), points.shape[:2]),
        np.ones(len(points), np.float32),
    )


def painted(width: int = 80, height: int = 40) -> np.ndarray:
    """Return a picture that is red above and blue below."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2], picture[height // 2 :] = RED_BGR, BLUE_BGR
    return picture


def lab(*colours: tuple[int, int, int]) -> np.ndarray:
    """Return the colours in CIELAB, the lightness by half."""
    bgr = np.array([colours], np.float32) / 255
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2Lab)[0] * [0.5, 1, 1]


@pytest.mark.parametrize('size', [(80, 40), (160, 80), (800, 400)])
def test_each_limb_has_the_colour_in_its_middle(size: tuple[int, int]) -> None:
    # Whatever the size of the picture; the keypoints are in pixels of the frame.
    looks = looks_of(thin_out(painted(*size)), poses(PEOPLE), (80, 40), LIMBS)
    np.testing.assert_allclose(looks.colours, [lab(RED_BGR, BLUE_BGR)], atol=1e-3)
    assert looks.weights.tolist() == [[1, 1]]


def test_a_colour_is_the_mean_of_what_is_around() -> None:
    picture = painted(160, 80)
    picture[::3] = 0
    colour = looks_of(picture, poses(PEOPLE), (80, 40), LIMBS).colours[0, 0]
    dark, bright = lab((0, 0, 0), RED_BGR)
    assert dark[1] + 5 < colour[1] < bright[1] - 5


@pytest.mark.parametrize('size', [(1, 1), (170, 90), (512, 384), (3, 2000), (6000, 4000)])
def test_a_picture_is_thinned_out_to_much_the_same_size(size: tuple[int, int]) -> None:
    picture = painted(*size)
    thinned = thin_out(picture)
    assert min(max(size), 130) <= max(thinned.shape[:2]) <= 256
    before = thinned.copy()
    picture[:] = 255  # as the next frame does with the encoder's input
    np.testing.assert_array_equal(thinned, before)


def test_a_limb_counts_as_much_as_its_less_sure_end() -> None:
    scores = np.array([[0.9, 0.3, 0.6, 0.8]])
    looks = looks_of(painted(), poses(PEOPLE, scores), (80, 40), LIMBS)
    np.testing.assert_allclose(looks.weights, [[0.3, 0.6]])


@pytest.mark.parametrize('outside', [-100.0, 1e30, np.nan, np.inf])
def test_a_limb_outside_the_picture_counts_for_nothing(outside: float) -> None:
    points = PEOPLE.copy()
    points[0, :2, 0] = outside
    looks = looks_of(painted(), poses(points), (80, 40), LIMBS)
    assert looks.weights.tolist() == [[0, 1]]
    assert np.isfinite(looks.colours).all()


def test_a_limb_of_no_score_counts_for_nothing() -> None:
    # Once mixed into what somebody looks like it would stay there.
    scores = np.array([[np.nan, 0.3, 0.6, 0.8]])
    looks = looks_of(painted(), poses(PEOPLE, scores), (80, 40), LIMBS)
    np.testing.assert_allclose(looks.weights, [[0, 0.6]])


def test_limbs_are_where_they_were_seen_not_where_rules_put_them() -> None:
    # The authors' code pulls keypoints that it hardly believes to the corner.
    seen = replace(poses(np.zeros_like(PEOPLE)), extents_px=PEOPLE)
    looks = looks_of(painted(), seen, (80, 40), LIMBS)
    np.testing.assert_allclose(looks.colours, [lab(RED_BGR, BLUE_BGR)], atol=1e-3)


def test_nobody_and_no_limbs_are_ordinary() -> None:
    nobody = looks_of(painted(), poses(np.zeros((0, 4, 2))), (80, 40), LIMBS)
    assert nobody.colours.shape == (0, 2, 3)
    assert nobody.differences(nobody).shape == (0,)
    limbless = looks_of(painted(), poses(PEOPLE), (80, 40), [])
    assert limbless.weights.shape == (1, 0)
    assert np.isfinite(limbless.differences(limbless)).all()


def test_a_picture_of_one_pixel_has_one_colour() -> None:
    looks = looks_of(np.full((1, 1, 3), 255, np.uint8), poses(PEOPLE), (80, 40), LIMBS)
    np.testing.assert_allclose(looks.colours[0], [[50, 0, 0]] * 2, atol=0.1)


def test_the_difference_is_that_of_the_limbs_that_both_show() -> None:
    grey = Looks(np.full((1, 3, 3), 20, np.float32), np.array([[1, 1, 0]], np.float32))
    other = grey.colours + np.array([[[0, 0, 0], [0, 12, 0], [0, 30, 0]]], np.float32)
    # Two limbs that are 0 and 12 apart, and one that nobody knows (7).
    assert grey.differences(Looks(other, np.ones((1, 3), np.float32))) == pytest.approx(
        [(0 + 12 + 7) / 3]
    )


def test_one_limb_cannot_make_a_stranger_of_somebody() -> None:
    weights = np.ones((1, 10), np.float32)
    one = Looks(np.zeros((1, 10, 3), np.float32), weights)
    other = one.colours.copy()
    other[0, 0] = [50, 90, 90]
    assert one.differences(Looks(other, weights))[0] < 5


def test_looks_mix_limb_by_limb_as_surely_as_they_were_seen() -> None:
    old = Looks(np.zeros((1, 3, 3), np.float32), np.array([[1, 1, 0]], np.float32))
    new = Looks(np.full((1, 3, 3), 10, np.float32), np.array([[1, 0, 0.5]], np.float32))
    mixed = old.mixed_with(new, 0.2)
    np.testing.assert_allclose(mixed.colours[0, :, 0], [2, 0, 10])
    np.testing.assert_allclose(mixed.weights[0], [1, 0.8, 0.1])
