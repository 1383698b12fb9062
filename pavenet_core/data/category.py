"""Which keypoints a COCO file labels: from its category to a skeleton."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pavenet_core.skeleton import (
    POSETRACK15,
    POSETRACK_SLOT_NAMES,
    POSETRACK_SLOTS,
    SKELETONS,
    Skeleton,
)


@dataclass(frozen=True)
class Category:
    """
    The one kind of being whose keypoints a file labels.

    slots      which of a person's places in the file are the skeleton's keypoints
    num_slots  how many places there are
    posetrack  PoseTrack's own 17 places, in which a keypoint is marked if it has a place at all,
               as its evaluation counts; else the mark decides, as COCO has it
    """

    id: int
    skeleton: Skeleton
    slots: tuple[int, ...]
    num_slots: int
    posetrack: bool = False


def read_category(categories: Sequence[Mapping[str, Any]]) -> Category:
    """Read the category that names keypoints; `ValueError` if it isn't one."""
    labelled = [category for category in categories if category.get('keypoints')]
    if len(labelled) != 1:
        found = ', '.join(str(category.get('name')) for category in categories) or 'none'
        raise ValueError(
            f'{len(labelled)} categories name "keypoints" where one should (there are: {found}); '
            'write for example {"id": 1, "name": "person", "keypoints": ["nose", ...]}'
        )
    category = labelled[0]
    names = tuple(str(name) for name in category['keypoints'])
    if names == POSETRACK_SLOT_NAMES:
        return Category(category['id'], POSETRACK15, POSETRACK_SLOTS, len(names), posetrack=True)
    return Category(
        category['id'], _skeleton(category, names), tuple(range(len(names))), len(names)
    )


def _skeleton(category: Mapping[str, Any], names: tuple[str, ...]) -> Skeleton:
    sigmas = category.get('sigmas')
    for known in SKELETONS.values():
        if names == known.names and sigmas in (None, list(known.sigmas)):
            return known
    edges = [(int(a) - 1, int(b) - 1) for a, b in category.get('skeleton') or ()]
    if any(not 0 <= end < len(names) for edge in edges for end in edge):
        raise ValueError(
            f'"skeleton" of category {category.get("name")} joins keypoints outside 1 to '
            f'{len(names)}; it counts from 1, as in COCO'
        )
    name = f'{category.get("name", "own")}{len(names)}'
    return Skeleton.of_names(name, names, edges, sigmas)
