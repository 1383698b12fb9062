"""COCO keypoint files, DCPose's, COCO-VID and one's own labels, and each broken once."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pavenet_core.data.dataset import Dataset, LabelledFrame, Neighbours
from pavenet_core.data.read import read_dataset
from pavenet_core.skeleton import COCO17, POSETRACK15, POSETRACK_SLOT_NAMES

WriteJson = Callable[[Path, Any], Path]
WritePictures = Callable[..., None]
WriteVideo = Callable[..., Path]
Read = Callable[[dict[str, Any]], Dataset]


@pytest.fixture
def read(tmp_path: Path, write_json: WriteJson) -> Read:
    """Give the reader of a file's contents; its pictures lie in the folder `pictures`."""
    (tmp_path / 'pictures').mkdir()

    def read_contents(data: dict[str, Any]) -> Dataset:
        return read_dataset(write_json(tmp_path / 'labels.json', data), tmp_path / 'pictures')

    return read_contents


@pytest.fixture
def stills(
    read: Read, tmp_path: Path, coco_file: dict[str, Any], write_pictures: WritePictures
) -> dict[str, Any]:
    """Give COCO's file, its pictures being there."""
    write_pictures(tmp_path / 'pictures', (7, 9), digits=12)
    return coco_file


def shades(frame: LabelledFrame, neighbours: Neighbours, step: int) -> list[int]:
    indices = neighbours.indices(frame.clip, frame.index)
    return [round(frame.clip.read(i).mean() / step) for i in indices]


def person(**fields: Any) -> dict[str, Any]:
    keypoints = [v for k in range(17) for v in (10 + k, 10 + 2 * k, 2)]
    return {'id': 1, 'image_id': 1, 'category_id': 1, 'keypoints': keypoints, **fields}


def test_coco(read: Read, stills: dict[str, Any]) -> None:
    dataset = read(stills)
    assert dataset.name == 'labels'
    assert dataset.skeleton == COCO17
    nobody, frame = dataset.frames  # in the file's order
    assert (nobody.image_id, frame.image_id) == (9, 7)
    assert nobody.labels.keypoints.shape == (0, 17, 3)
    assert nobody.labels.boxes.shape == nobody.labels.head_boxes.shape == (0, 4)
    assert (len(frame.clip.files), frame.index, frame.size) == (1, 0, (64, 48))
    assert frame.clip.stamps_ns is None
    labels = frame.labels
    np.testing.assert_array_equal(labels.keypoints[0], [[k + 2, 2 * k + 3, 1] for k in range(17)])
    assert not labels.keypoints[1].any()
    assert labels.crowds.tolist() == [False, True]
    assert labels.areas.tolist() == [300.5, 900]
    assert labels.boxes.tolist() == [[2, 3, 18, 35], [30, 0, 60, 40]]
    assert np.isnan(labels.head_boxes).all()
    assert labels.track_ids.tolist() == [-1, -1]


def test_a_joint_of_visibility_0_is_unknown_wherever_it_is(
    read: Read, stills: dict[str, Any]
) -> None:
    stills['annotations'][0]['keypoints'][:3] = [5, 5, 0]
    assert read(stills).frames[1].labels.keypoints[0, 0].tolist() == [0, 0, 0]


def test_without_box_and_area_the_keypoints_tell(read: Read, stills: dict[str, Any]) -> None:
    del stills['annotations'][0]['bbox'], stills['annotations'][0]['area']
    labels = read(stills).frames[1].labels
    np.testing.assert_allclose(labels.areas[0], 0.7 * 16 * 32)
    np.testing.assert_allclose(labels.boxes[0], [10 - 10.4, 19 - 20.8, 10 + 10.4, 19 + 20.8], 1e-5)


def test_keypoints_in_a_line_leave_the_area_to_the_box(read: Read, stills: dict[str, Any]) -> None:
    stills['annotations'][0].update(keypoints=[5, 6, 2] + [0] * 48, bbox=[0, 0, 20, 40])
    del stills['annotations'][0]['area']
    np.testing.assert_allclose(read(stills).frames[1].labels.areas[0], 0.53 * 20 * 40)


def test_ids_may_begin_anew_in_each_picture_or_be_left_out(
    read: Read, stills: dict[str, Any]
) -> None:
    stills['annotations'] += [{**person, 'image_id': 9} for person in stills['annotations']]
    assert [len(frame.labels.boxes) for frame in read(stills).frames] == [2, 2]
    for person in stills['annotations']:
        del person['id']
    assert [len(frame.labels.boxes) for frame in read(stills).frames] == [2, 2]


def test_an_unknown_track_may_be_null(read: Read, stills: dict[str, Any]) -> None:
    stills['annotations'][0]['track_id'] = None
    assert read(stills).frames[1].labels.track_ids[0] == -1


