from dataclasses import replace

import numpy as np
import pytest

from pavenet_core.data.dataset import Dataset, Neighbours
from pavenet_core.evaluation.accuracy import check_labels, is_posetrack, measure
from pavenet_core.poses import Poses
from pavenet_core.postprocess_config import AUTHORS_POSTPROCESS, PAPER_POSTPROCESS
from pavenet_core.skeleton import COCO17, POSETRACK15, Skeleton

pytest.importorskip('pycocotools')

CAUSAL = Neighbours(3, lookahead=0)


def with_heads(dataset: Dataset) -> Dataset:
    frames = [
        replace(
            frame,
            labels=replace(
                frame.labels,
                keypoints=frame.labels.keypoints[:, :15],
                head_boxes=np.array([[0, 0, 6, 8]], np.float32),
            ),
        )
        for frame in dataset.frames
    ]
    return replace(dataset, skeleton=POSETRACK15, frames=tuple(frames))


def test_the_labels_decide_what_is_measured(write_clip) -> None:
    faces = write_clip([50], [0])
    heads = with_heads(faces)
    for dataset in (faces, heads):
        points = dataset.frames[0].labels.keypoints[..., :2]
        here = Poses(0, points, np.ones(points.shape[:2], np.float32), np.ones(1, np.float32))
        accuracy = measure(dataset, [here], PAPER_POSTPROCESS)
        numbers = accuracy.to_json()
        assert numbers['AP'] == pytest.approx(1)
        assert numbers['missed'] == 0
        assert ('posetrack' in numbers) == is_posetrack(dataset) == (dataset is heads)
        assert set(accuracy.joints) == set(dataset.skeleton.names)
    assert numbers['posetrack']['Total'] == 100


def test_joints_rank_by_their_persons_score_too_and_only_once(write_clip) -> None:
    heads = with_heads(write_clip([50], [0]))
    points = heads.frames[0].labels.keypoints[..., :2]
    both = np.concatenate([points, points + 500]).astype(np.float32)
    sure = np.array([[0.5] * 15, [0.9] * 15], np.float32)
    poses = [Poses(0, both, sure, np.array([0.9, 0.1], np.float32))]
    assert measure(heads, poses, PAPER_POSTPROCESS).posetrack['Total'] == 100
    assert measure(heads, poses, AUTHORS_POSTPROCESS).posetrack['Total'] == 50


def test_labels_that_do_not_fit_are_refused_before_the_work(write_clip) -> None:
    dataset = write_clip([50, 60], [0])
    check_labels(dataset, COCO17, CAUSAL)
    with pytest.raises(
        ValueError, match=r'labels the 17 keypoints .* 15 of posetrack15.*; give the --model that'
    ):
        check_labels(dataset, POSETRACK15, CAUSAL)
    backwards = Skeleton.of_names('backwards', COCO17.names[::-1])
    with pytest.raises(ValueError, match='the same in another order'):
        check_labels(dataset, backwards, CAUSAL)
    with pytest.raises(ValueError, match='clip labels nobody in 0 pictures'):
        check_labels(replace(dataset, frames=()), COCO17, CAUSAL)
    timed = replace(CAUSAL, interval_ns=40_000_000)
    with pytest.raises(ValueError, match='clip clip has no capture times'):
        check_labels(dataset, COCO17, timed)
    clip = replace(dataset.frames[0].clip, stamps_ns=(0, 40_000_000))
    frames = (replace(dataset.frames[0], clip=clip),)
    check_labels(replace(dataset, frames=frames), COCO17, timed)
    headless = with_heads(dataset)
    labels = headless.frames[0].labels
    two = replace(
        headless.frames[0], labels=replace(labels, head_boxes=labels.head_boxes * np.nan)
    )
    with pytest.raises(ValueError, match='needs a head box for every person'):
        check_labels(replace(headless, frames=(*headless.frames, two)), POSETRACK15, CAUSAL)
