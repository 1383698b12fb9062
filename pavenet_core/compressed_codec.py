"""The bytes of a `sensor_msgs/CompressedImage` as a BGR picture; numpy and OpenCV only."""

from collections.abc import Iterator

import cv2
import numpy as np

from pavenet_core.image_codec import Bytes, ImageCodecError, Picture, check_size, decode_image

PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
JPEG_START, JPEG_END = b'\xff\xd8', b'\xff\xd9'
JPEG_NO_SIZE = (0xC4, 0xC8, 0xCC)  # tables among the markers that else carry the size
JPEG_SCAN = 0xDA  # the marker of the picture itself, behind all headers


def decode_compressed(data: Bytes, format_: str) -> Picture:
    """
    Return the picture as (height, width, 3) uint8 in BGR, whatever it was compressed from.

    The format is what image_transport writes ("rgb8; jpeg compressed bgr8"), or a bare codec. Grey
    becomes grey BGR, alpha goes, 16 bit become 8, a Bayer mosaic becomes colour; a camera's
    rotation tag is not obeyed, since the raw image has none. Raise `ImageCodecError` in one
    sentence.
    """
    if 'compresseddepth' in format_.lower():
        raise ImageCodecError('encoding', f'images of format {format_!r} are depth, not pictures')
    buffer = np.frombuffer(data, np.uint8)
    _check_end(buffer.tobytes(), format_)
    check_size(*_declared_size(buffer))
    encoding = format_.split(';')[0].strip()
    is_mosaic = encoding.startswith('bayer_')
    flags = cv2.IMREAD_GRAYSCALE if is_mosaic else cv2.IMREAD_COLOR
    picture = _decode(buffer, flags | cv2.IMREAD_IGNORE_ORIENTATION, format_)
    if is_mosaic:
        height, width = picture.shape
        pattern = encoding.removesuffix('16').removesuffix('8')
        return decode_image(picture.tobytes(), f'{pattern}8', width, height, width)
    if 'compressed rgb' in format_:  # such a sender gave its red to the codec as blue
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)
    return picture


def is_cut_short(data: bytes) -> bool:
    """Say whether this is a JPEG without its end, which OpenCV would fill with grey and accept."""
    if not data.startswith(JPEG_START):
        return False
    # A thumbnail among the headers has an end of its own.
    scans = (place for marker, place in _jpeg_headers(data) if marker == JPEG_SCAN)
    return data.find(JPEG_END, next(scans, 0)) < 0


def _check_end(data: bytes, format_: str) -> None:
    if is_cut_short(data):
        raise ImageCodecError(
            'corrupt', f'a JPEG of {len(data)} bytes and format {format_!r} has no end'
        )


def _decode(buffer: Picture, flags: int, format_: str) -> Picture:
    try:
        picture = cv2.imdecode(buffer, flags) if buffer.size else None
    except cv2.error:
        picture = None
    if picture is None:
        raise ImageCodecError(
            'corrupt', f'{buffer.size} bytes of format {format_!r} can not be decoded'
        )
    return np.asarray(picture, np.uint8)


def _declared_size(buffer: Picture) -> tuple[int, int]:
    """Return the width and height that a PNG or JPEG promises, (1, 1) where that is unknown."""
    head = buffer[:24].tobytes()
    if head.startswith(PNG_SIGNATURE) and len(head) == 24:
        return int.from_bytes(head[16:20], 'big'), int.from_bytes(head[20:24], 'big')
    return _jpeg_size(buffer.tobytes()) if head.startswith(JPEG_START) else (1, 1)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    for marker, place in _jpeg_headers(data):
        if 0xC0 <= marker <= 0xCF and marker not in JPEG_NO_SIZE:
            height, width = data[place + 5 : place + 7], data[place + 7 : place + 9]
            return int.from_bytes(width, 'big'), int.from_bytes(height, 'big')
    return 1, 1


def _jpeg_headers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield markers and their places, as far as the headers are whole."""
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        yield data[place + 1], place
        place += 2 + int.from_bytes(data[place + 2 : place + 4], 'big')
