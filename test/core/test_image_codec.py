"""A picture of four flat colours, written in each encoding by hand, comes back as it was."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pavenet_core.image_codec import ENCODINGS, ImageCodecError, decode_image

Array = NDArray[np.uint8]
SIZE, HALF = 16, 8
COLORS_BGR = ((30, 60, 200), (40, 180, 20), (210, 90, 50), (128, 128, 128))


def picture() -> Array:
    """Red, green, blue and grey, a quarter each."""
    image = np.empty((SIZE, SIZE, 3), np.uint8)
    for quarter, color in enumerate(COLORS_BGR):
        y, x = divmod(quarter, 2)
        image[y * HALF : (y + 1) * HALF, x * HALF : (x + 1) * HALF] = color
    return image


def quarters(image: Array) -> Array:
    """Return the inner pixels of each quarter: Bayer and YUV mix colours at the borders."""
    inner = [(y + 3, x + 3) for y in (0, HALF) for x in (0, HALF)]
    return np.stack([image[y : y + 2, x : x + 2] for y, x in inner])


def gray(image: Array) -> Array:
    return np.rint(image @ [0.114, 0.587, 0.299]).astype(np.uint8)[..., None]


def yuv(image: Array) -> Array:
    """Return Y, U, V of ITU-R BT.601, as cameras give them."""
    b, g, r = np.moveaxis(image.astype(float), -1, 0)
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    return np.rint(np.stack([y, u, v], axis=-1)).astype(np.uint8)


def packed(order: str) -> Callable[[Array], Array]:
    """Return a writer of two bytes per pixel; `order` is of one pair of pixels."""

    def write(image: Array) -> Array:
        planes = yuv(image)
        y, u, v = planes[..., 0], planes[:, ::2, 1], planes[:, ::2, 2]
        parts = {'Y': y[:, ::2], 'y': y[:, 1::2], 'U': u, 'V': v}
        return np.stack([parts[letter] for letter in order], axis=-1).reshape(SIZE, -1)

    return write


def two_planes(order: str) -> Callable[[Array], Array]:
    def write(image: Array) -> Array:
        planes = yuv(image)
        parts = {'U': planes[::2, ::2, 1], 'V': planes[::2, ::2, 2]}
        colors = np.stack([parts[letter] for letter in order], axis=-1).reshape(HALF, SIZE)
        return np.concatenate([planes[..., 0], colors])

    return write


def mosaic(pattern: str) -> Callable[[Array], Array]:
    def write(image: Array) -> Array:
        out = np.empty((SIZE, SIZE), np.uint8)
        for i, letter in enumerate(pattern):
            out[i // 2 :: 2, i % 2 :: 2] = image[i // 2 :: 2, i % 2 :: 2, 'bgr'.index(letter)]
        return out

    return write


def with_alpha(image: Array) -> Array:
    return np.concatenate([image, np.full((SIZE, SIZE, 1), 7, np.uint8)], axis=-1)


WRITERS: dict[str, Callable[[Array], Array]] = {
    'bgr8': lambda image: image,
    '8UC3': lambda image: image,
    'rgb8': lambda image: image[..., ::-1],
    'bgra8': with_alpha,
    '8UC4': with_alpha,
    'rgba8': lambda image: with_alpha(image[..., ::-1]),
    'mono8': gray,
    '8UC1': gray,
    'yuyv': packed('YUyV'),
    'yuv422_yuy2': packed('YUyV'),
    'uyvy': packed('UYVy'),
    'yuv422': packed('UYVy'),
    'nv12': two_planes('UV'),
    'nv21': two_planes('VU'),
    **{f'bayer_{pattern}8': mosaic(pattern) for pattern in ('rggb', 'bggr', 'gbrg', 'grbg')},
}


def test_every_encoding_has_a_test() -> None:
    assert sorted(WRITERS) == sorted(ENCODINGS)


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('encoding', WRITERS)
def test_picture_comes_back(encoding: str, padding: int) -> None:
    image = picture()
    rows = WRITERS[encoding](image)
    rows = rows.reshape(len(rows), -1)
    step = rows.shape[1] + padding
    data = np.pad(rows, ((0, 0), (0, padding)), constant_values=255).tobytes()

    decoded = decode_image(data, encoding, SIZE, SIZE, step)

    assert decoded.shape == (SIZE, SIZE, 3)
    assert decoded.dtype == np.uint8
    expected = np.repeat(gray(image), 3, axis=-1) if encoding in ('mono8', '8UC1') else image
    tolerance = 3 if 'yuv' in encoding or encoding[:2] in ('uy', 'nv', 'yu') else 0
    np.testing.assert_allclose(
        quarters(decoded).astype(int), quarters(expected).astype(int), atol=tolerance
    )


def test_bgr8_is_not_copied() -> None:
    data = bytearray(12)
    decoded = decode_image(data, 'bgr8', 2, 2, 6)
    data[0] = 9
    assert decoded[0, 0, 0] == 9


@pytest.mark.parametrize(
    ('arguments', 'sentence'),
    [
        ((b'', '16UC1', 2, 2, 4), "'16UC1' are not supported; use one of bgr8"),
        ((b'', '', 2, 2, 4), "encoding '' are not supported"),
        ((b'', 'bgr8', 0, 2, 0), '0 x 2 pixels'),
        ((bytes(11), 'bgr8', 2, 2, 6), 'needs 12 bytes, this one has 11'),
        ((bytes(99), 'bgr8', 2, 2, 5), 'step of 6 bytes or more, this one has 5'),
        ((bytes(99), 'yuyv', 3, 2, 6), 'even size, this one has 3 x 2'),
        ((bytes(99), 'nv12', 2, 3, 2), 'even size, this one has 2 x 3'),
    ],
)
def test_bad_image_is_one_sentence(
    arguments: tuple[bytes, str, int, int, int], sentence: str
) -> None:
    with pytest.raises(ImageCodecError, match=sentence) as caught:
        decode_image(*arguments)
    assert '\n' not in str(caught.value)
