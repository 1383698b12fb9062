"""
Kinds of bad image messages, each a change to a good one; numbers and bytes come from hypothesis.

A kind is called with `draw` and the good message, and changes that or returns bytes to be sent in
its place. `RAW` are for `sensor_msgs/Image`, `COMPRESSED` for `sensor_msgs/CompressedImage`, and
`EITHER` for both. Some are bad for the reader, some only for the video: no node may mind.
"""

from array import array
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from rclpy.serialization import serialize_message

UINT32 = 2**32 - 1
KNOWN = (
    *('bgr8', 'rgb8', 'bgra8', 'rgba8', 'mono8', '8UC1', '8UC3', '8UC4', 'nv12', 'nv21'),
    *('bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8', 'yuyv', 'uyvy', 'yuv422'),
)
RARE = ('mono16', '16UC1', '16SC3', 'bgr16', 'rgba16', '32FC1', '64FC4', 'bayer_rggb16', 'nv24')

Draw = Callable[[st.SearchStrategy[Any]], Any]
Kind = Callable[[Draw, Any], bytes | None]


def put(msg: Any, **fields: Any) -> None:
    for name, value in fields.items():
        setattr(msg, name, value)


def data(draw: Draw, low: int, high: int) -> array:
    """Return so many bytes; a drawn pattern repeats, as hypothesis draws few at a time."""
    size = draw(st.integers(low, high))
    pattern = draw(st.binary(min_size=1, max_size=64))
    return array('B', (pattern * (size // len(pattern) + 1))[:size])


def whole(draw: Draw, low: int, high: int) -> int:
    return int(draw(st.integers(low, high)))


def stamp(msg: Any, sec: int, nanosec: int) -> None:
    put(msg.header.stamp, sec=sec, nanosec=nanosec)


def one_size(draw: Draw, msg: Any, width: int, height: int, encoding: str = 'bgr8') -> None:
    """Make a message of this size that has too few bytes, enough, or too many."""
    step = whole(draw, 0, 5 * width)
    put(msg, width=width, height=height, step=step, encoding=encoding)
    msg.data = data(draw, max(0, step * height - 10), step * height + step * (height // 2) + 10)


def flipped(draw: Draw, msg: Any) -> bytes:
    """Return the message as bytes, some of those near its start changed."""
    raw = bytearray(serialize_message(msg))
    for _ in range(whole(draw, 1, 8)):
        raw[whole(draw, 4, min(100, len(raw) - 1))] = whole(draw, 0, 255)
    return bytes(raw)


def truncated(draw: Draw, msg: Any) -> bytes:
    raw = serialize_message(msg)
    return bytes(raw[: whole(draw, 4, len(raw) - 1)])


def broken_code(draw: Draw, msg: Any) -> None:
    """Change bytes in the middle of a JPEG or PNG."""
    for _ in range(whole(draw, 1, 20)):
        msg.data[whole(draw, 2, len(msg.data) - 1)] = whole(draw, 0, 255)


def huge_promise(draw: Draw, msg: Any) -> None:
    """Make a PNG that says it is huge."""
    size = whole(draw, 2**13, 2**31 - 1).to_bytes(4, 'big')
    msg.format = 'png'
    msg.data = array('B', b'\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR' + 2 * size + b'\x08\2\0\0\0')


RAW: dict[str, Kind] = {
    'unknown encoding': lambda draw, msg: put(msg, encoding=draw(st.text(max_size=40))),
    'empty encoding': lambda draw, msg: put(msg, encoding=''),
    'endless encoding': lambda draw, msg: put(msg, encoding='b' * whole(draw, 1000, 100_000)),
    'rare encoding': lambda draw, msg: put(msg, encoding=draw(st.sampled_from(RARE))),
    'other encoding': lambda draw, msg: put(msg, encoding=draw(st.sampled_from(KNOWN))),
    'big endian': lambda draw, msg: put(msg, encoding='mono16', is_bigendian=1),
    'no width': lambda draw, msg: put(msg, width=0),
    'no height': lambda draw, msg: put(msg, height=0),
    'no size at all': lambda draw, msg: put(msg, width=0, height=0, step=0, data=array('B')),
    'huge width': lambda draw, msg: put(msg, width=whole(draw, 2**16, UINT32)),
    'huge height': lambda draw, msg: put(msg, height=whole(draw, 2**16, UINT32)),
    'huge size': lambda draw, msg: put(
        msg, width=whole(draw, 2**16, UINT32), height=whole(draw, 2**16, UINT32), step=UINT32
    ),
    'one pixel': lambda draw, msg: one_size(draw, msg, 1, 1, draw(st.sampled_from(KNOWN))),
    'tiny': lambda draw, msg: one_size(
        draw, msg, whole(draw, 1, 4), whole(draw, 1, 4), draw(st.sampled_from(KNOWN))
    ),
    'one row': lambda draw, msg: one_size(draw, msg, whole(draw, 1, 5000), 1),
    'one column': lambda draw, msg: one_size(draw, msg, 1, whole(draw, 1, 5000)),
    'odd size': lambda draw, msg: one_size(
        draw, msg, 31, 21, draw(st.sampled_from(['nv12', 'nv21', 'yuyv', 'uyvy', 'bayer_rggb8']))
    ),
    'other size': lambda draw, msg: one_size(draw, msg, whole(draw, 1, 99), whole(draw, 1, 99)),
    'no step': lambda draw, msg: put(msg, step=0),
    'short step': lambda draw, msg: put(msg, step=whole(draw, 1, 3 * msg.width - 1)),
    'long step': lambda draw, msg: put(msg, step=whole(draw, 3 * msg.width + 1, 10**4)),
    'huge step': lambda draw, msg: put(msg, step=whole(draw, 2**20, UINT32)),
    'no data': lambda draw, msg: put(msg, data=array('B')),
    'short data': lambda draw, msg: put(msg, data=data(draw, 1, len(msg.data) - 1)),
    'long data': lambda draw, msg: put(msg, data=data(draw, len(msg.data), 10**5)),
    'noise': lambda draw, msg: put(msg, data=data(draw, len(msg.data), len(msg.data))),
}
COMPRESSED: dict[str, Kind] = {
    'no bytes': lambda draw, msg: put(msg, data=array('B')),
    'noise for bytes': lambda draw, msg: put(msg, data=data(draw, 1, 10**4)),
    'cut off': lambda draw, msg: put(msg, data=msg.data[: whole(draw, 1, len(msg.data) - 1)]),
    'broken code': broken_code,
    'only a start': lambda draw, msg: put(msg, data=array('B', b'\xff\xd8' + bytes(9))),
    'tail after the end': lambda draw, msg: msg.data.extend(data(draw, 1, 10**4)),
    'huge promise': huge_promise,
    'other format': lambda draw, msg: put(msg, format=draw(st.text(max_size=40))),
    'mosaic format': lambda draw, msg: put(msg, format='bayer_rggb8; jpeg compressed '),
    'depth format': lambda draw, msg: put(msg, format='16UC1; compressedDepth png'),
}
EITHER: dict[str, Kind] = {
    'no stamp': lambda draw, msg: stamp(msg, 0, 0),
    'negative stamp': lambda draw, msg: stamp(msg, whole(draw, -(2**31), -1), 0),
    'impossible stamp': lambda draw, msg: stamp(msg, 5, whole(draw, 10**9, UINT32)),
    'stamp of the past': lambda draw, msg: stamp(msg, whole(draw, 1, 1000), 1),
    'stamp of the future': lambda draw, msg: stamp(msg, whole(draw, 2**30, 2**31 - 1), 1),
    'other frame_id': lambda draw, msg: put(msg.header, frame_id=draw(st.text(max_size=99))),
    'broken message': flipped,
    'truncated message': truncated,
}
