from dataclasses import replace

import numpy as np
import pytest

from pavenet_core.data.dataset import Dataset, LabelledFrame, Neighbours
from pavenet_core.skeleton import COCO17, Skeleton
from pavenet_core.train import canvas as canvas_module
from pavenet_core.train.canvas import CANVAS_COLORS, LAYOUT_SHARES, LAYOUTS, CanvasMaker, split
from pavenet_core.train.sample import Sample
from pavenet_core.train.window import read_window

# Key frames are as their neighbours, and colours as they were.
UNSPOILT = replace(CANVAS_COLORS, blur_share=0, cut_out_share=0, noise_share=0, exposure_share=0)
PLAIN = replace(UNSPOILT, distortion_share=0)


@pytest.fixture
def maker(dotted: Dataset) -> CanvasMaker:
    return CanvasMaker(dotted, Neighbours(3), PLAIN, blur_share=0)


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
    changed = CanvasMaker(videos, Neighbours(3), UNSPOILT, blur_share=0)
    plain = CanvasMaker(videos, Neighbours(3), PLAIN, blur_share=0)
    differ = []
    for one, other in zip(canvases(changed, 5), canvases(plain, 5), strict=True):
        assert (one.images == one.images[1]).all()
        assert np.array_equal(one.persons, other.persons)
        differ.append(not np.array_equal(one.images, other.images))
    assert sum(differ) >= 3, 'each of four changes comes in half of the canvases'


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


def test_the_key_frame_alone_is_spoilt(dotted: Dataset) -> None:
    videos = replace(dotted, frames=dotted.frames[::2])
    shares = {'blur_share': 0.3, 'cut_out_share': 0.25, 'noise_share': 0.15}
    shares |= {'exposure_share': 0.2}
    for name, share in shares.items():
        assert getattr(CANVAS_COLORS, name) == share
        spoilt = CanvasMaker(videos, Neighbours(3), replace(PLAIN, **{name: 1}), blur_share=0)
        for canvas in canvases(spoilt, 3):
            before, key, after = canvas.images
            assert (before == after).all()
            assert not np.array_equal(before, key) or not len(canvas.persons)


def test_neighbours_lie_further_apart_or_are_the_key_frame_at_times(
    dotted: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Neighbours] = []

    def note(frame: LabelledFrame, neighbours: Neighbours) -> list[np.ndarray]:
        asked.append(neighbours)
        return read_window(frame, neighbours)

    monkeypatch.setattr(canvas_module, 'read_window', note)
    videos = replace(dotted, frames=dotted.frames[::2])
    canvases(CanvasMaker(videos, Neighbours(3)), 12)
    assert len(set(asked)) > 2 and Neighbours(3) in asked


def test_layouts_are_drawn_as_often_as_they_should_be() -> None:
    assert len(LAYOUTS) == len(LAYOUT_SHARES) and sum(LAYOUT_SHARES) == pytest.approx(1)
    for rows, columns in LAYOUTS:
        cells = split(384, 512, rows, columns, np.random.default_rng(0))
        assert len(cells) == rows * columns
        covered = np.zeros((384, 512), int)
        for x, y, width, height in cells:
            covered[y : y + height, x : x + width] += 1
        assert (covered == 1).all()


def test_people_of_few_keypoints_are_somebody(maker: CanvasMaker) -> None:
    frames = tuple(
        replace(f, labels=replace(f.labels, keypoints=f.labels.keypoints[:, :3]))
        for f in maker.dataset.frames
    )
    head = Skeleton.of_names('head', ('nose', 'left_eye', 'right_eye'))
    few = replace(maker, dataset=Dataset('few', head, frames))
    assert any(len(canvas.persons) for canvas in canvases(few, 5))