def test_people_to_ignore_keep_their_box_alone(read: Read, stills: dict[str, Any]) -> None:
    stills['annotations'][0]['ignore'] = 1
    labels = read(stills).frames[1].labels
    assert not labels.keypoints.any()
    assert labels.boxes[0].tolist() == [2, 3, 18, 35]


def test_other_categories_are_left_out(read: Read, stills: dict[str, Any]) -> None:
    stills['categories'].append({'id': 2, 'name': 'dog'})
    stills['annotations'][1]['category_id'] = 2
    assert len(read(stills).frames[1].labels.boxes) == 1


@pytest.mark.parametrize('slots', [15, 17])
def test_the_papers_files_find_neighbours_in_the_folder(
    read: Read, tmp_path: Path, write_pictures: WritePictures, slots: int
) -> None:
    names = POSETRACK15.names if slots == 15 else POSETRACK_SLOT_NAMES
    image = {'id': 3, 'width': 64, 'height': 48, 'nframes': 4, 'is_labeled': True}
    keypoints = [v for k in range(slots) for v in (k, k, k > 0)]
    data = {
        'categories': [{'id': 1, 'name': 'person', 'keypoints': names}],
        'images': [{**image, 'file_name': 'bonn/000342_mpii/00000002.jpg'}],
        'annotations': [person(image_id=3, keypoints=keypoints, ignore=0, bbox=[0, 0, 9, 9])],
    }
    write_pictures(tmp_path / 'pictures/bonn/000342_mpii', range(1, 5), digits=8)
    dataset = read(data)
    assert dataset.skeleton == POSETRACK15
    (frame,) = dataset.frames
    assert frame.clip.name == 'bonn/000342_mpii'
    assert shades(frame, Neighbours(3), 10) == [0, 1, 2]
    places = [k for k, name in enumerate(names) if not name.endswith('ear')]
    assert frame.labels.keypoints[0, :, 0].tolist() == places
    assert frame.labels.keypoints[0, :, 2].tolist() == [0] + [1] * 14


def own_file(images: list[dict[str, Any]]) -> dict[str, Any]:
    """Label three joints of a robot in some images."""
    return {
        'categories': [
            {
                'id': 4,
                'name': 'robot',
                'keypoints': ['left_wheel', 'right_wheel', 'nose'],
                'skeleton': [[1, 3], [2, 3]],
            }
        ],
        'images': images,
        'annotations': [
            {'id': n, 'image_id': image['id'], 'keypoints': [1, 2, 2, 30, 2, 2, 9, 40, 2]}
            for n, image in enumerate(images)
            if image.get('is_labeled', True)
        ],
    }


def test_an_own_skeleton_comes_from_the_category(
    read: Read, tmp_path: Path, write_pictures: WritePictures
) -> None:
    write_pictures(tmp_path / 'pictures', [1])
    data = own_file([{'id': 1, 'file_name': '000001.jpg'}])
    dataset = read(data)
    skeleton = dataset.skeleton
    assert (skeleton.name, skeleton.names[2]) == ('robot3', 'nose')
    assert skeleton.edges == ((0, 2), (1, 2))
    assert skeleton.flip_pairs == ((0, 1),)
    assert skeleton.sigmas == (0.08, 0.08, 0.026)
    assert dataset.frames[0].labels.keypoints.shape == (1, 3, 3)
    data['categories'][0]['sigmas'] = [0.1, 0.1, 0.2]
    assert read(data).skeleton.sigmas == (0.1, 0.1, 0.2)


def video_file(numbers: Iterable[int], labelled: int) -> dict[str, Any]:
    """List these frames of a video as COCO-VID does, one of them labelled."""
    images = [
        {
            'id': n,
            'file_name': f'walk/{n:06d}.jpg',
            'video_id': 2,
            'frame_id': n,
            'is_labeled': n == labelled,
        }
        for n in numbers
    ]
    return {**own_file(images), 'videos': [{'id': 2, 'name': 'walking', 'fps': 25}]}


def test_coco_vid(read: Read, tmp_path: Path, write_pictures: WritePictures) -> None:
    write_pictures(tmp_path / 'pictures/walk', range(6))
    data = video_file((4, 2, 1, 3), labelled=2)
    data['annotations'][0]['instance_id'] = 6
    (frame,) = read(data).frames
    assert frame.clip.name == 'walking'
    assert frame.clip.stamps_ns == (40_000_000, 80_000_000, 120_000_000, 160_000_000)
    assert shades(frame, Neighbours(3), 10) == [1, 2, 3]
    assert shades(frame, Neighbours(3, interval_ns=75_000_000), 10) == [1, 2, 4]
    assert frame.labels.track_ids.tolist() == [6]
    del data['videos']
    assert read(data).frames[0].clip.stamps_ns is None


