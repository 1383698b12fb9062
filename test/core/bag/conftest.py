"""Small bags, written here by rosbags: grey pictures whose brightness says which one it is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = get_typestore(Stores.ROS2_HUMBLE)
SIZE = (64, 48)
START_NS = 1_700_000_000_000_000_000
STEP_NS = 40_000_000
DELAY_NS = 5_000_000  # of the recording after the stamp
TOPIC = '/camera/image_raw'


def stamp_of(index: int) -> int:
    return START_NS + index * STEP_NS


def header(stamp_ns: int, frame_id: str) -> Any:
    sec, nanosec = divmod(stamp_ns, 1_000_000_000)
    time = TYPES.types['builtin_interfaces/msg/Time'](sec=sec, nanosec=nanosec)
    return TYPES.types['std_msgs/msg/Header'](stamp=time, frame_id=frame_id)


def image(
    brightness: int,
    stamp_ns: int,
    encoding: str = 'bgr8',
    *,
    frame_id: str = 'optical',
    size: tuple[int, int] = SIZE,
    missing: int = 0,
) -> Any:
    """Make a `sensor_msgs/Image`, or with the encoding `jpeg` or `png` a compressed one."""
    channels = 1 if encoding == 'mono8' else 3
    pixels = np.full((size[1], size[0], channels), brightness, np.uint8)
    return picture(pixels, stamp_ns, encoding, frame_id=frame_id, missing=missing)


def picture(
    pixels: np.ndarray,
    stamp_ns: int,
    encoding: str = 'bgr8',
    *,
    frame_id: str = 'optical',
    missing: int = 0,
) -> Any:
    """Make a message of pixels (h, w, channels), in the encodings of `image`."""
    height, width, channels = pixels.shape
    head = header(stamp_ns, frame_id)
    if encoding in ('jpeg', 'png'):
        data = cv2.imencode(f'.{encoding}', pixels)[1].reshape(-1)
        data = data[: len(data) - missing]
        return TYPES.types['sensor_msgs/msg/CompressedImage'](
            header=head, format=f'bgr8; {encoding} compressed bgr8', data=data
        )
    data = pixels.reshape(-1)
    return TYPES.types['sensor_msgs/msg/Image'](
        header=head,
        height=height,
        width=width,
        encoding=encoding,
        is_bigendian=0,
        step=width * channels,
        data=data[: len(data) - missing],
    )


def text(words: str) -> Any:
    return TYPES.types['std_msgs/msg/String'](data=words)


def write_bag(
    path: Path,
    topics: dict[str, Sequence[Any]],
    storage: str = 'sqlite3',
    compression: str = 'none',
) -> Path:
    """Write a bag; the nth message of each topic is recorded shortly after the nth stamp."""
    writer = Writer(path, version=8, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        for topic, messages in topics.items():
            kind = messages[0].__msgtype__ if messages else 'sensor_msgs/msg/Image'
            connection = writer.add_connection(topic, kind, typestore=TYPES)
            for index, message in enumerate(messages):
                # A message given as bytes is recorded as it is.
                data = TYPES.serialize_cdr(message, kind) if hasattr(message, 'data') else message
                writer.write(connection, stamp_of(index) + DELAY_NS, data)
    return path


def brightness(index: int) -> int:
    return 40 + 20 * index


def images(count: int = 6, encoding: str = 'bgr8') -> list[Any]:
    return [image(brightness(i), stamp_of(i), encoding) for i in range(count)]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """Give a bag of six images and a topic of another kind."""
    return write_bag(tmp_path / 'walk', {TOPIC: images(), '/chatter': [text('a'), text('b')]})


@pytest.fixture
def bags() -> Any:
    """Give the makers of bags and messages."""
    from types import SimpleNamespace

    return SimpleNamespace(
        write=write_bag,
        image=image,
        images=images,
        picture=picture,
        text=text,
        stamp_of=stamp_of,
        topic=TOPIC,
    )


@pytest.fixture
def predict() -> Callable[..., Any]:
    """Give `pavenet predict` as a call that returns its JSON as text."""
    from pavenet_core.cli import main

    def run(model: Path, out: Path, *words: object) -> str:
        code = main(['predict', '--model', str(model), '--out', str(out), *map(str, words)])
        assert code == 0
        return out.read_text()

    return run
