"""A network's weights for another set of keypoints, such as COCO's 17 for PoseTrack's 15."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from pavenet_core.config import ModelConfig
from pavenet_core.model.pyramid import CHANNELS
from pavenet_core.skeleton import Skeleton

# Whose weights start a keypoint that the network does not know by name. PoseTrack's files, and
# therefore its 17-place networks, have the head's ends in the places of COCO's eyes.
STAND_INS = {'head_bottom': 'left_eye', 'head_top': 'right_eye'}

# Every tensor with a part for each keypoint: its name, which axis has the parts, how many numbers
# of that axis a part has. What comes before the keypoints (frames, heads, levels) stays.
PARTS = (
    (r'query_selection\.keypoint_head\.6\.(weight|bias)', 0, 2),
    (r'query_selection\.sigma_head\.2\.(weight|bias)', 0, 2),
    (r'query_selection\.pose_logits', 1, 1),
    (r'query_selection\.(guess|offset)_head\.out\.(weight|bias)', 0, 2),
    (r'query_selection\.keypoint_head\.out\.(weight|bias)', 0, 1),
    (r'query_selection\.content\.weight', 1, 1),
    (r'pose_decoder\.keypoint_heads\.\d+\.\d+\.6\.(weight|bias)', 0, 2),
    (r'pose_decoder\.sigma_heads\.\d+\.2\.(weight|bias)', 0, 2),
    (r'pose_decoder\.layers\.\d+\.attention\.sampling_offsets\.(weight|bias)', 0, 2),
    (r'pose_decoder\.layers\.\d+\.attention\.attention_weights\.(weight|bias)', 0, 1),
    (r'pose_decoder\.pose_position\.0\.weight', 1, 2),
    (r'joint_decoder\.(content|query_pos)', 0, 1),
)
# Here keypoints are inputs, with others before and after them, so many: a new keypoint says
# nothing until training gives it a meaning.
INPUTS = {
    'query_selection.content.weight': (CHANNELS[0] + 1, 0),
    'pose_decoder.pose_position.0.weight': (0, 3),
}


def adapt_skeleton(
    state: Mapping[str, Tensor], config: ModelConfig, skeleton: Skeleton
) -> tuple[dict[str, Tensor], ModelConfig]:
    """
    Return a network's state and configuration with the keypoints of another skeleton.

    A keypoint takes the weights of the one of its name, or of its stand-in. Another starts from
    the mean over all known ones: it then moves and scales with the person from the first step,
    which a fresh head, whose keypoint stays at the token's centre, does not.
    """
    sources = keypoint_sources(config.skeleton, skeleton)
    adapted = {}
    for name, value in state.items():
        part = next((part for part in PARTS if re.fullmatch(part[0], name)), None)
        if part is None:
            adapted[name] = value
        else:
            _, axis, numbers = part
            before, after = INPUTS.get(name, (0, 0))
            sizes = (before, value.shape[axis] - before - after, after)
            first, middle, last = value.split(sizes, axis)
            parts = middle.unflatten(axis, (-1, len(config.skeleton), numbers))
            taken = _take(parts, axis + 1, sources, empty=name in INPUTS)
            adapted[name] = torch.cat([first, taken.flatten(axis, axis + 2), last], axis)
    return adapted, replace(config, skeleton=skeleton)


def keypoint_sources(known: Skeleton, wanted: Skeleton) -> list[int | None]:
    """
    Return for each wanted keypoint the index of the known one whose weights it takes, or None.

    Raise `ValueError` if the two have no keypoint of one name.
    """
    sources: list[int | None] = []
    for name in wanted.names:
        source = name if name in known.names else STAND_INS.get(name)
        sources.append(known.names.index(source) if source in known.names else None)
    if not any(name in known.names for name in wanted.names):
        raise ValueError(
            f'skeleton {wanted.name} has no keypoint of a name that {known.name} has, so the '
            "network's weights say nothing about it; train it from a fresh start"
        )
    return sources


def _take(parts: Tensor, axis: int, sources: Sequence[int | None], *, empty: bool) -> Tensor:
    """Choose parts along an axis; a part without a source is empty or the mean."""
    new = parts.mean(axis, keepdim=True)
    pool = torch.cat([parts, torch.zeros_like(new) if empty else new], axis)
    last = parts.shape[axis]
    index = torch.tensor([last if source is None else source for source in sources])
    return pool.index_select(axis, index.to(parts.device))
