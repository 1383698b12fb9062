import json
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from pavenet_core.data.dataset import Clip, Dataset, Labels, Neighbours
from pavenet_core.skeleton import COCO17
from pavenet_core.train.augmentation import (
    AUGMENTATIONS,
    FINETUNE,
    OFFICIAL,
    PAPER,
    TEST,
    Augmentation,
)
from pavenet_core.train.photometric import Distortion
from pavenet_core.train.sample import Sample

Find = Callable[[np.ndarray, int, float, float, int], np.ndarray | None]
# The colours and the pictures' parts stay, so that dots can be found.
PLAIN = {'distortion_share': 0, 'channel_share': 0}


@pytest.fixture
def labels(dotted: Dataset) -> Labels:
    return dotted.frames[0].labels


@pytest.fixture
def frames(dotted: Dataset) -> list[np.ndarray]:
    return [dotted.frames[0].clip.read(index) for index in range(3)]


def samples(
    augmentation: Augmentation, frames: list[np.ndarray], labels: Labels, count: int
) -> list[Sample]:
    drawn = [
        augmentation(frames, labels, COCO17, np.random.default_rng(seed)) for seed in range(count)
    ]
    return [sample for sample in drawn if sample is not None]


def misses(sample: Sample, find: Find, mirrored: bool = False) -> list[float]:
    """Measure how far known joints are from their dots, in all frames; rims are left out."""
    height, width = sample.images.shape[1:3]
    radius = 9 * np.sqrt(sample.areas[0] / 20000) + 2
    found = []
    for joint, (x, y, known) in enumerate(sample.persons[0]):
        if known and radius < x < width - radius and radius < y < height - radius:
            name = COCO17.mirror[joint] if mirrored else joint
            for image in sample.images:
                dot = find(image, name, x, y, int(1.4 * radius))
                assert dot is not None
                found.append(float(np.abs(dot - (x, y)).max()))
    return found


@pytest.mark.parametrize('preset', [PAPER, OFFICIAL, TEST])
@pytest.mark.parametrize('mirrored', [False, True])
def test_joints_stay_on_their_dots_in_all_frames(
    preset: Augmentation,
    mirrored: bool,
    frames: list[np.ndarray],
    labels: Labels,
    find_dot: Find,
) -> None:
    augmentation = replace(preset, **PLAIN, flip_share=float(mirrored))
    shown = [sample for sample in samples(augmentation, frames, labels, 12) if len(sample.persons)]
    errors = [error for sample in shown for error in misses(sample, find_dot, mirrored)]
    assert len(errors) > 300
    assert max(errors) < 0.7


def test_sizes_are_those_asked_for(frames: list[np.ndarray], labels: Labels) -> None:
    for sample in samples(PAPER, frames, labels, 30):
        short, long = sorted(sample.images.shape[1:3])
        assert long <= 1333 and (480 <= short <= 800 or long == 1333)
    uncut = replace(OFFICIAL, crop_share=0)
    sizes = {sample.images.shape[1:3] for sample in samples(uncut, frames, labels, 30)}
    assert all(abs(w / h - 4 / 3) < 0.01 and h <= 900 for h, w in sizes)
    assert {sample.images.shape for sample in samples(TEST, frames, labels, 3)} == {
        (3, 800, 1067, 3)
    }


def test_crops_are_of_384_to_600_before_the_last_resize(
    frames: list[np.ndarray], labels: Labels
) -> None:
    rng = np.random.default_rng(0)
    cut = replace(PAPER, crop_share=1, rotation=0, flip_share=0)
    for _ in range(40):
        view = cut.draw_view((720, 1280), rng)
        zoom = np.linalg.inv(view.matrix)
        shown = np.array(view.size) * np.diag(zoom)[1::-1]  # height and width in source pixels
        fits = [
            (shown * short / 720 >= 383).all() and (shown * short / 720 <= 601).all()
            for short in cut.crop_short_sides
        ]
        assert any(fits), shown


def test_a_turned_picture_is_bordered_by_the_mean_colour(labels: Labels) -> None:
    white = [np.full((240, 320, 3), 255, np.uint8)] * 3
    turned = replace(PAPER, **PLAIN, crop_share=0)
    for sample in samples(turned, white, labels, 8):
        corners = sample.images[1][[0, 0, -1, -1], [0, -1, 0, -1]]
        assert (np.abs(corners - np.array([104, 116, 124])).max(-1) <= 1).any()


def test_who_leaves_the_picture_is_unknown_and_empty_windows_are_rejected(
    frames: list[np.ndarray], labels: Labels
) -> None:
    cornered = replace(labels, keypoints=labels.keypoints.copy())
    cornered.keypoints[0, :, :2] = [2, 2]  # a turn either way moves the corner out, or not at all
    turned = replace(PAPER, crop_share=0)
    drawn = [turned(frames, cornered, COCO17, np.random.default_rng(seed)) for seed in range(40)]
    kept = [sample for sample in drawn if sample is not None]
    assert 0 < len(kept) < 40
    assert all(len(sample.persons) for sample in kept)
    for sample in samples(PAPER, frames, labels, 30):
        known = sample.persons[..., 2] > 0
        height, width = sample.images.shape[1:3]
        assert (sample.persons[known][:, :2] < (width, height)).all()
        assert (sample.persons[known][:, :2] >= 0).all()
        assert (sample.persons[~known] == 0).all()


