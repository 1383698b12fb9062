import json
from pathlib import Path

import numpy as np
import pytest

from pavenet_core.metrics import oks_ap
from pavenet_core.metrics.oks import coco_results, coco_truth
from pavenet_core.skeleton import COCO17

pytest.importorskip('pycocotools')

PERSON = np.random.default_rng(0).uniform(50, 250, (17, 2)).round()
MARKED = np.column_stack([PERSON, np.ones(17)])[None]
NOBODY = np.zeros((0, 17, 2))


def random_case(rng, label, collect, answer):
    """Make frames with crowds and box-only people, and answers right, off and invented."""
    frames, answers = [], []
    for _ in range(8):
        people = rng.uniform(50, 250, (rng.integers(0, 5), 17, 2)).round()
        marked = (rng.random(people.shape[:2]) < 0.7).astype(float)
        marked[rng.random(len(people)) < 0.2] = 0
        crowds = np.flatnonzero(rng.random(len(people)) < 0.2)
        area = rng.uniform(20, 200) ** 2
        frames.append(label(np.dstack([people, marked]), area=area, crowds=crowds))
        off = rng.choice([2, 10, 30], (len(people), 1, 1)) * rng.normal(size=people.shape)
        invented = rng.uniform(0, 300, (rng.integers(0, 25), 17, 2))
        found = np.concatenate([people + off, invented])
        answers.append(answer(found, np.sort(rng.random(len(found)))[::-1]))
    return collect(COCO17, frames), answers


def test_perfect_answers_score_one(label, collect, answer) -> None:
    labelled = collect(COCO17, [label(MARKED), label(MARKED + np.array([20, 20, 0]))])
    accuracy = oks_ap(labelled, [answer(PERSON[None], [0.9]), answer(PERSON[None] + 20, [0.9])])
    assert [accuracy[name] for name in ('AP', 'AR', 'AP_large')] == pytest.approx([1] * 3)
    assert accuracy['AP_medium'] is None


def test_a_miss_halves_the_recall_and_an_offset_fails_the_strict_thresholds(
    label, collect, answer
) -> None:
    labelled = collect(COCO17, [label(MARKED), label(MARKED)])
    nobody, exact, off = (answer(NOBODY, []), *(answer(PERSON[None] + d, [0.9]) for d in (0, 10)))
    assert oks_ap(labelled, [exact, nobody])['AR'] == 0.5
    accuracy = oks_ap(labelled, [off, off])
    assert accuracy['AP50'] == pytest.approx(1)
    assert 0 < accuracy['AP'] < 1
    assert oks_ap(labelled, [nobody, nobody])['AP'] == 0


def test_who_is_found_in_a_crowd_or_a_box_without_joints_is_no_mistake(
    label, collect, answer
) -> None:
    unmarked = np.concatenate([MARKED, np.zeros((1, 17, 3))])
    answers = [answer(np.stack([PERSON[::-1], PERSON]), [0.95, 0.9])]  # the first in the box only
    assert oks_ap(collect(COCO17, [label(MARKED)]), answers)['AP'] == pytest.approx(0.5)
    for crowds in ((), (1,)):
        labelled = collect(COCO17, [label(unmarked, crowds=crowds)])
        assert oks_ap(labelled, answers)['AP'] == pytest.approx(1)


@pytest.mark.parametrize('seed', range(5))
def test_another_implementation_finds_the_same(seed, label, collect, answer) -> None:
    other = pytest.importorskip('faster_coco_eval')
    labelled, answers = random_case(np.random.default_rng(seed), label, collect, answer)
    truth = other.COCO(coco_truth(labelled))
    found = truth.loadRes(coco_results(answers, len(answers)))
    evaluation = other.COCOeval_faster(
        truth, found, 'keypoints', kpt_oks_sigmas=np.array(COCO17.sigmas), print_function=str
    )
    evaluation.params.maxDets = [20]
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    ours = [-1 if value is None else value for value in oks_ap(labelled, answers).values()]
    assert ours == pytest.approx(list(evaluation.stats[:10]), abs=1e-12)
    assert 0 < ours[0] < 1


def test_the_labels_survive_the_way_to_cocos_form(label, collect, tmp_path: Path) -> None:
    truth = coco_truth(collect(COCO17, [label(MARKED, crowds=[0])]))
    person = json.loads(json.dumps(truth))['annotations'][0]
    assert person['bbox'] == [50, 50, 200, 200]
    assert (person['num_keypoints'], person['iscrowd'], person['area']) == (17, 1, 22500)


def test_an_answer_for_every_frame_is_needed(label, collect, answer) -> None:
    with pytest.raises(ValueError, match='0 frames were answered, but 1 are labelled'):
        oks_ap(collect(COCO17, [label(MARKED)]), [])
