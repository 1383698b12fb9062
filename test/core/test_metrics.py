import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pavenet_core.metrics import coco_results, keypoint_ap, load_annotations
from pavenet_core.poses import Poses
from pavenet_core.skeleton import COCO17, POSETRACK15

pytest.importorskip('pycocotools')

PERSON = np.random.default_rng(0).uniform(50, 250, (17, 2)).round()


def truth(*people: np.ndarray) -> dict[str, Any]:
    """Label people, one per image, in COCO's form."""
    return {
        'images': [{'id': i, 'file_name': f'{i}.jpg'} for i in range(len(people))],
        'categories': [{'id': 1, 'name': 'person'}],
        'annotations': [
            {
                'id': i + 1,
                'image_id': i,
                'category_id': 1,
                'keypoints': np.column_stack([person, np.full(17, 2)]).ravel().tolist(),
                'num_keypoints': 17,
                'area': 150.0**2,
                'bbox': [50, 50, 200, 200],
                'iscrowd': 0,
            }
            for i, person in enumerate(people)
        ],
    }


def found(person: np.ndarray, score: float = 0.9) -> Poses:
    return Poses(
        0,
        person[None].astype(np.float32),
        np.full((1, 17), 0.8, np.float32),
        np.array([score], np.float32),
    )


def test_perfect_answers_score_one() -> None:
    labelled = truth(PERSON, PERSON + 20)
    results = coco_results(0, found(PERSON)) + coco_results(1, found(PERSON + 20))
    accuracy = keypoint_ap(labelled, results, COCO17)
    assert [accuracy[name] for name in ('AP', 'AR', 'AP_large')] == pytest.approx([1] * 3)
    assert accuracy['AP_medium'] is None


def test_a_miss_halves_the_recall_and_an_offset_fails_the_strict_thresholds() -> None:
    labelled = truth(PERSON, PERSON)
    assert keypoint_ap(labelled, coco_results(0, found(PERSON)), COCO17)['AR'] == 0.5
    shifted = coco_results(0, found(PERSON + 10)) + coco_results(1, found(PERSON + 10))
    accuracy = keypoint_ap(labelled, shifted, COCO17)
    assert accuracy['AP50'] == pytest.approx(1)
    assert 0 < (accuracy['AP'] or 0) < 1


def test_nobody_found_is_zero_not_an_error() -> None:
    nobody = found(PERSON).above(0.95)
    assert coco_results(0, nobody) == []
    assert keypoint_ap(truth(PERSON), [], COCO17)['AP'] == 0


def test_files_that_are_not_the_models_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'labels.json'
    with pytest.raises(ValueError, match=r'labels\.json is not a COCO keypoint file'):
        load_annotations(path, COCO17)
    for content in ('not json', '[]', '{}', '{"images": [], "annotations": [{}]}'):
        path.write_text(content)
        with pytest.raises(ValueError, match='is not a COCO keypoint file'):
            load_annotations(path, COCO17)
    path.write_text(json.dumps(truth()))
    with pytest.raises(ValueError, match='labels 0 people in 0 images'):
        load_annotations(path, COCO17)
    path.write_text(json.dumps(truth(PERSON)))
    assert len(load_annotations(path, COCO17)['images']) == 1
    with pytest.raises(ValueError, match=r'\[17\] keypoints, .* the 15 of posetrack15'):
        load_annotations(path, POSETRACK15)
