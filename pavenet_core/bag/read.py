"""The images of one topic of a bag, every one, in the order of recording."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from pavenet_core.bag.detect import SUFFIXES, is_bag
from pavenet_core.bag.frame import BagFrame, ImageHeader, Unreadable
from pavenet_core.bag.messages import COMPRESSED, IMAGE, message_types
from pavenet_core.compressed_codec import decode_compressed
from pavenet_core.image_codec import ImageCodecError, Picture, decode_image

TIMED_IMAGES = 30  # so many tell the frame rate


@dataclass(frozen=True)
class BagSource:
    """
    One image topic of a bag.

    fps         images per second, the median over the first ones
    num_frames  messages of the topic
    unreadable  those that `frames` had to pass over so far
    """

    path: Path
    topic: str
    fps: float
    num_frames: int
    unreadable: list[Unreadable] = field(default_factory=list)

    @property
    def is_still(self) -> bool:
        """Say that it is a video."""
        return False

    def frames(self) -> Iterator[BagFrame]:
        """Read the images; `ValueError` if none of them can be decoded."""
        self.unreadable.clear()
        before = given = -1
        for header, message in read_messages(self.path, self.topic):
            try:
                picture = _to_picture(message)
            except ImageCodecError as error:
                self.unreadable.append(Unreadable(header, str(error)))
                continue
            stamp_ns = header.stamp_ns or header.recorded_ns
            before, given = stamp_ns, given + 1 if stamp_ns in (before, given) else stamp_ns
            yield BagFrame(picture, given, header)
        if len(self.unreadable) == self.num_frames:
            raise ValueError(
                f'none of the {self.num_frames} images on {self.topic} of {self.path} can be '
                f'decoded; the first: {self.unreadable[0].reason}'
            )


def open_bag(path: Path, topic: str | None = None) -> BagSource:
    """
    Open a bag's folder, or one of its files, at an image topic; the only one needs no name.

    Raise `ValueError` in one sentence if it can't be read, or has no such images.
    """
    check_names(path)
    with opened_bag(path) as reader:
        connections = list(reader.connections)
    topic = _choose(path, topic, connections)
    num_frames = sum(c.msgcount for c in connections if c.topic == topic)
    if not num_frames:
        raise ValueError(f'topic {topic} of {path} has no messages')
    return BagSource(path, topic, _frame_rate(path, topic), num_frames)


def check_names(path: Path) -> None:
    """Refuse a path that is no bag, or looks like one, but is not named as one."""
    if not path.exists():
        raise ValueError(f'{path} does not exist; give the folder of a rosbag, or its file')
    if not is_bag(path):
        raise ValueError(f'{path} is no rosbag; give its folder, or its .mcap or .db3 file')
    if path.is_dir() and not (path / 'metadata.yaml').is_file():
        raise ValueError(
            f'{path} has no metadata.yaml, as when recording was cut short; make it with: '
            f'ros2 bag reindex {path}'
        )
    if path.is_file() and path.suffix not in SUFFIXES:
        raise ValueError(f'{path} is a rosbag, but is not named so; rename it to .mcap or .db3')


@contextmanager
def opened_bag(path: Path) -> Iterator[Reader]:
    """Open a bag; whatever is wrong with it becomes `ValueError` in one sentence."""
    try:
        with Reader(path) as reader:
            yield reader
    except Exception as error:  # rosbags lets those of SQLite, YAML, zstd and struct through
        raise ValueError(
            f'{path} cannot be read as a rosbag ({_one_line(error)}); try ros2 bag reindex, '
            'or mcap recover for an MCAP file'
        ) from error


def _one_line(error: Exception) -> str:
    return ' '.join(str(error).split())[:200] or type(error).__name__


def _choose(path: Path, topic: str | None, connections: Sequence[Connection]) -> str:
    kinds = {c.topic: c.msgtype for c in connections}
    images = sorted(name for name, kind in kinds.items() if kind in (IMAGE, COMPRESSED))
    if topic is None and len(images) == 1:
        return images[0]
    if topic in images:
        return topic
    if not images:
        there = ', '.join(f'{name} ({kind})' for name, kind in sorted(kinds.items()))
        raise ValueError(
            f'{path} has no topic of sensor_msgs/Image or CompressedImage, but {there or "none"}'
        )
    wrong = f'no image topic {topic}' if topic else f'{len(images)} image topics'
    raise ValueError(f'{path} has {wrong}; choose one with --topic: {", ".join(images)}')


def read_messages(path: Path, topic: str) -> Iterator[tuple[ImageHeader, Any]]:
    """
    Yield the topic's messages, all of a type with a header, in the order of recording.

    None stands for one whose bytes are no message of its type.
    """
    with opened_bag(path) as reader:
        connections = [c for c in reader.connections if c.topic == topic]
        messages = reader.messages(connections)
        for index, (connection, recorded_ns, data) in enumerate(messages):
            message = _deserialize(data, connection.msgtype)
            if message is None:
                yield ImageHeader(index, 0, recorded_ns, ''), None
                continue
            stamp = message.header.stamp
            stamp_ns = int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
            yield ImageHeader(index, stamp_ns, recorded_ns, message.header.frame_id), message


def _deserialize(data: bytes, kind: str) -> Any:
    try:
        return message_types().deserialize_cdr(data, kind)
    except Exception:  # whatever its generated code stumbles over in bytes cut short
        return None


def _to_picture(message: Any) -> Picture:
    if message is None:
        raise ImageCodecError('corrupt', 'the bytes recorded are no image message')
    if message.__msgtype__ == COMPRESSED:
        return decode_compressed(message.data, message.format)
    return decode_image(
        *(message.data, message.encoding, message.width, message.height, message.step)
    )


def _frame_rate(path: Path, topic: str) -> float:
    headers = [header for header, _ in islice(read_messages(path, topic), TIMED_IMAGES)]
    steps = np.diff([header.stamp_ns or header.recorded_ns for header in headers])
    steps = steps[steps > 0]
    fps = 1e9 / float(np.median(steps)) if len(steps) else 0.0
    return round(fps, 3) if 0.001 <= fps < 1000 else 25.0
