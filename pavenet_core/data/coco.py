"""
COCO keypoint JSON and its kin: PoseTrack18 and 21, DCPose's files, COCO-VID, one's own labels.

They differ in how a picture's clip is found (`_place`) and in which fields a person has.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pavenet_core.data.category import Category, read_category
from pavenet_core.data.clips import Place, place_frames, place_sequence
from pavenet_core.data.dataset import Clip, LabelledFrame
from pavenet_core.data.naming import naming
from pavenet_core.data.people import Person, corners, to_labels
from pavenet_core.data.pictures import Pictures
from pavenet_core.data.video_frames import extract_frames, reach
from pavenet_core.skeleton import Skeleton

Entry = Mapping[str, Any]


def read_coco(
    data: Mapping[str, Any], pictures: Pictures, cache: Path, sequence: str | None = None
) -> tuple[Skeleton, list[LabelledFrame]]:
    """
    Return the labelled frames of one file, in its order.

    cache     folder for frames taken out of videos
    sequence  the name of the one sequence that the file is about, as in PoseTrack18

    Raise `ValueError` for an entry that is not of this form, or has no picture.
    """
    category = read_category(data['categories'])
    people = _people(data, category)
    images = list(data['images'])
    ids: set[Any] = set()
    for number, image in enumerate(images):
        with naming('image', image.get('id', f'number {number}')):
            image['id'], image['file_name' if 'video' not in image else 'frame_id']
            if image['id'] in ids:
                raise ValueError('another image has the same id')
            ids.add(image['id'])
    strangers = [image for image in people if image not in ids]
    if strangers:
        raise ValueError(f'annotations are of image {strangers[0]!r}, which is not listed')
    places = _place(images, data.get('videos', ()), pictures, cache, sequence)
    return category.skeleton, [
        _frame(image, places[image['id']], people[image['id']], category)
        for image in images
        if is_labelled(image)
    ]


def _people(data: Mapping[str, Any], category: Category) -> dict[int, list[Person]]:
    """Return the people of each image, by its id."""
    kinds = {kind['id'] for kind in data['categories']}
    people: dict[int, list[Person]] = defaultdict(list)
    seen: set[tuple[Any, Any]] = set()
    for number, person in enumerate(data['annotations']):
        with naming('annotation', person.get('id', f'number {number}')):
            kind = person.get('category_id', category.id)
            if kind not in kinds:
                raise ValueError(
                    f'its category {kind!r} is not listed; people are {category.id!r}'
                )
            if kind != category.id:
                continue
            place = person['image_id'], person.get('id', f'number {number}')
            if place in seen:
                raise ValueError(
                    f'image {place[0]} has another annotation of the same id; remove the one '
                    'that is there twice, or give each person an id'
                )
            seen.add(place)
            people[person['image_id']].append(_person(person, category))
    return people


def is_labelled(image: Entry) -> bool:
    """Say whether a picture's people are known; one that says nothing is."""
    return bool(image.get('is_labeled', True))


def _frame(
    image: Entry, place: Place, people: Sequence[Person], category: Category
) -> LabelledFrame:
    with naming('image', image['id']):
        regions = polygons(image.get('ignore_regions_x'), image.get('ignore_regions_y'))
    size = None
    if image.get('width') and image.get('height'):
        size = int(image['width']), int(image['height'])
    labels = to_labels(people, len(category.skeleton), regions)
    return LabelledFrame(*place, image['id'], labels, size)


def _person(person: Entry, category: Category) -> Person:
    keypoints = _keypoints(person, category)
    box = corners(person['bbox']) if person.get('bbox') else None
    if person.get('ignore'):
        keypoints[:] = 0
        if box is None:
            raise ValueError('it is to be ignored, but no "bbox" says where')
    track_id = person.get('track_id', person.get('instance_id'))
    return Person(
        keypoints=keypoints[list(category.slots)],
        box=box,
        area=None if person.get('area') is None else float(person['area']),
        head_box=corners(person['bbox_head']) if person.get('bbox_head') else None,
        track_id=-1 if track_id is None else int(track_id),
        crowd=bool(person.get('iscrowd', False)),
    )


