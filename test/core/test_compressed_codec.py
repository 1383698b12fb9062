"""What codecs and image_transport make of a picture becomes that picture again."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pavenet_core.compressed_codec import decode_compressed
from pavenet_core.image_codec import MAX_PIXELS, ImageCodecError

Array = NDArray[Any]
BGR = (30, 90, 200)
GRAY = 120


def flat(*color: int, dtype: type = np.uint8) -> Array:
    """Return a picture of one colour, or one of one channel."""
    shape = (24, 32) if len(color) == 1 else (24, 32, len(color))
    return np.full(shape, color, dtype)


def encode(picture: Array, codec: str) -> bytes:
    return cv2.imencode(codec, picture)[1].tobytes()


def mosaic() -> Array:
    """Return what a camera with an rggb filter sees of the flat colour."""
    rows = np.empty((24, 32), np.uint8)
    rows[::2, ::2], rows[::2, 1::2], rows[1::2, ::2], rows[1::2, 1::2] = 200, 90, 90, 30
    return rows


@pytest.mark.parametrize(
    ('picture', 'codec', 'format_', 'expected'),
    [
        (flat(*BGR), '.jpg', 'jpeg', BGR),
        (flat(*BGR), '.jpg', 'rgb8; jpeg compressed bgr8', BGR),
        (flat(*BGR), '.png', 'bgr8; png compressed bgr8', BGR),
        (flat(*BGR[::-1]), '.png', 'rgb8; png compressed rgb8', BGR),
        (flat(*BGR, 7), '.png', 'bgra8; png compressed bgra8', BGR),
        (flat(GRAY), '.jpg', 'mono8; jpeg compressed ', (GRAY,) * 3),
        (flat(GRAY), '.png', 'png', (GRAY,) * 3),
        (flat(GRAY * 256, dtype=np.uint16), '.png', 'mono16; png compressed ', (GRAY,) * 3),
        (flat(*(c * 256 for c in BGR), dtype=np.uint16), '.png', 'png', BGR),
        (mosaic(), '.png', 'bayer_rggb8; png compressed ', BGR),
        (mosaic().astype(np.uint16) * 256, '.png', 'bayer_rggb16; png compressed ', BGR),
        (flat(*BGR), '.webp', 'webp', BGR),
    ],
    ids=lambda value: value if isinstance(value, str) else '',
)
def test_picture_comes_back(
    picture: Array, codec: str, format_: str, expected: tuple[int, ...]
) -> None:
    decoded = decode_compressed(encode(picture, codec), format_)
    assert decoded.shape == (24, 32, 3)
    assert decoded.dtype == np.uint8
    np.testing.assert_allclose(decoded[4:-4, 4:-4].mean(axis=(0, 1)), expected, atol=4)


def test_a_rotation_tag_is_not_obeyed() -> None:
    """Raw and compressed images of one camera must lie the same way."""
    jpeg = encode(flat(*BGR), '.jpg')
    exif = bytes.fromhex('45786966000049492a0008000000010012010300010000000600000000000000')
    tagged = jpeg[:2] + b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif + jpeg[2:]
    upright = cv2.imdecode(np.frombuffer(tagged, np.uint8), cv2.IMREAD_COLOR)
    assert upright.shape == (32, 24, 3), 'the tag is one'
    assert decode_compressed(tagged, 'jpeg').shape == (24, 32, 3)


def cut_jpeg() -> bytes:
    """Return half a JPEG, with a header that holds the end of another."""
    jpeg = encode(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8), '.jpg')
    return jpeg[:2] + b'\xff\xe1\x00\x08abcd\xff\xd9' + jpeg[2 : len(jpeg) // 2]


def huge_png() -> bytes:
    png = bytearray(encode(flat(GRAY), '.png'))
    png[16:24] = (30_000).to_bytes(4, 'big') * 2
    return bytes(png)


def huge_jpeg() -> bytes:
    jpeg = bytearray(encode(flat(GRAY), '.jpg'))
    size = jpeg.index(b'\xff\xc0') + 5
    jpeg[size : size + 4] = (65_000).to_bytes(2, 'big') * 2
    return bytes(jpeg)


@pytest.mark.parametrize(
    ('make', 'format_', 'kind', 'sentence'),
    [
        (lambda: b'', 'jpeg', 'corrupt', "0 bytes of format 'jpeg'"),
        (lambda: bytes(range(200)), 'png', 'corrupt', "200 bytes of format 'png'"),
        (lambda: encode(flat(*BGR), '.jpg')[:300], 'jpeg', 'corrupt', 'JPEG of 300 bytes'),
        (cut_jpeg, 'jpeg', 'corrupt', 'a JPEG of .* has no end'),
        (lambda: b'\xff\xd8\xff\xd9', 'jpeg', 'corrupt', '4 bytes'),
        (huge_png, 'png', 'size', '30000 x 30000 pixels is larger than the 64 megapixels'),
        (huge_jpeg, 'jpeg', 'size', '65000 x 65000 pixels is larger than the 64 megapixels'),
        (lambda: b'x', '16UC1; compressedDepth png', 'encoding', 'are depth, not pictures'),
    ],
    ids=['empty', 'noise', 'truncated', 'thumbnail', 'hollow', 'huge png', 'huge jpeg', 'depth'],
)
def test_bad_image_is_one_sentence(
    make: Callable[[], bytes], format_: str, kind: str, sentence: str
) -> None:
    with pytest.raises(ImageCodecError, match=sentence) as caught:
        decode_compressed(make(), format_)
    assert caught.value.kind == kind
    assert '\n' not in str(caught.value)


def test_the_largest_size_allowed_is_one_of_today() -> None:
    assert MAX_PIXELS > 7680 * 4320
