"""Which of the labelled people and frames training learns from."""

import logging
from dataclasses import replace

import numpy as np

from pavenet_core.data.dataset import Dataset, LabelledFrame, Labels

log = logging.getLogger(__name__)

TOO_SMALL = 'boxes under a pixel wide or high or outside the picture, or areas of 0'


def for_training(dataset: Dataset) -> Dataset:
    """
    Leave out what the authors' readers leave out.

    People go whose box is under a pixel wide or high or nowhere in the picture, and people without
    area; the log says how many. Frames go in which nobody has a marked keypoint. People without
    one, and crowds, stay in the others: finding somebody there is no mistake. `ValueError` if no
    frame is left.
    """
    frames = []
    labelled = learnable = 0
    for frame in dataset.frames:
        labels = _usable(frame)
        labelled += _count_marked(frame.labels)
        learnable += _count_marked(labels)
        if _count_marked(labels):
            frames.append(replace(frame, labels=labels))
    if not frames:
        reason = f' but for {labelled} with {TOO_SMALL}' if labelled else ''
        raise ValueError(
            f'none of the {len(dataset.frames)} frames of {dataset.name} has a person with marked '
            f'keypoints{reason}, so nothing can be learned from it'
        )
    if learnable < labelled:
        left_out = labelled - learnable
        log.info(
            '%s: left out %d of %d people, for %s', dataset.name, left_out, labelled, TOO_SMALL
        )
    return replace(dataset, frames=tuple(frames))


def _count_marked(labels: Labels) -> int:
    """Return how many single people have a marked keypoint."""
    return int(((labels.keypoints[..., 2] > 0).any(1) & ~labels.crowds).sum())


def _usable(frame: LabelledFrame) -> Labels:
    labels = frame.labels
    x0, y0, x1, y1 = labels.boxes.T
    width, height = frame.size or (np.inf, np.inf)
    keep = (x1 - x0 >= 1) & (y1 - y0 >= 1) & (labels.areas > 0)
    keep &= (x1 > 0) & (y1 > 0) & (x0 < width) & (y0 < height)
    return replace(
        labels,
        keypoints=labels.keypoints[keep],
        areas=labels.areas[keep],
        boxes=labels.boxes[keep],
        head_boxes=labels.head_boxes[keep],
        track_ids=labels.track_ids[keep],
        crowds=labels.crowds[keep],
    )
