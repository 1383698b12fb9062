"""PoseTrack17, 18 and 21 as published, and broken once in each way."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pavenet_core.data.dataset import Dataset, LabelledFrame, Neighbours
from pavenet_core.data.posetrack17 import POINTS
from pavenet_core.data.read import read_dataset
from pavenet_core.skeleton import POSETRACK15

WriteJson = Callable[[Path, Any], Path]
WritePictures = Callable[..., None]
NAME18, NAME17 = '000342_mpii_test', '00342_mpii_5sec'


@pytest.fixture
def tree18(
    tmp_path: Path,
    posetrack18_file: dict[str, Any],
    write_json: WriteJson,
    write_pictures: WritePictures,
) -> Path:
    write_json(tmp_path / f'annotations/val/{NAME18}.json', posetrack18_file)
    write_pictures(tmp_path / f'images/val/{NAME18}', range(5))
    return tmp_path


@pytest.fixture
def tree17(
    tmp_path: Path,
    posetrack17_file: dict[str, Any],
    write_json: WriteJson,
    write_pictures: WritePictures,
) -> Path:
    write_json(tmp_path / f'annotations/val/{NAME17}.json', posetrack17_file)
    write_pictures(tmp_path / 'images/bonn_5sec/000342_mpii', range(1, 5), digits=8)
    return tmp_path


def read(tree: Path, images: str = '') -> Dataset:
    return read_dataset(tree / 'annotations/val', tree / images)


def brightness(frame: LabelledFrame, *neighbours: int) -> list[int]:
    return [round(float(frame.clip.read(i).mean()), -1) for i in neighbours or (frame.index,)]


@pytest.mark.parametrize('images', ['', 'images', 'images/val'])
def test_posetrack18(tree18: Path, images: str) -> None:
    dataset = read(tree18, images)
    assert dataset.name == 'val'
    assert dataset.skeleton == POSETRACK15
    (frame,) = dataset.frames  # the labelled one alone
    assert (frame.clip.name, frame.image_id) == (NAME18, 10003420001)
    assert len(frame.clip.files) == 5
    assert brightness(frame, *Neighbours(3).indices(frame.clip, frame.index)) == [0, 10, 20]
    labels = frame.labels
    slots = (0, 1, 2, *range(5, 16))
    expected = [[k + 1, 2 * k + 1, 1] for k in slots] + [[0, 0, 0]]
    np.testing.assert_array_equal(labels.keypoints, [expected])
    np.testing.assert_array_equal(labels.boxes, [[1, 1, 21, 41]])
    np.testing.assert_array_equal(labels.head_boxes, [[1, 2, 4, 6]])
    np.testing.assert_allclose(labels.areas, [0.7 * 15 * 30])
    assert labels.track_ids.tolist() == [7]
    assert labels.crowds.tolist() == [False]
    (region,) = labels.ignore_regions  # the other is a line
    np.testing.assert_array_equal(region, [[0, 0], [10, 0], [10, 10]])


def test_posetrack21_has_people_of_whom_a_box_is_all(
    tree18: Path, posetrack18_file: dict[str, Any], write_json: WriteJson
) -> None:
    data = posetrack18_file
    for image in data['images']:
        image['has_labeled_person'] = True
    data['annotations'].append(
        {
            'id': 5,
            'image_id': 10003420001,
            'category_id': 1,
            'bbox': [40, 30, 10, 10],
            'bbox_head': [41, 31, 2, 2],
            'person_id': 1024,
            'track_id': 9,
        }
    )
    data['annotations'][0]['keypoints'][-3:] = [60, 40, 0]  # occluded, but it has a place
    write_json(tree18 / f'annotations/val/{NAME18}.json', data)
    labels = read(tree18).frames[0].labels
    assert labels.keypoints[0, -1].tolist() == [60, 40, 1]
    assert (labels.keypoints[1] == 0).all()
    assert labels.boxes[1].tolist() == [40, 30, 50, 40]
    np.testing.assert_allclose(labels.areas[1], 53)
    assert labels.track_ids.tolist() == [7, 9]


def test_a_file_lists_one_ignore_region_without_a_list_around_it(
    tree18: Path, posetrack18_file: dict[str, Any], write_json: WriteJson
) -> None:
    image = posetrack18_file['images'][1]
    image['ignore_regions_x'], image['ignore_regions_y'] = [0, 9, 9], [0, 0, 9]
    write_json(tree18 / f'annotations/val/{NAME18}.json', posetrack18_file)
    (region,) = read(tree18).frames[0].labels.ignore_regions
    assert region.tolist() == [[0, 0], [9, 0], [9, 9]]


def test_several_sequences_become_one_dataset(
    tree18: Path,
    posetrack18_file: dict[str, Any],
    write_json: WriteJson,
    write_pictures: WritePictures,
) -> None:
    other = copy.deepcopy(posetrack18_file)
    for image in other['images']:
        image['file_name'] = image['file_name'].replace(NAME18, '000001_bonn')
    write_json(tree18 / 'annotations/val/000001_bonn.json', other)
    write_pictures(tree18 / 'images/val/000001_bonn', range(5))
    frames = read(tree18).frames
    assert [frame.clip.name for frame in frames] == ['000001_bonn', NAME18]
    assert [frame.clip.files[0].parent.name for frame in frames] == ['000001_bonn', NAME18]


def test_posetrack17(tree17: Path) -> None:
    dataset = read(tree17)
    assert dataset.skeleton == POSETRACK15
    first, second = dataset.frames
    assert first.clip.name == NAME17
    assert first.clip == second.clip
    assert len(first.clip.files) == 4  # numbers from 1, indices from 0
    assert brightness(first) + brightness(second) == [0, 10]
    assert Neighbours(3).indices(first.clip, first.index) == (0, 0, 1)
    named = zip(POSETRACK15.names, first.labels.keypoints[0].tolist(), strict=True)
    marked = {name: [x, y] for name, (x, y, mark) in named if mark}
    assert marked == {'right_ankle': [40, 44], 'nose': [12, 10], 'head_top': [13, 5]}
    assert first.labels.head_boxes.tolist() == [[5, 6, 15, 26]]
    centre, half = np.array([26, 24.5]), 1.3 * np.array([14, 19.5])
    box = [*(centre - half), *(centre + half)]
    np.testing.assert_allclose(first.labels.boxes, [box], rtol=1e-5)
    assert first.labels.track_ids.tolist() == [3]
    assert first.labels.ignore_regions[0].shape == (4, 2)
    assert second.labels.boxes.tolist() == [[5, 6, 15, 26]]  # no keypoints: where the head is
    assert not second.labels.keypoints.any()
    assert first.image_id != second.image_id


def test_posetrack17_names_its_points_as_the_skeleton_does() -> None:
    assert sorted(POINTS) == sorted(POSETRACK15.names)


def test_renamed_pictures_that_count_from_0_are_found_by_number(
    tree17: Path, posetrack17_file: dict[str, Any], write_json: WriteJson
) -> None:
    folder = tree17 / 'images/bonn_5sec/000342_mpii'
    for number in range(1, 5):
        (folder / f'{number:08d}.jpg').rename(folder / f'{number - 1:06d}.jpg')
    assert [brightness(frame) for frame in read(tree17).frames] == [[0], [10]]


@pytest.mark.parametrize('base', [0, 1])
def test_a_labelled_first_frame_never_looks_before_the_first_file(
    tree18: Path,
    posetrack18_file: dict[str, Any],
    write_json: WriteJson,
    write_pictures: WritePictures,
    base: int,
) -> None:
    for number, image in enumerate(posetrack18_file['images']):
        image['is_labeled'] = number == 0
        image['file_name'] = f'images/val/other/{number + base:06d}.jpg'
    write_json(tree18 / f'annotations/val/{NAME18}.json', posetrack18_file)
    write_pictures(tree18 / 'images/val/other', range(base, base + 5))
    (frame,) = read(tree18).frames
    assert frame.index == 0
    assert Neighbours(5).indices(frame.clip, frame.index) == (0, 0, 0, 1, 2)


def test_a_gap_between_the_files_is_no_neighbourhood(tree18: Path) -> None:
    (tree18 / f'images/val/{NAME18}/000002.jpg').unlink()
    (frame,) = read(tree18).frames
    assert frame.clip.name == f'{NAME18}:0'
    assert brightness(frame, *Neighbours(3).indices(frame.clip, frame.index)) == [0, 10, 10]


def test_other_files_of_the_folder_are_not_frames(
    tree18: Path, write_pictures: WritePictures
) -> None:
    folder = tree18 / f'images/val/{NAME18}'
    (folder / '000001_mask.jpg').write_bytes((folder / '000001.jpg').read_bytes())
    (folder / '000001.txt').touch()
    assert len(read(tree18).frames[0].clip.files) == 5


def test_an_absent_labelled_picture_is_named_with_what_is_there(tree18: Path) -> None:
    (tree18 / f'images/val/{NAME18}/000001.jpg').unlink()
    with pytest.raises(
        ValueError,
        match=rf'no picture images/val/{NAME18}/000001\.jpg below .*'
        r'has 4 pictures, 000000\.jpg to 000004\.jpg',
    ):
        read(tree18)


def test_an_absent_folder_is_named_with_what_is_there(tree18: Path) -> None:
    (tree18 / f'images/val/{NAME18}').rename(tree18 / 'images/val/elsewhere')
    with pytest.raises(
        ValueError, match=r'images.val has no pictures, but 1 folders \(elsewhere\)'
    ):
        read(tree18)


def test_two_sequences_never_share_a_folder(
    tree18: Path, posetrack18_file: dict[str, Any], write_json: WriteJson
) -> None:
    for image in posetrack18_file['images']:
        image['file_name'] = image['file_name'].replace(NAME18, 'other')
    write_json(tree18 / 'annotations/val/other.json', posetrack18_file)
    with pytest.raises(ValueError, match='would both come from'):
        read(tree18, f'images/val/{NAME18}')


@pytest.mark.parametrize('numbers', [range(3, 7), range(1, 4)], ids=['from 3', 'too few'])
def test_numbers_that_do_not_fit_are_refused(
    tree17: Path, write_pictures: WritePictures, numbers: range
) -> None:
    folder = tree17 / 'images/bonn_5sec/000342_mpii'
    for file in folder.iterdir():
        file.unlink()
    write_pictures(folder, numbers)
    with pytest.raises(ValueError, match=rf'no picture .*00000001\.jpg .*has {len(numbers)} pict'):
        read(tree17)


@pytest.mark.parametrize(
    ('breakage', 'message'),
    [
        (
            lambda d: d['annotations'][0].pop('image_id'),
            "annotation 1000342000100 has no 'image_i",
        ),
        (lambda d: d['annotations'][0].update(keypoints=[1, 2, 1]), '3 numbers .* 51 expected'),
        (lambda d: d['annotations'][0].update(image_id=5), 'of image 5, which is not listed'),
        (lambda d: d['images'][1].pop('file_name'), "image 10003420001 has no 'file_name'"),
        (
            lambda d: d['images'][1].update(file_name=f'images/val/{NAME18}/b.jpg'),
            'b.jpg has no number',
        ),
        (
            lambda d: d['images'][1].update(ignore_regions_y=[[1, 2]]),
            'image 10003420001: "ignore_regions_x"',
        ),
        (lambda d: d['images'][1].update(is_labeled=False), 'has no labelled frame'),
        (lambda d: d['categories'][0].pop('keypoints'), '0 categories name "keypoints"'),
        (lambda d: d.pop('categories'), 'neither "annolist" nor categories, but images'),
    ],
)
def test_a_wrong_posetrack18_file_is_named(
    tree18: Path,
    posetrack18_file: dict[str, Any],
    write_json: WriteJson,
    breakage: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    breakage(posetrack18_file)
    write_json(tree18 / f'annotations/val/{NAME18}.json', posetrack18_file)
    with pytest.raises(ValueError, match=message) as error:
        read(tree18)
    assert str(tree18 / 'annotations/val') in str(error.value)


@pytest.mark.parametrize(
    ('breakage', 'message'),
    [
        (lambda d: d['annolist'][0].pop('image'), "annolist entry 1 has no 'image'"),
        (lambda d: d['annolist'][0]['annorect'][0].pop('y2'), "annolist entry 1 has no 'y2'"),
        (
            lambda d: d['annolist'][0]['annorect'][0]['annopoints'][0]['point'][0].update(id=[15]),
            'entry 1: a point has number 15',
        ),
        (
            lambda d: d['annolist'][0]['image'][0].update(name='images/x/y/00000001.jpg'),
            'pictures of 2 folders',
        ),
    ],
)
def test_a_wrong_posetrack17_file_is_named(
    tree17: Path,
    posetrack17_file: dict[str, Any],
    write_json: WriteJson,
    breakage: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    breakage(posetrack17_file)
    write_json(tree17 / f'annotations/val/{NAME17}.json', posetrack17_file)
    with pytest.raises(ValueError, match=message):
        read(tree17)


def test_a_posetrack17_file_without_flags_is_labelled_where_it_has_people(
    tree17: Path, posetrack17_file: dict[str, Any], write_json: WriteJson
) -> None:
    for entry in posetrack17_file['annolist']:
        del entry['is_labeled']
    write_json(tree17 / f'annotations/val/{NAME17}.json', posetrack17_file)
    assert [frame.index for frame in read(tree17).frames] == [0, 1]
