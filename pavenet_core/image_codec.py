"""The bytes of a `sensor_msgs/Image` as a blue-green-red picture; numpy and OpenCV only."""

from array import array
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Bytes: TypeAlias = 'bytes | array[int] | NDArray[np.uint8]'
MAX_PIXELS = 64_000_000


class ImageCodecError(ValueError):
    """
    An image message whose fields contradict each other, or an encoding not known.

    kind  encoding, size, step, data or corrupt: what is wrong, in one word to count by
    """

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


@dataclass(frozen=True)
class _Layout:
    """
    How one encoding lies in memory and how it becomes BGR.

    channels       bytes per pixel in a row; 0 means one plane of full and one of half height
    convert        a cv2 colour code; None leaves the bytes as they are
    even_width     two neighbours share their colour
    """

    channels: int
    convert: int | None
    even_width: bool = False


# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row's
# first two: ROS rggb is OpenCV's BG.
_LAYOUTS = {
    'bgr8': _Layout(3, None),
    '8UC3': _Layout(3, None),
    'rgb8': _Layout(3, cv2.COLOR_RGB2BGR),
    'bgra8': _Layout(4, cv2.COLOR_BGRA2BGR),
    '8UC4': _Layout(4, cv2.COLOR_BGRA2BGR),
    'rgba8': _Layout(4, cv2.COLOR_RGBA2BGR),
    'mono8': _Layout(1, cv2.COLOR_GRAY2BGR),
    '8UC1': _Layout(1, cv2.COLOR_GRAY2BGR),
    'bayer_rggb8': _Layout(1, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr8': _Layout(1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': _Layout(1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': _Layout(1, cv2.COLOR_BayerGB2BGR),
    'yuyv': _Layout(2, cv2.COLOR_YUV2BGR_YUYV, even_width=True),
    'yuv422_yuy2': _Layout(2, cv2.COLOR_YUV2BGR_YUYV, even_width=True),
    'uyvy': _Layout(2, cv2.COLOR_YUV2BGR_UYVY, even_width=True),
    'yuv422': _Layout(2, cv2.COLOR_YUV2BGR_UYVY, even_width=True),
    'nv12': _Layout(0, cv2.COLOR_YUV2BGR_NV12, even_width=True),
    'nv21': _Layout(0, cv2.COLOR_YUV2BGR_NV21, even_width=True),
}
ENCODINGS = tuple(_LAYOUTS)


def decode_image(data: Bytes, encoding: str, width: int, height: int, step: int) -> Picture:
    """
    Return the picture as (height, width, 3) uint8 in BGR.

    `step` is the length of a row in bytes, which may be more than its pixels take. A bgr8 picture
    is a view of `data`, not a copy. Raise `ImageCodecError` in one sentence naming the field that
    is wrong.
    """
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        raise ImageCodecError(
            'encoding',
            f'images of encoding {encoding!r} are not supported; use one of '
            f'{", ".join(ENCODINGS)}',
        )
    check_size(width, height)
    if layout.even_width and (width % 2 or (layout.channels == 0 and height % 2)):
        raise ImageCodecError(
            'size',
            f'a {encoding} image needs an even size, this one has {width} x {height} pixels',
        )
    rows = _rows(data, encoding, step, height + height // 2 * (layout.channels == 0))
    return _to_bgr(_pixels(rows, encoding, width, max(layout.channels, 1)), layout)


def check_size(width: int, height: int) -> None:
    """Raise `ImageCodecError` for a picture of no size, or of one that no camera has."""
    if width < 1 or height < 1:
        raise ImageCodecError('size', f'an image of {width} x {height} pixels has no pixels')
    if width * height > MAX_PIXELS:
        raise ImageCodecError(
            'size',
            f'an image of {width} x {height} pixels is larger than the {MAX_PIXELS // 10**6} '
            'megapixels that are allowed',
        )


def _rows(data: Bytes, encoding: str, step: int, num_rows: int) -> Picture:
    array = np.frombuffer(data, np.uint8)
    if array.size < step * num_rows:
        raise ImageCodecError(
            'data',
            f'a {encoding} image of {num_rows} rows of {step} bytes needs {step * num_rows} '
            f'bytes, this one has {array.size}',
        )
    return array[: step * num_rows].reshape(num_rows, step)


def _pixels(rows: Picture, encoding: str, width: int, channels: int) -> Picture:
    used = width * channels
    if rows.shape[1] < used:
        raise ImageCodecError(
            'step',
            f'a {encoding} image of {width} pixels a row needs a step of {used} bytes or more, '
            f'this one has {rows.shape[1]}',
        )
    return rows[:, :used].reshape(len(rows), width, channels)


def _to_bgr(pixels: Picture, layout: _Layout) -> Picture:
    if layout.convert is None:
        return pixels
    # OpenCV reads strided rows, but wants single channels without their axis.
    source = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    return np.asarray(cv2.cvtColor(source, layout.convert), np.uint8)