def test_clips_of_videos_of_one_name_have_names_of_their_own(
    read: Read, tmp_path: Path, write_pictures: WritePictures
) -> None:
    write_pictures(tmp_path / 'pictures/walk', range(4))
    data = video_file((0, 1, 2, 3), labelled=0)
    data['images'][2] |= {'video_id': 3, 'is_labeled': True}
    data['videos'] = [{'id': n, 'name': 'camera'} for n in (2, 3)]
    # A person's track would else go on from one video to the next.
    assert [frame.clip.name for frame in read(data).frames] == ['camera:2:0', 'camera:3']


def test_a_gap_in_the_frames_of_a_video_ends_its_clip(
    read: Read, tmp_path: Path, write_pictures: WritePictures
) -> None:
    write_pictures(tmp_path / 'pictures/walk', range(15))
    (frame,) = read(video_file((2, 3, 12, 14), labelled=3)).frames
    assert (frame.clip.name, frame.clip.stamps_ns) == ('walking:2', (80_000_000, 120_000_000))
    assert shades(frame, Neighbours(5), 10) == [2, 2, 3, 3, 3]
    (frame,) = read(video_file((2, 3, 12, 14), labelled=12)).frames
    assert shades(frame, Neighbours(3), 10) == [12, 12, 12]


def test_frames_of_a_video_are_taken_out_once(
    read: Read, tmp_path: Path, write_video: WriteVideo
) -> None:
    write_video(tmp_path / 'pictures/a/walk.avi', 20, fps=20)
    images = [{'id': n, 'video': 'a/walk.avi', 'frame_id': n} for n in (5, 0, 17)]
    data = own_file(images)
    dataset = read(data)
    assert [shades(f, Neighbours(5), 8) for f in dataset.frames] == [
        [3, 4, 5, 6, 7],
        [0, 0, 0, 1, 2],
        [15, 16, 17, 18, 19],
    ]
    assert dataset.frames[0].clip.name == 'a/walk.avi:0'
    assert dataset.frames[0].clip.stamps_ns == tuple(n * 50_000_000 for n in range(8))
    assert dataset.frames[2].clip.files[0].parent == tmp_path / 'labels_frames/a/walk.avi'
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / 'labels_frames').rglob('*')}
    assert [f.clip for f in read(data).frames] == [f.clip for f in dataset.frames]
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / 'labels_frames').rglob('*')}
    assert again == written


def test_a_stopped_extraction_goes_on(read: Read, tmp_path: Path, write_video: WriteVideo) -> None:
    write_video(tmp_path / 'pictures/walk.avi', 12)
    data = own_file([{'id': 1, 'video': 'walk.avi', 'frame_id': 5}])
    (frame,) = read(data).frames
    frame.clip.files[0].unlink()
    stays = frame.clip.files[1]
    os.utime(stays, ns=(1, 1))
    assert read(data).frames[0].clip == frame.clip
    assert frame.clip.files[0].exists()
    assert stays.stat().st_mtime_ns == 1


def test_an_extraction_stopped_in_its_note_goes_on(
    read: Read, tmp_path: Path, write_video: WriteVideo, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / 'pictures/walk.avi', 12)
    data = own_file([{'id': 1, 'video': 'walk.avi', 'frame_id': 5}])
    write_text = Path.write_text

    def cut_short(path: Path, text: str, *more: Any, **options: Any) -> int:
        if 'video.json' not in path.name:
            return write_text(path, text, *more, **options)
        write_text(path, text[:5])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, 'write_text', cut_short)
        read(data)
    assert read(data).frames[0].clip.files[0].exists()


def test_another_video_of_the_same_name_replaces_the_frames(
    read: Read, tmp_path: Path, write_video: WriteVideo
) -> None:
    data = own_file([{'id': 1, 'video': 'walk.avi', 'frame_id': 5}])
    write_video(tmp_path / 'pictures/walk.avi', 12)
    stays = read(data).frames[0].clip.files[0]
    os.utime(stays, ns=(1, 1))
    write_video(tmp_path / 'pictures/walk.avi', 14)
    assert read(data).frames[0].clip.files[0] == stays
    assert stays.stat().st_mtime_ns != 1


def test_a_fast_video_keeps_neighbours_far_enough_in_time(
    read: Read, tmp_path: Path, write_video: WriteVideo
) -> None:
    write_video(tmp_path / 'pictures/walk.avi', 20, fps=60)
    (frame,) = read(own_file([{'id': 1, 'video': 'walk.avi', 'frame_id': 9}])).frames
    assert shades(frame, Neighbours(3, interval_ns=100_000_000), 8) == [3, 9, 15]