def test_a_crop_that_shows_no_part_of_anybody_is_kept_as_such(labels: Labels) -> None:
    frames = [np.zeros((400, 1200, 3), np.uint8)] * 3
    cut = replace(PAPER, crop_share=1, rotation=0)
    drawn = [cut(frames, labels, COCO17, np.random.default_rng(seed)) for seed in range(40)]
    counts = [None if sample is None else len(sample.persons) for sample in drawn]
    assert 0 in counts and 1 in counts


def test_areas_change_with_resizes_alone(frames: list[np.ndarray], labels: Labels) -> None:
    resized = samples(TEST, frames, labels, 1)[0]
    assert resized.areas == pytest.approx([20000 * 800 / 240 * 1067 / 320])
    turned = replace(TEST, rotation=30, flip_share=1)
    assert samples(turned, frames, labels, 1)[0].areas == pytest.approx(resized.areas)
    cut = replace(PAPER, crop_share=1, short_side=(600, 600), rotation=0, flip_share=0)
    for sample in samples(cut, frames, labels, 10):
        joints = sample.persons[0][sample.persons[0, :, 2] > 0]
        source = labels.keypoints[0][sample.persons[0, :, 2] > 0]
        if len(joints) > 8:
            zoom = np.ptp(joints[:, 1]) / np.ptp(source[:, 1])
            assert sample.areas[0] == pytest.approx(20000 * zoom**2, rel=0.03)


@pytest.mark.parametrize('kind', ['box alone', 'crowd', 'region'])
def test_what_is_not_labelled_is_ignored_where_it_went(kind: str, labels: Labels) -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    cv2.rectangle(image, (280, 200), (309, 229), (255, 255, 255), -1)
    if kind == 'crowd':
        labels = replace(labels, crowds=np.array([False, True]), keypoints=labels.keypoints.copy())
        labels.keypoints[1, 0] = [290, 210, 1]
    elif kind == 'region':
        polygon = np.array([[280, 200], [310, 200], [310, 230], [280, 230]], np.float32)
        labels = Labels(
            *(getattr(labels, name)[:1] for name in list(labels.__dataclass_fields__)[:-1]),
            ignore_regions=(polygon,),
        )
    checked = 0
    for sample in samples(replace(PAPER, **PLAIN, rotation=10), [image] * 3, labels, 20):
        assert len(sample.persons) <= 1
        white = np.argwhere(sample.images[1].min(-1) > 200)[:, ::-1]
        if not len(sample.ignore_boxes):
            assert len(white) == 0
            continue
        (box,) = sample.ignore_boxes
        height, width = sample.images.shape[1:3]
        if len(white):
            assert (white.min(0) >= box[:2] - 1).all() and (white.max(0) <= box[2:] + 1).all()
        if (box[:2] > 0).all() and (box[2:] < (width, height)).all():  # whole
            checked += 1
            np.testing.assert_allclose(white.min(0), box[:2], atol=3)
            np.testing.assert_allclose(white.max(0) + 1, box[2:], atol=3)
    assert checked > 3


@pytest.mark.parametrize('num_frames', [3, 5])
def test_a_still_turns_about_its_key_frame(
    num_frames: int, dotted: Dataset, labels: Labels, find_dot: Find
) -> None:
    still = dotted.frames[0].clip.read(1)
    plain = replace(TEST, short_side=(240, 240), still_turn=(2, 2))
    (sample,) = samples(plain, [still] * num_frames, labels, 1)
    key = num_frames // 2
    assert np.array_equal(sample.images[key], still)
    for index, image in enumerate(sample.images):
        # Later frames turn counter-clockwise, as in the authors' reader.
        matrix = cv2.getRotationMatrix2D((160, 120), 2.0 * (index - key), 1)
        for joint in (0, 6, 12):
            moved = matrix @ [*labels.keypoints[0, joint, :2], 1]
            dot = find_dot(image, joint, *moved, 15)
            assert dot is not None
            np.testing.assert_allclose(dot, moved, atol=0.3)
        assert (image[0, [0, -1]].max() == 0) == (index != key), 'what was outside is black'


def test_the_papers_stills_turn_up_to_five_degrees_and_two_with_five_frames() -> None:
    rng = np.random.default_rng(0)
    assert {PAPER.draw_turn(rng) for _ in range(100)} == set(range(6))
    assert {PAPER.with_frames(5).draw_turn(rng) for _ in range(100)} == {2}


