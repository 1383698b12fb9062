from pathlib import Path

import numpy as np
import pytest

from pavenet_core.skeleton import COCO17
from pavenet_core.train import canvas as canvas_module
from pavenet_core.train.canvas import CanvasMaker
from pavenet_core.train.sample import Sample
from pavenet_core.train.windows import read_windows


@pytest.fixture
def maker(windows_file: Path, monkeypatch: pytest.MonkeyPatch) -> CanvasMaker:
    monkeypatch.setattr(canvas_module, 'recolour', lambda images, rng: images)
    return CanvasMaker(read_windows(windows_file, 17), COCO17, num_frames=3)


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


def test_same_seed_same_canvas(maker: CanvasMaker) -> None:
    first, again = (maker.make(240, 320, np.random.default_rng(5)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_still_moves_but_its_key_frame_is_the_labelled_one(windows_file: Path) -> None:
    still = [w for w in read_windows(windows_file, 17) if len(w.frames) == 1]
    canvas = CanvasMaker(still, COCO17, num_frames=3).make(240, 320, np.random.default_rng(2))
    before, key, after = canvas.images.astype(int)
    assert np.abs(before - key).mean() > 1 and np.abs(after - key).mean() > 1