def _keypoints(person: Entry, category: Category) -> NDArray[np.float32]:
    """Return x, y and 1 of each place in the file, all 0 where it is not marked."""
    keypoints = np.zeros((category.num_slots, 3), np.float32)
    if person.get('keypoints') or 'bbox' not in person:
        values = np.asarray(person['keypoints'], np.float32)
        if values.shape != (3 * category.num_slots,):
            raise ValueError(
                f'it has {values.size} numbers as keypoints, {3 * category.num_slots} expected: '
                f'x, y, v of each of the {category.num_slots} that the category names'
            )
        keypoints = values.reshape(-1, 3)
    marked = keypoints[:, 2] > 0
    if category.posetrack:
        marked |= (keypoints[:, :2] != 0).any(1)
    if not np.isfinite(keypoints[marked]).all():
        raise ValueError(
            'a marked keypoint has no finite place; an unknown one is written 0, 0, 0'
        )
    keypoints = np.where(marked[:, None], keypoints, 0)
    keypoints[:, 2] = marked
    return keypoints


def polygons(xs: Any, ys: Any) -> list[NDArray[np.float32]]:
    """
    Pair the coordinates of ignore regions, each (points, 2); a line has no inside and is left out.

    Raise `ValueError` if there are not as many of both.
    """
    xs, ys = xs or [], ys or []
    if xs and not isinstance(xs[0], list):  # one region, not in a list of its own
        xs, ys = [xs], [ys]
    if [len(x) for x in xs] != [len(y) for y in ys]:
        raise ValueError('"ignore_regions_x" and "ignore_regions_y" have not the same lengths')
    regions = [np.array([x, y], np.float32).T for x, y in zip(xs, ys, strict=True)]
    return [region for region in regions if len(region) >= 3]


def _place(
    images: Iterable[Entry],
    videos: Collection[Entry],
    pictures: Pictures,
    cache: Path,
    sequence: str | None,
) -> dict[int, Place]:
    """Find each image's clip: frames of a video file, of COCO-VID, of a folder, or stills."""
    groups: dict[tuple[str, Any], list[Entry]] = defaultdict(list)
    for image in images:
        groups[_group(image, sequence)].append(image)
    folders = [key for kind, key in groups if kind == 'folder']
    rates = {video['id']: video.get('fps') for video in videos}
    names = {video['id']: str(video.get('name', video['id'])) for video in videos}
    uses = Counter(names.values())  # one camera may have made several
    names = {key: name if uses[name] == 1 else f'{name}:{key}' for key, name in names.items()}
    places: dict[int, Place] = {}
    for (kind, key), group in groups.items():
        if kind == 'video file':
            places |= _of_video_file(key, group, pictures.root, cache)
        elif kind == 'video':
            places |= _of_video(names.get(key, str(key)), group, pictures, rates.get(key))
        elif kind == 'folder':
            name = sequence if sequence and len(folders) == 1 else str(key)
            places |= _of_folder(name, group, pictures)
        else:
            path = pictures.find(key)
            places |= {image['id']: (Clip(key, (path,)), 0) for image in group}
    return places


def _group(image: Entry, sequence: str | None) -> tuple[str, Any]:
    if 'video' in image:
        return 'video file', image['video']
    if 'video_id' in image:
        return 'video', image['video_id']
    if sequence is not None or 'nframes' in image:
        return 'folder', PurePosixPath(image['file_name']).parent
    return 'still', image['file_name']


def _of_video_file(
    name: str, images: Sequence[Entry], root: Path, cache: Path
) -> dict[int, Place]:
    wanted = {image['id']: int(image['frame_id']) for image in images}
    video = root / name
    inside = [part for part in PurePosixPath(name).parts if part not in ('/', '..', '.')]
    around = reach(video)
    fps, files, length = extract_frames(
        video,
        {n + step for n in wanted.values() for step in range(-around, around + 1)},
        cache.joinpath(*inside),
    )
    places = place_frames(name, files, fps)
    for image, number in wanted.items():
        if number not in places:
            raise ValueError(
                f'image {image} is frame {number} of {video}, which has {length} frames, from 0 on'
            )
    return {image: places[number] for image, number in wanted.items()}


def _of_video(
    name: str, images: Sequence[Entry], pictures: Pictures, fps: float | None
) -> dict[int, Place]:
    numbers: dict[int, int] = {}
    files: dict[int, Path] = {}
    for image in images:
        with naming('image', image['id']):
            number = int(image['frame_id'])
        if number in files:
            raise ValueError(f'two images of video {name} have the same frame_id')
        numbers[image['id']], files[number] = number, pictures.find(image['file_name'])
    places = place_frames(name, files, fps or None)
    return {image: places[number] for image, number in numbers.items()}


def _of_folder(name: str, images: Sequence[Entry], pictures: Pictures) -> dict[int, Place]:
    needed = {image['file_name']: image['id'] for image in images if is_labelled(image)}
    listed = [image['file_name'] for image in images]
    found = place_sequence(pictures, name, listed, list(needed)) if needed else {}
    return {needed[picture]: place for picture, place in found.items()}
