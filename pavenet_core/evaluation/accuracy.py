"""The numbers of one evaluation, and the labels they need."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pavenet_core.data.dataset import Dataset, Neighbours
from pavenet_core.metrics import oks_ap, posetrack_ap
from pavenet_core.metrics.people import joint_answers, match_dataset, missed_rate
from pavenet_core.metrics.posetrack import check_posetrack, posetrack_answers, times_person
from pavenet_core.metrics.precision_recall import RankedAnswers
from pavenet_core.poses import Poses
from pavenet_core.postprocess_config import PostprocessConfig
from pavenet_core.skeleton import POSETRACK15, Skeleton


@dataclass(frozen=True)
class Accuracy:
    """
    How good the answers are.

    oks        COCO's numbers by name, in [0, 1]
    posetrack  PoseTrack's AP by joint and group, in percent; None for labels of another kind
    missed     share of the labelled people not found at the usual score
    joints     by name, what was found of it: by PoseTrack's rules if there are its AP, else by
               the joint's part of the OKS
    """

    oks: dict[str, float | None]
    posetrack: dict[str, float | None] | None
    missed: float | None
    joints: dict[str, RankedAnswers]

    def to_json(self) -> dict[str, Any]:
        """Return COCO's numbers at the top, the others beside."""
        beside = {} if self.posetrack is None else {'posetrack': self.posetrack}
        return {**self.oks, 'missed': self.missed, **beside}


def measure(dataset: Dataset, poses: Sequence[Poses], rules: PostprocessConfig) -> Accuracy:
    """Return the numbers that the labels allow; the rules are those the answers were made by."""
    ranked = [people if rules.times_person_score else times_person(people) for people in poses]
    heads = is_posetrack(dataset)
    return Accuracy(
        oks_ap(dataset, poses),
        posetrack_ap(dataset, ranked) if heads else None,
        missed_rate(match_dataset(dataset, poses)),
        (posetrack_answers if heads else joint_answers)(dataset, ranked),
    )


def is_posetrack(dataset: Dataset) -> bool:
    """Say whether PoseTrack's AP can be had: its joints, and any head boxes."""
    heads = any(np.isfinite(frame.labels.head_boxes).any() for frame in dataset.frames)
    return heads and set(dataset.skeleton.names) == set(POSETRACK15.names)


def check_labels(dataset: Dataset, skeleton: Skeleton, neighbours: Neighbours) -> None:
    """Refuse, before the work, labels that don't fit the model or the question."""
    if dataset.skeleton.names != skeleton.names:
        raise ValueError(
            f'{dataset.name} labels the {len(dataset.skeleton)} keypoints of '
            f'{dataset.skeleton.name}, but the model gives the {len(skeleton)} of {skeleton.name}'
            f'{_difference(dataset.skeleton.names, skeleton.names)}'
        )
    if not any(len(frame.labels.keypoints) for frame in dataset.frames):
        raise ValueError(f'{dataset.name} labels nobody in {len(dataset.frames)} pictures')
    if is_posetrack(dataset):
        check_posetrack(dataset)
    if neighbours.interval_ns is None:
        return
    for frame in dataset.frames:
        if len(frame.clip.files) > 1 and frame.clip.stamps_ns is None:
            raise ValueError(
                f'clip {frame.clip.name} has no capture times to count --interval by; '
                'give --frame-step instead'
            )


def _difference(labelled: Sequence[str], given: Sequence[str]) -> str:
    """Say which keypoints one side lacks, or that the order differs, and what to do."""
    lacks = [name for name in given if name not in labelled]
    more = [name for name in labelled if name not in given]
    if not lacks and not more:
        return ': the same in another order; list them in the labels as the model does'
    parts = [
        f'{side} lack {", ".join(names[:3])}{", ..." if len(names) > 3 else ""}'
        for side, names in (('labels', lacks), ('answers', more))
        if names
    ]
    return f': {"; ".join(parts)}; give the --model that was trained on such labels'
