from dataclasses import replace

import numpy as np
import pytest

from pavenet_core.data.dataset import Dataset, Neighbours
from pavenet_core.skeleton import COCO17
from pavenet_core.train.canvas import CANVAS_COLORS, CanvasMaker
from pavenet_core.train.sample import Sample


@pytest.fixture
def maker(dotted: Dataset) -> CanvasMaker:
    colors = replace(CANVAS_COLORS, distortion_share=0)
    return CanvasMaker(dotted, Neighbours(3), colors, blur_share=0)


def canvases(maker: CanvasMaker, count: int) -> list[Sample]:
    return [maker.make(240, 320, np.random.default_rng(seed)) for seed in range(count)]


def test_labels_lie_on_what_they_name(
    maker: CanvasMaker, keypoint_colours: list[tuple[int, int, int]]
) -> None:
    right = {False: 0, True: 0}
    for canvas in canvases(maker, 30):
        for person in canvas.persons:
            found = [
                canvas.images[1][int(y), int(x)].astype(int) for x, y, known in person if known
            ]
            indices = np.flatnonzero(person[:, 2])
            for mirrored in right:
                names = [COCO17.mirror[i] if mirrored else i for i in indices]
                errors = [
                    np.abs(colour - keypoint_colours[name]).max()
                    for colour, name in zip(found, names, strict=True)
                ]
                # Dots may be covered at a cell's rim; most must show their colour.
                right[mirrored] += np.mean(np.array(errors) < 60) > 0.8
    people = sum(len(c.persons) for c in canvases(maker, 30))
    assert right[False] + right[True] >= 0.95 * people
    assert min(right.values()) > 0.3 * people, 'about half of the pictures are mirrored'


def test_keypoints_stay_inside_and_areas_fit(maker: CanvasMaker) -> None:
    for canvas in canvases(maker, 20):
        known = canvas.persons[canvas.persons[..., 2] > 0]
        assert (known[:, :2] >= 0).all() and (known[:, :2] <= (320, 240)).all()
        assert (canvas.persons[..., 2].sum(1) >= 4).all()
        assert len(canvas.areas) == len(canvas.persons) and (canvas.areas > 0).all()
        for person, area in zip(canvas.persons, canvas.areas, strict=True):
            if person[:, 2].all():
                source = maker.dataset.frames[0].labels.keypoints[0]  # the others are alike
                zoom = person[:, :2].var(0).sum() / source[:, :2].var(0).sum()
                assert area == pytest.approx(20000 * zoom, rel=0.15)


def test_unlabelled_people_are_ignored_where_they_went(maker: CanvasMaker) -> None:
    counts = []
    for canvas in canvases(maker, 20):
        boxes = canvas.ignore_boxes
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        assert (boxes >= 0).all() and (boxes <= [320, 240, 320, 240]).all()
        counts.append(len(boxes))
    assert max(counts) > 1


def test_same_seed_same_canvas(maker: CanvasMaker) -> None:
    first, again = (maker.make(240, 320, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_colours_change_alike_in_all_frames(dotted: Dataset) -> None:
    videos = replace(dotted, frames=dotted.frames[::2])
    changed = CanvasMaker(videos, Neighbours(3), blur_share=0)
    plain = CanvasMaker(
        videos, Neighbours(3), replace(CANVAS_COLORS, distortion_share=0), blur_share=0
    )
    for one, other in zip(canvases(changed, 5), canvases(plain, 5), strict=True):
        assert (one.images == one.images[1]).all()
        assert np.array_equal(one.persons, other.persons)
    assert not np.array_equal(one.images, other.images)


def test_a_still_moves_but_its_key_frame_is_the_labelled_one(
    maker: CanvasMaker, dotted: Dataset
) -> None:
    stills = replace(
        maker,
        dataset=replace(dotted, frames=dotted.frames[1::2]),
        colors=replace(maker.colors, still_turn=(3, 3)),
    )
    canvas = stills.make(240, 320, np.random.default_rng(2))
    before, key, after = canvas.images.astype(int)
    assert np.abs(before - key).mean() > 1 and np.abs(after - key).mean() > 1
