"""Which of the labelled people and frames training learns from."""

from dataclasses import replace

import numpy as np

from pavenet_core.data.dataset import Dataset, LabelledFrame, Labels


def for_training(dataset: Dataset) -> Dataset:
    """
    Leave out what the authors' readers leave out.

    People go whose box is under a pixel wide or high or nowhere in the picture, and people without
    area. Frames go in which nobody has a marked keypoint. People without one, and crowds, stay in
    the others: finding somebody there is no mistake.
    """
    frames = []
    for frame in dataset.frames:
        labels = _usable(frame)
        marked = (labels.keypoints[..., 2] > 0).any(1) & ~labels.crowds
        if marked.any():
            frames.append(replace(frame, labels=labels))
    if not frames:
        raise ValueError(
            f'none of the {len(dataset.frames)} frames of {dataset.name} has a person with marked '
            'keypoints, so nothing can be learned from it'
        )
    return replace(dataset, frames=tuple(frames))


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
