"""COCO's keypoint AP and AR, by object keypoint similarity (OKS)."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from pavenet_core.data.dataset import Dataset, Labels
from pavenet_core.poses import Poses

PERSON = 1  # COCO's category
MAX_PEOPLE = 20  # that COCO's protocol looks at in one image
# The order of pycocotools' numbers for keypoints.
NAMES = (
    *('AP', 'AP50', 'AP75', 'AP_medium', 'AP_large'),
    *('AR', 'AR50', 'AR75', 'AR_medium', 'AR_large'),
)


def oks_ap(dataset: Dataset, poses: Sequence[Poses]) -> dict[str, float | None]:
    """
    Return AP and AR over OKS 0.50 to 0.95, and their parts, in [0, 1], by pycocotools.

    poses[i] are the people found in dataset.frames[i]. A value is None where nobody is labelled,
    such as no large person.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports every step
        labelled, found = COCO(), COCO()
        labelled.dataset = coco_truth(dataset)
        labelled.createIndex()
        results = coco_results(poses, len(dataset.frames))
        if results:
            found = labelled.loadRes(results)
        evaluation = COCOeval(labelled, found, 'keypoints')
        evaluation.params.kpt_oks_sigmas = np.array(dataset.skeleton.sigmas)
        evaluation.params.maxDets = [MAX_PEOPLE]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = [float(value) for value in evaluation.stats]
    return {name: None if value < 0 else value for name, value in zip(NAMES, values, strict=True)}


def coco_truth(dataset: Dataset) -> dict[str, Any]:
    """Return the labels in COCO's form; a frame's number is its place in the dataset."""
    people = [
        person
        for image, frame in enumerate(dataset.frames)
        for person in _coco_people(image, frame.labels)
    ]
    return {
        'images': [{'id': image} for image in range(len(dataset.frames))],
        'categories': [{'id': PERSON, 'name': 'person'}],
        'annotations': [{'id': number, **person} for number, person in enumerate(people, 1)],
    }


def coco_results(poses: Sequence[Poses], num_frames: int) -> list[dict[str, Any]]:
    """Return the people found in COCO's result form; `ValueError` if a frame has no answer."""
    if len(poses) != num_frames:
        raise ValueError(f'{len(poses)} frames were answered, but {num_frames} are labelled')
    return [
        {
            'image_id': image,
            'category_id': PERSON,
            'keypoints': person.ravel().tolist(),
            'score': float(score),
        }
        for image, people in enumerate(poses)
        for person, score in zip(
            np.dstack([people.keypoints_px, people.keypoint_scores]), people.scores, strict=True
        )
    ]


def _coco_people(image: int, labels: Labels) -> list[dict[str, Any]]:
    boxes = labels.boxes.astype(float)
    boxes[:, 2:] -= boxes[:, :2]
    people = zip(labels.keypoints, labels.areas, boxes, labels.crowds, strict=True)
    return [
        {
            'image_id': image,
            'category_id': PERSON,
            'keypoints': keypoints.ravel().tolist(),
            'num_keypoints': int((keypoints[:, 2] > 0).sum()),
            'area': float(area),
            'bbox': box.tolist(),
            'iscrowd': int(crowd),
        }
        for keypoints, area, box, crowd in people
    ]
