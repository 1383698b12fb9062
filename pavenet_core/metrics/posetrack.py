"""PoseTrack's AP: how well each kind of joint is found, as the official `poseval` counts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.dataset import Dataset, Labels
from pavenet_core.metrics.polygon import inside
from pavenet_core.metrics.precision_recall import RankedAnswers, rank_joints
from pavenet_core.poses import Poses
from pavenet_core.skeleton import POSETRACK15

HEAD_SHARE = 0.6  # of the head box's diagonal is the head's size
REACH = 0.5  # head sizes that a joint may be off
# poseval's columns.
GROUPS: Mapping[str, tuple[str, ...]] = {
    'Head': ('head_top', 'head_bottom', 'nose'),
    'Shou': ('right_shoulder', 'left_shoulder'),
    'Elb': ('right_elbow', 'left_elbow'),
    'Wri': ('right_wrist', 'left_wrist'),
    'Hip': ('right_hip', 'left_hip'),
    'Knee': ('right_knee', 'left_knee'),
    'Ankl': ('right_ankle', 'left_ankle'),
}
JOINTS = tuple(joint for joints in GROUPS.values() for joint in joints)
TOTAL = 'Total'

Right = NDArray[np.bool_]


def posetrack_ap(dataset: Dataset, poses: Sequence[Poses]) -> dict[str, float | None]:
    """
    Return the AP in percent of each joint, of poseval's groups of joints, and in total.

    poses[i] are the people found in dataset.frames[i], whose joints rank by their own scores (see
    `times_person`). A joint's AP is None where it was found but nobody has it labelled; so is a
    group's with such a joint, while the total leaves it out. `ValueError` for labels without head
    boxes or of other joints.
    """
    shares = {
        joint: answers.average_precision()
        for joint, answers in posetrack_answers(dataset, poses).items()
    }
    percent = {joint: None if ap is None else 100 * ap for joint, ap in shares.items()}
    groups = {name: _mean([percent[joint] for joint in GROUPS[name]]) for name in GROUPS}
    total = _mean([percent[joint] for joint in JOINTS if percent[joint] is not None])
    return {**percent, **groups, TOTAL: total}


def times_person(poses: Poses) -> Poses:
    """Multiply joints' scores by their person's, as the authors rank them for PoseTrack."""
    return replace(poses, keypoint_scores=poses.keypoint_scores * poses.scores[:, None])


def posetrack_answers(dataset: Dataset, poses: Sequence[Poses]) -> dict[str, RankedAnswers]:
    """
    Return what was found of each joint, by name, with what is right.

    Frames where nobody is labelled do not count at all. A joint is right if it is of a person
    that was assigned to a labelled one (`assign`) and within reach of that one's joint. All other
    joints are wrong, also those that the labelled person has not marked. Raise `ValueError` for
    labels that `check_posetrack` refuses, or if there are not as many answers as frames.
    """
    check_posetrack(dataset)
    if len(poses) != len(dataset.frames):
        raise ValueError(
            f'{len(poses)} frames were answered, but {len(dataset.frames)} are labelled'
        )
    order = [dataset.skeleton.names.index(joint) for joint in JOINTS]
    scores, right, labelled = [], [], np.zeros(len(JOINTS), int)
    for frame, people in zip(dataset.frames, poses, strict=True):
        if not len(frame.labels.keypoints):
            continue
        marked = frame.labels.keypoints[..., 2] > 0
        marked &= outside_ignored(frame.labels, frame.labels.keypoints[..., :2])
        counts = outside_ignored(frame.labels, people.keypoints_px)
        near = _within_reach(frame.labels, marked, people, counts)
        hits = right_joints(near, assign(near, marked))
        scores.append(np.where(counts, people.keypoint_scores.astype(float), np.nan)[:, order])
        right.append(hits[:, order])
        labelled += marked.sum(0)[order]
    return rank_joints(JOINTS, scores, right, labelled)


def assign(near: Right, marked: Right) -> NDArray[np.intp]:
    """
    Give each found person to a labelled one; return whom, (N,), -1 for nobody.

    A found person is given to the labelled person of whose joints it has the greatest share; a
    labelled person takes the best of those given to it.

    near    (N, G, K)  found joint within reach of the labelled joint
    marked  (G, K)
    """
    people, labelled, _ = near.shape
    if not people or not labelled:
        return np.full(people, -1)
    shares = near.sum(2) / np.maximum(marked.sum(1), 1)
    target = shares.argmax(1)
    given = np.where(np.arange(labelled) == target[:, None], shares, 0)
    everyone = np.arange(people)
    wins = (given.argmax(0)[target] == everyone) & (given[everyone, target] > 0)
    return np.where(wins, target, -1)


def right_joints(near: Right, target: NDArray[np.intp]) -> Right:
    """Return which joints, (N, K), are within reach of those of the labelled person given."""
    right = np.zeros((near.shape[0], near.shape[2]), bool)
    given = np.flatnonzero(target >= 0)
    right[given] = near[given, target[given]]
    return right


def outside_ignored(labels: Labels, points: NDArray[np.float32]) -> Right:
    """Say which points, (..., 2), lie in none of the frame's ignored regions."""
    outside = np.ones(points.shape[:-1], bool)
    for region in labels.ignore_regions:
        outside &= ~inside(points, region)
    return outside


def check_posetrack(dataset: Dataset) -> None:
    """Refuse, in one sentence, labels that PoseTrack's AP cannot be had from."""
    if set(dataset.skeleton.names) != set(POSETRACK15.names):
        raise ValueError(
            f'PoseTrack AP needs the joints of {POSETRACK15.name}, but {dataset.name} has '
            f'{dataset.skeleton.name}'
        )
    for frame in dataset.frames:
        marked = (frame.labels.keypoints[..., 2] > 0).any(1)
        if np.isnan(frame.labels.head_boxes[marked]).any():
            raise ValueError(
                f'PoseTrack AP needs a head box for every person, but image {frame.image_id} of '
                f'{dataset.name} has people without; add them, or take the OKS AP'
            )


def _within_reach(labels: Labels, marked: Right, people: Poses, counts: Right) -> Right:
    x0, y0, x1, y1 = labels.head_boxes.astype(float).T
    head_size = HEAD_SHARE * np.sqrt((x1 - x0) ** 2 + (y1 - y0) ** 2)
    offsets = people.keypoints_px[:, None].astype(float) - labels.keypoints[..., :2]
    with np.errstate(divide='ignore', invalid='ignore'):  # nothing is near a head of no size
        near = np.sqrt(np.square(offsets).sum(-1)) / head_size[:, None] <= REACH
    return np.asarray(near & marked & counts[:, None], bool)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None
