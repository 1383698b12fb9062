"""What a live node answered, as it was recorded: the poses topic of a bag."""

from collections.abc import Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pavenet_core.bag.messages import POSES
from pavenet_core.bag.read import check_names, opened_bag, read_messages
from pavenet_core.poses import Poses


@dataclass(frozen=True)
class LiveAnswer:
    """The people of one image, and when their message was recorded."""

    poses: Poses
    recorded_ns: int


@dataclass(frozen=True)
class LiveRecording:
    """The answers on one topic of a bag, in the order of recording."""

    path: Path
    topic: str
    answers: tuple[LiveAnswer, ...]


def read_live(path: Path, num_keypoints: int) -> list[LiveRecording]:
    """
    Read every poses topic of a bag.

    Raise `ValueError` in one sentence if there is none with a message, or of another skeleton.
    """
    check_names(path)
    with opened_bag(path) as reader:
        topics = {c.topic: c.msgtype for c in reader.connections}
    recordings = [
        LiveRecording(path, topic, _answers(path, topic, num_keypoints))
        for topic, kind in sorted(topics.items())
        if kind == POSES
    ]
    recordings = [recording for recording in recordings if recording.answers]
    if not recordings:
        raise ValueError(
            f'{path} has no messages of {POSES}, but of {", ".join(sorted(topics)) or "nothing"}; '
            'record the topic of the poses while the node runs'
        )
    for recording in recordings:
        sizes = {a.poses.keypoints_px.shape[1] for a in recording.answers if len(a.poses)}
        if sizes - {num_keypoints}:
            raise ValueError(
                f'{path} has people of {max(sizes)} keypoints on {recording.topic}, '
                f'the model of {num_keypoints}'
            )
    return recordings


def recording_of(recordings: list[LiveRecording], stamps_ns: Set[int]) -> LiveRecording:
    """Return the recording with the most answers to images of these stamps."""
    return max(recordings, key=lambda r: sum(a.poses.stamp_ns in stamps_ns for a in r.answers))


def _answers(path: Path, topic: str, num_keypoints: int) -> tuple[LiveAnswer, ...]:
    return tuple(
        LiveAnswer(_to_poses(message, header.stamp_ns, num_keypoints), header.recorded_ns)
        for header, message in read_messages(path, topic)
        if message is not None
    )


def _to_poses(message: Any, stamp_ns: int, num_keypoints: int) -> Poses:
    people = message.poses
    points = [[(k.x, k.y, k.score) for k in person.keypoints] for person in people]
    table = np.array(points, np.float32) if people else np.zeros((0, num_keypoints, 3), np.float32)
    scores = np.array([person.score for person in people], np.float32)
    return Poses(stamp_ns, table[..., :2], table[..., 2], scores)
