import cv2
import numpy as np
import pytest

from pavenet_core.runtime.preprocess import ImageFitter


@pytest.mark.parametrize(
    ('source', 'valid', 'padded'),
    [
        ((480, 640), (48, 64), (48, 64)),
        ((640, 480), (64, 48), (64, 48)),
        ((427, 640), (43, 64), (48, 64)),
        ((30, 20), (64, 43), (64, 48)),
        ((64, 64), (64, 64), (64, 64)),
        ((1, 5000), (1, 64), (16, 64)),
    ],
)
def test_the_longer_side_fits_and_the_rest_is_padded(
    source: tuple[int, int], valid: tuple[int, int], padded: tuple[int, int]
) -> None:
    image = np.full((*source, 3), 200, np.uint8)
    fitted = ImageFitter(64, 16)(image)
    assert fitted.pixels.shape == (1, *padded, 3)
    assert fitted.valid_size.dtype == np.float32
    assert fitted.valid_size.tolist() == [list(valid)]
    assert (fitted.pixels[0, : valid[0], : valid[1]] == 200).all()
    assert fitted.pixels.sum() == 200 * 3 * valid[0] * valid[1]


def test_a_long_side_off_the_alignment_is_padded_too() -> None:
    fitted = ImageFitter(60, 16)(np.ones((60, 30, 3), np.uint8))
    assert fitted.pixels.shape == (1, 64, 32, 3)


def test_the_picture_is_opencvs_linear_resize() -> None:
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    fitted = ImageFitter(64, 16)(image)
    np.testing.assert_array_equal(fitted.pixels[0, :45], cv2.resize(image, (64, 45)))


def test_the_input_is_reused_and_holds_nothing_of_a_larger_picture() -> None:
    fitter = ImageFitter(64, 16)
    first = fitter(np.full((45, 64, 3), 255, np.uint8)).pixels
    again = fitter(np.full((45, 64, 3), 7, np.uint8)).pixels
    assert np.shares_memory(first, again)
    narrower = fitter(np.full((40, 64, 3), 7, np.uint8)).pixels
    assert narrower.shape == (1, 48, 64, 3)
    assert not narrower[0, 40:].any()


def test_views_and_read_only_pictures_are_taken() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    rgb.flags.writeable = False
    np.testing.assert_array_equal(ImageFitter(64, 16)(rgb[..., ::-1]).pixels[0], rgb[..., ::-1])


@pytest.mark.parametrize('channels', [(), (1,), (4,)])
def test_no_picture_is_taken_for_the_one_before(channels: tuple[int, ...]) -> None:
    fitter = ImageFitter(64, 16)
    fitter(np.full((64, 64, 3), 200, np.uint8))
    with pytest.raises(ValueError, match=r'\(h, w, 3\) uint8 in BGR, got \(64, 64'):
        fitter(np.zeros((64, 64, *channels), np.uint8))
    with pytest.raises(ValueError, match=r'got .* float32'):
        fitter(np.zeros((64, 64, 3), np.float32))


def test_a_marked_pixel_maps_back_to_where_it_was() -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    cv2.circle(image, (313, 77), 6, (255, 255, 255), -1)
    fitted = ImageFitter(200, 32)(image)
    height, width = fitted.valid_size[0]
    y, x = np.argwhere(fitted.pixels[0, ..., 0] > 127).mean(axis=0)
    assert (x + 0.5) / width * 400 == pytest.approx(313.5, abs=0.3)
    assert (y + 0.5) / height * 300 == pytest.approx(77.5, abs=0.3)
