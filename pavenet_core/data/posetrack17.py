"""PoseTrack17's own JSON, one file a sequence, as poseval's mat2json makes it."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.clips import place_sequence
from pavenet_core.data.dataset import LabelledFrame
from pavenet_core.data.naming import naming
from pavenet_core.data.people import Person, to_labels
from pavenet_core.data.pictures import Pictures, split_number
from pavenet_core.skeleton import POSETRACK15

Entry = Mapping[str, Any]

# The keypoints by their number in the files.
POINTS = (
    *('right_ankle', 'right_knee', 'right_hip', 'left_hip', 'left_knee', 'left_ankle'),
    *('right_wrist', 'right_elbow', 'right_shoulder', 'left_shoulder', 'left_elbow', 'left_wrist'),
    *('head_bottom', 'nose', 'head_top'),
)
INDEX = tuple(POSETRACK15.names.index(name) for name in POINTS)
FRAMES_OF_A_SEQUENCE = 10_000  # fewer than this


def read_posetrack17(
    data: Mapping[str, Any], pictures: Pictures, sequence: str, number: int
) -> list[LabelledFrame]:
    """
    Return the labelled frames of one sequence.

    number  of the sequence in its dataset; as frames have no numbers of their own, the image ids
            are made of it and of the files' numbers

    Raise `ValueError` for an entry that is not of this form, or has no picture.
    """
    entries: list[tuple[str, Entry]] = []
    for index, entry in enumerate(data['annolist'], 1):
        with naming('annolist entry', index):
            entries.append((str(scalar(entry['image'])['name']), entry))
    labelled = [name for name, entry in entries if is_labelled(entry)]
    if not labelled:
        return []
    folders = {PurePosixPath(name).parent for name, _ in entries}
    if len(folders) > 1:
        raise ValueError(f'it lists pictures of {len(folders)} folders, one sequence expected')
    places = place_sequence(pictures, sequence, [name for name, _ in entries], labelled)
    frames = []
    for index, (name, entry) in enumerate(entries, 1):
        if name not in labelled:
            continue
        with naming('annolist entry', index):
            people = [_person(rect) for rect in as_list(entry.get('annorect'))]
            regions = [_polygon(region) for region in as_list(entry.get('ignore_regions'))]
        labels = to_labels(people, len(POSETRACK15), [r for r in regions if len(r) >= 3])
        image_id = number * FRAMES_OF_A_SEQUENCE + split_number(name)[1]
        frames.append(LabelledFrame(*places[name], image_id, labels))
    return frames


def is_labelled(entry: Entry) -> bool:
    """Say whether a frame's people are known."""
    if 'is_labeled' in entry:
        return bool(scalar(entry['is_labeled']))
    return bool(as_list(entry.get('annorect')))


def _person(rect: Entry) -> Person:
    keypoints = np.zeros((len(POSETRACK15), 3), np.float32)
    for points in as_list(rect.get('annopoints')):
        for point in as_list(points.get('point')):
            # Occluded ones (`is_visible` 0) have a place and count, as in the evaluation.
            place = scalar(point['x']), scalar(point['y']), 1
            number = int(scalar(point['id']))
            if not 0 <= number < len(POINTS):
                raise ValueError(f'a point has number {number}, 0 to {len(POINTS) - 1} expected')
            keypoints[INDEX[number]] = place
    head_box = None
    if 'x1' in rect:
        x0, y0, x1, y1 = (float(scalar(rect[side])) for side in ('x1', 'y1', 'x2', 'y2'))
        head_box = min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)
    track_id = int(scalar(rect['track_id'])) if 'track_id' in rect else -1
    return Person(keypoints, head_box=head_box, track_id=track_id)


def _polygon(region: Entry) -> NDArray[np.float32]:
    corners = [(scalar(point['x']), scalar(point['y'])) for point in as_list(region.get('point'))]
    return np.array(corners, np.float32).reshape(-1, 2)


def scalar(value: Any) -> Any:
    """Take MATLAB's number out of the list of one that it became."""
    return value[0] if isinstance(value, list) else value


def as_list(value: Any) -> list[Any]:
    """Return MATLAB's array of any length as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
