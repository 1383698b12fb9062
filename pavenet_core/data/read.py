"""Read labels of any layout that docs/data.md names, found out from what lies there."""

import json
from pathlib import Path
from typing import Any

from pavenet_core.data.coco import read_coco
from pavenet_core.data.dataset import Dataset, LabelledFrame
from pavenet_core.data.pictures import Pictures
from pavenet_core.data.posetrack17 import read_posetrack17
from pavenet_core.skeleton import POSETRACK15, Skeleton

EXPECTED = 'a COCO keypoint file, or a folder of PoseTrack files, one a sequence'


def read_dataset(annotations: Path, images: Path, cache: Path | None = None) -> Dataset:
    """
    Read the labels and find every labelled picture with its neighbours; no picture is opened.

    annotations  a COCO keypoint file or its kin, or a folder of PoseTrack17, 18 or 21 files
    images       folder of the pictures or videos that the annotations name
    cache        folder for frames taken out of videos, by default beside the annotations

    Raise `ValueError` in one sentence where labels or pictures are not as expected.
    """
    pictures = Pictures(images)
    cache = cache or annotations.with_name(f'{annotations.stem}_frames')
    files, by_sequence = [annotations], False
    if annotations.is_dir():
        files, by_sequence = _files_of(annotations), True
    skeletons: list[Skeleton] = []
    frames: list[LabelledFrame] = []
    for number, file in enumerate(files):
        sequence = file.stem if by_sequence else None
        try:
            skeleton, found = _read_file(file, pictures, cache, sequence, number)
        except KeyError as error:
            raise ValueError(f'{file}: an entry has no {error}') from error
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f'{file}: {error}') from error
        skeletons.append(skeleton)
        frames += found
    if len(set(skeletons)) > 1:
        raise ValueError(f'the files of {annotations} label different keypoints')
    if not frames:
        raise ValueError(f'{annotations} has no labelled frame')
    return Dataset(annotations.stem, skeletons[0], tuple(frames))


def _files_of(folder: Path) -> list[Path]:
    files = sorted(folder.glob('*.json'))
    if files:
        return files
    inside = sorted(path.name for path in folder.iterdir())
    shown = ', '.join(inside[:3]) + (', ...' if len(inside) > 3 else '')
    raise ValueError(
        f'{folder} has no .json files but {shown or "nothing"}; expected is {EXPECTED}'
    )


def _read_file(
    file: Path, pictures: Pictures, cache: Path, sequence: str | None, number: int
) -> tuple[Skeleton, list[LabelledFrame]]:
    data = _load(file)
    if 'annolist' in data:
        frames = read_posetrack17(data, pictures, sequence or file.stem, number)
        return POSETRACK15, frames
    lacking = [name for name in ('images', 'annotations', 'categories') if name not in data]
    if lacking:
        raise ValueError(
            f'it has neither "annolist" nor {", ".join(lacking)}, but '
            f'{", ".join(list(data)[:5]) or "nothing"}; expected is {EXPECTED}'
        )
    return read_coco(data, pictures, cache, sequence)


def _load(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding='utf-8-sig'))
    except FileNotFoundError as error:
        raise ValueError(f'it does not exist; expected is {EXPECTED}') from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        hint = "; poseval's mat2json turns it into JSON" if file.suffix == '.mat' else ''
        raise ValueError(f'it is not JSON ({error}){hint}') from error
    if not isinstance(data, dict):
        raise ValueError(f'it is a list of {len(data)} entries; expected is {EXPECTED}')
    return data
