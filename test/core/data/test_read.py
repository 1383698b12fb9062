"""What is no labels at all is refused in one sentence that says what was found."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pavenet_core.data.read import read_dataset

WriteJson = Callable[[Path, Any], Path]


@pytest.mark.parametrize(
    ('name', 'contents', 'message'),
    [
        ('labels.json', None, r'labels\.json: it does not exist; expected is a COCO'),
        ('labels.json', '{', r'labels\.json: it is not JSON'),
        ('labels.mat', '\0', r'labels\.mat: it is not JSON .*mat2json'),
        ('labels.json', '[{}, {}]', 'a list of 2 entries; expected is a COCO'),
        ('labels.json', '{"a": 1}', 'neither "annolist" nor images, annotations, cat.*, but a;'),
    ],
)
def test_a_file_of_another_kind(
    tmp_path: Path, name: str, contents: str | None, message: str
) -> None:
    if contents is not None:
        (tmp_path / name).write_text(contents)
    with pytest.raises(ValueError, match=message):
        read_dataset(tmp_path / name, tmp_path)


def test_a_file_of_windows_begins_with_a_byte_order_mark(
    tmp_path: Path,
    write_json: WriteJson,
    write_pictures: Callable[..., None],
    coco_file: dict[str, Any],
) -> None:
    write_pictures(tmp_path, [7, 9], 12)
    labels = write_json(tmp_path / 'labels.json', coco_file)
    labels.write_bytes(b'\xef\xbb\xbf' + labels.read_bytes())
    assert len(read_dataset(labels, tmp_path).frames) == 2


def test_a_folder_one_above_the_files(tmp_path: Path) -> None:
    for split in ('train', 'val'):
        (tmp_path / split).mkdir()
    with pytest.raises(ValueError, match=r'has no \.json files but train, val; expected is'):
        read_dataset(tmp_path, tmp_path)


def test_the_pictures_folder_is_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match='nowhere is not a folder'):
        read_dataset(tmp_path / 'labels.json', tmp_path / 'nowhere')


def test_files_of_different_keypoints(
    tmp_path: Path,
    write_json: WriteJson,
    write_pictures: Callable[..., None],
    posetrack18_file: dict[str, Any],
) -> None:
    write_pictures(tmp_path / 'images/val/000342_mpii_test', range(5))
    write_json(tmp_path / 'labels/a.json', posetrack18_file)
    posetrack18_file['categories'][0]['keypoints'] = [f'k{n}' for n in range(17)]
    write_json(tmp_path / 'labels/b.json', posetrack18_file)
    with pytest.raises(ValueError, match='label different keypoints'):
        read_dataset(tmp_path / 'labels', tmp_path)