def test_the_cache_may_lie_elsewhere(
    tmp_path: Path, write_json: WriteJson, write_video: WriteVideo
) -> None:
    write_video(tmp_path / 'walk.avi', 6)
    data = own_file([{'id': 1, 'video': 'walk.avi', 'frame_id': 3}])
    labels = write_json(tmp_path / 'labels.json', data)
    (frame,) = read_dataset(labels, tmp_path, tmp_path / 'cache').frames
    assert frame.clip.files[0].parent == tmp_path / 'cache/walk.avi'


def test_a_frame_beyond_the_video_is_named(
    read: Read, tmp_path: Path, write_video: WriteVideo
) -> None:
    write_video(tmp_path / 'pictures/walk.avi', 6)
    for beyond in (6, 60):
        data = own_file([{'id': n, 'video': 'walk.avi', 'frame_id': n} for n in (1, beyond)])
        sentence = rf'image {beyond} is frame {beyond} of .*walk\.avi, which has 6 frames, from 0'
        for _ in range(2):  # also when its length is known already
            with pytest.raises(ValueError, match=sentence):
                read(data)


def test_a_frame_may_be_numbered_in_text(
    read: Read, tmp_path: Path, write_video: WriteVideo
) -> None:
    write_video(tmp_path / 'pictures/walk.avi', 6)
    (frame,) = read(own_file([{'id': 1, 'video': 'walk.avi', 'frame_id': '3'}])).frames
    assert frame.clip.files[frame.index].name == '000003.jpg'


@pytest.mark.parametrize(
    ('contents', 'message'),
    [(None, 'no video .*walk.avi'), (b'no film', 'cannot be read as a video')],
)
def test_an_unreadable_video_is_named(
    read: Read, tmp_path: Path, contents: bytes | None, message: str
) -> None:
    if contents:
        (tmp_path / 'pictures/walk.avi').write_bytes(contents)
    with pytest.raises(ValueError, match=message):
        read(own_file([{'id': 1, 'video': 'walk.avi', 'frame_id': 0}]))


@pytest.mark.parametrize(
    ('breakage', 'message'),
    [
        (lambda d: d['images'][1].pop('id'), "image number 1 has no 'id'"),
        (lambda d: d['images'][1].update(id=9), 'image 9: another image has the same id'),
        (lambda d: d['images'][1].update(video_id=3), "image 7 has no 'frame_id'"),
        (
            lambda d: d['images'][1].update(file_name='x.jpg'),
            r'no picture x\.jpg below .*, .*9\.j',
        ),
        (lambda d: d['annotations'][0].pop('image_id'), "annotation 1 has no 'image_id'"),
        (
            lambda d: d['annotations'][0].update(image_id='x'),
            "annotations are of image 'x', which is not listed",
        ),
        (
            lambda d: d['annotations'][0].update(category_id=0),
            'annotation 1: its category 0 is not listed; people are 1',
        ),
        (
            lambda d: d['annotations'][0].update(id=2),
            'annotation 2: image 7 has another annotation of the same id; remove',
        ),
        (
            lambda d: d['annotations'][0].update(bbox=[1, 2]),
            r'annotation 1: a box is 4 numbers, .* is \[1, 2\]',
        ),
        (lambda d: d['annotations'][0].update(bbox=[1, 2, 3, float('inf')]), 'a box is 4 numbers'),
        (
            lambda d: d['annotations'][0].update(keypoints=[float('nan'), 2, 2] * 17),
            'annotation 1: a marked keypoint has no finite place',
        ),
        (lambda d: d['annotations'][0].update(keypoints=['a'] * 51), 'annotation 1: could not'),
        (lambda d: d['annotations'][0].update(keypoints=[1] * 45), '45 numbers .*51 expected'),
        (
            lambda d: (d['annotations'][0].update(ignore=1), d['annotations'][0].pop('bbox')),
            'annotation 1: it is to be ignored, but no "bbox"',
        ),
        (
            lambda d: (d['annotations'][1].pop('bbox'), d['annotations'][1].pop('keypoints')),
            "annotation 2 has no 'keypoints'",
        ),
        (lambda d: d['categories'][0].pop('keypoints'), '0 categories name "keypoints"'),
        (
            lambda d: d['categories'][0].update(keypoints=['left_a', *'bcdefghijklmnopq']),
            'left_a of skeleton person17 has no right_a',
        ),
        (
            lambda d: d['categories'][0].update(
                keypoints=list('abcdefghijklmnopq'), skeleton=[[0, 1]]
            ),
            'counts from 1',
        ),
        (lambda d: d['categories'][0].update(sigmas=[0.1]), '17 names but 1 sigmas'),
    ],
)
def test_a_wrong_file_is_named(
    read: Read,
    stills: dict[str, Any],
    breakage: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    breakage(stills)
    with pytest.raises(ValueError, match=r'labels\.json: .*' + message):
        read(stills)
