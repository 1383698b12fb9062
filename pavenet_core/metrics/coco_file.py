"""How good the poses are: COCO's keypoint AP."""

import contextlib
import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

PERSON = 1  # COCO's category
MAX_PEOPLE = 20  # that COCO's protocol looks at in one image
# The order of pycocotools' numbers for keypoints.
NAMES = (
    *('AP', 'AP50', 'AP75', 'AP_medium', 'AP_large'),
    *('AR', 'AR50', 'AR75', 'AR_medium', 'AR_large'),
)
NEEDED = ('image_id', 'category_id', 'keypoints', 'num_keypoints', 'area', 'bbox', 'iscrowd')


def rank_people(poses: Poses) -> NDArray[np.float32]:
    """Return the score that people are ranked by; weighting by the keypoints' lost accuracy."""
    return poses.scores


def coco_results(image_id: int, poses: Poses) -> list[dict[str, Any]]:
    """Return one image's people in COCO's result format."""
    keypoints = np.dstack([poses.keypoints_px, poses.keypoint_scores])
    return [
        {
            'image_id': image_id,
            'category_id': PERSON,
            'keypoints': person.ravel().tolist(),
            'score': float(score),
        }
        for person, score in zip(keypoints, rank_people(poses), strict=True)
    ]


def load_annotations(path: Path, skeleton: Skeleton) -> dict[str, Any]:
    """Read a COCO keypoint file; `ValueError` if it is none, or is of another skeleton."""
    try:
        truth = json.loads(path.read_text(encoding='utf-8'))
        people = [[person[name] for name in NEEDED] for person in truth['annotations']]
        images = [(image['id'], image['file_name']) for image in truth['images']]
        lengths = {len(keypoints) for _, _, keypoints, *_ in people if truth['categories']}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f'{path} is not a COCO keypoint file: {error!r}') from error
    if not images or not lengths:
        raise ValueError(f'{path} labels {len(people)} people in {len(images)} images')
    if lengths != {3 * len(skeleton)}:
        raise ValueError(
            f'{path} has people of {[n // 3 for n in sorted(lengths)]} keypoints, but the model '
            f'gives the {len(skeleton)} of {skeleton.name}'
        )
    return dict(truth)


def keypoint_ap(
    truth: Mapping[str, Any], results: Iterable[dict[str, Any]], skeleton: Skeleton
) -> dict[str, float | None]:
    """
    Return AP and AR over OKS 0.50 to 0.95, and their parts, by pycocotools.

    A value is None where nobody is labelled, such as no large person.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools reports every step
        labelled, found = COCO(), COCO()
        labelled.dataset = dict(truth)
        labelled.createIndex()
        results = list(results)
        if results:
            found = labelled.loadRes(results)
        evaluation = COCOeval(labelled, found, 'keypoints')
        evaluation.params.kpt_oks_sigmas = np.array(skeleton.sigmas)
        evaluation.params.maxDets = [MAX_PEOPLE]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = [float(value) for value in evaluation.stats]
    return {name: None if value < 0 else value for name, value in zip(NAMES, values, strict=True)}