def mmdet(image: np.ndarray, drawn: Distortion) -> np.ndarray:
    """Compute the distortion in floating point, as mmdet does."""
    image = image.astype(np.float32) + np.float32(drawn.brightness)
    if drawn.contrast_first:
        image *= drawn.contrast
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    hsv[..., 1] *= drawn.saturation
    hsv[..., 0] = (hsv[..., 0] + drawn.hue) % 360
    image = cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)
    if not drawn.contrast_first:
        image *= drawn.contrast
    return image[..., drawn.channels]


def test_colours_change_as_mmdet_changes_them() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(90, 130, (60, 80, 3), dtype=np.uint8)  # nothing reaches 0 or 255
    for _ in range(30):
        drawn = PAPER.draw_distortion(rng)
        error = np.abs(drawn(image) - np.clip(mmdet(image, drawn), 0, 255))
        assert error.mean() < 1.5 and error.max() < 8


def test_all_frames_change_colour_alike_and_half_of_the_time() -> None:
    rng = np.random.default_rng(1)
    drawn = [PAPER.draw_distortion(rng) for _ in range(400)]
    for change, neutral in (('brightness', 0), ('contrast', 1), ('saturation', 1), ('hue', 0)):
        changed = np.mean([getattr(each, change) != neutral for each in drawn])
        assert 0.4 < changed < 0.6, change
    picture = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    labels = Labels(
        np.full((1, 17, 3), 20, np.float32),
        *(np.ones(shape, np.float32) for shape in (1, (1, 4), (1, 4))),
        np.array([0]),
        np.array([False]),
    )
    window = [picture.copy() for _ in range(3)]
    sample = PAPER(window, labels, COCO17, np.random.default_rng(3))
    assert sample is not None
    assert (sample.images == sample.images[1]).all()


@pytest.mark.parametrize('kind', ['blur', 'cut_out', 'noise', 'exposure'])
def test_only_the_key_frame_is_spoilt(kind: str, frames: list[np.ndarray], labels: Labels) -> None:
    spoilt = replace(PAPER, **{f'{kind}_share': 1.0})
    for seed in range(5):
        plain, other = (
            augmentation(frames, labels, COCO17, np.random.default_rng(seed))
            for augmentation in (PAPER, spoilt)
        )
        assert plain is not None and other is not None
        if len(plain.persons):
            assert np.array_equal(plain.images[[0, 2]], other.images[[0, 2]])
            assert not np.array_equal(plain.images[1], other.images[1])
            assert np.array_equal(plain.persons, other.persons)


def test_cut_outs_hide_joints_that_stay_labelled(
    frames: list[np.ndarray], labels: Labels, find_dot: Find
) -> None:
    hiding = replace(TEST, cut_out_share=1, cut_out_size=(0.3, 0.6))
    hidden = 0
    for sample in samples(hiding, frames, labels, 10):
        assert sample.persons[0, :, 2].all()
        for joint, (x, y, _) in enumerate(sample.persons[0]):
            dots = [find_dot(image, joint, x, y, 45) for image in sample.images]
            away = [dot is None or np.abs(dot - (x, y)).max() > 5 for dot in dots]
            assert not away[0] and not away[2]
            hidden += away[1]
    assert hidden > 10


def test_frames_that_are_the_key_frame_are_spoilt_with_it(
    frames: list[np.ndarray], labels: Labels
) -> None:
    spoilt = replace(PAPER, noise_share=1)
    for sample in samples(spoilt, [frames[0], frames[1], frames[1]], labels, 5):
        assert np.array_equal(sample.images[1], sample.images[2])
        assert not np.array_equal(sample.images[0], sample.images[1])


def test_windows_skip_frames_alike_in_both_directions_and_lose_the_future(dotted: Dataset) -> None:
    usual = Neighbours(3)
    clip = Clip('long', (dotted.frames[0].clip.files[0],) * 21)
    rng = np.random.default_rng(0)
    drawn = [FINETUNE.neighbours(usual, rng).indices(clip, 10) for _ in range(300)]
    assert set(drawn) == {(10 - s, 10, 10 + s) for s in (1, 2, 3)} | {
        (10 - s, 10, 10) for s in (1, 2, 3)
    }
    assert 0.1 < np.mean([window[2] == 10 for window in drawn]) < 0.2
    for preset in (PAPER, OFFICIAL):
        assert {preset.neighbours(usual, rng) for _ in range(50)} == {usual}
    timed = Neighbours(3, interval_ns=10)
    assert {FINETUNE.neighbours(timed, rng).interval_ns for _ in range(50)} == {10, 20, 30}


@pytest.mark.parametrize('name', AUGMENTATIONS)
def test_presets_survive_json(name: str) -> None:
    preset = AUGMENTATIONS[name]
    assert Augmentation.from_json(json.loads(json.dumps(preset.to_json()))) == preset


def test_impossible_values_are_named() -> None:
    with pytest.raises(ValueError, match=r'blur_share is a probability from 0 to 1, got 1\.5'):
        replace(PAPER, blur_share=1.5)
    with pytest.raises(ValueError, match=r'short_side must rise, got \(800, 480\)'):
        replace(PAPER, short_side=(800, 480))
