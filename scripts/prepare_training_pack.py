"""
Turn a labelled pack of stills and clips into COCO files that `pavenet train` reads.

The pack has `lspet/*.jpg`, `clips/*.mp4`, `labels/{lspet,clips}.jsonl` and `splits.json`. Written
are `train.json`, `val.json`, the stills, and every labelled clip frame with two neighbours on
either side as JPEG files. A second run keeps the pictures that are there.

    python scripts/prepare_training_pack.py PACK OUT
"""

import argparse
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

from pavenet_core.data.clips import consecutive
from pavenet_core.skeleton import COCO17

LONG_SIDE = 640  # clip frames are stored no larger than this
NEIGHBOURS = 2  # on either side, for windows of up to five frames
CONFIDENT = 0.3  # labels below are treated as unknown


class CocoFile:
    """The images, people and videos of one split."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.videos: list[dict[str, Any]] = []

    def add(self, file: Path, size: tuple[int, int], people: list[dict[str, Any]], **more: Any):
        """Add a picture of some width and height and its people."""
        image = {'id': len(self.images) + 1, 'file_name': str(file)}
        self.images.append(image | {'width': size[0], 'height': size[1], **more})
        for person in people:
            number = len(self.annotations) + 1
            self.annotations.append({'id': number, 'image_id': image['id'], **person})

    def write(self, path: Path) -> None:
        """Write it with COCO's category of a person."""
        category = {
            'id': 1,
            'name': 'person',
            'keypoints': COCO17.names,
            'skeleton': [[a + 1, b + 1] for a, b in COCO17.edges],
        }
        people = [{'category_id': 1, 'iscrowd': 0} | person for person in self.annotations]
        data = {'images': self.images, 'videos': self.videos}
        path.write_text(json.dumps(data | {'annotations': people, 'categories': [category]}))


def main() -> None:
    """Read the command line and convert."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('pack', type=Path)
    parser.add_argument('out', type=Path)
    arguments = parser.parse_args()
    pack, out = arguments.pack, arguments.out
    splits = json.loads((pack / 'splits.json').read_text())
    files = {'train': CocoFile(), 'val': CocoFile()}
    (out / 'stills').mkdir(parents=True, exist_ok=True)
    split_of = {name: split for split in files for name in splits['lspet'][split]}
    for line in tqdm(read_lines(pack / 'labels' / 'lspet.jsonl'), desc='stills'):
        file = Path('stills', line['file'])
        if not (out / file).exists():
            shutil.copyfile(pack / 'lspet' / line['file'], out / file)
        size = line['width'], line['height']
        files[split_of[line['file']]].add(file, size, people(line, 1.0))
    wanted = defaultdict(list)
    for line in read_lines(pack / 'labels' / 'clips.jsonl'):
        wanted[line['clip']].append(line)
    validation = set(splits['clips']['val'])
    for clip, lines in tqdm(sorted(wanted.items()), desc='clips'):
        add_clip(
            files['val' if clip in validation else 'train'], pack / 'clips' / clip, lines, out
        )
    for split, file in files.items():
        file.write(out / f'{split}.json')
        labelled = sum(image.get('is_labeled', True) for image in file.images)
        print(f'{split}: {labelled} labelled pictures, {len(file.annotations)} people')


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def add_clip(file: CocoFile, path: Path, lines: list[dict[str, Any]], out: Path) -> None:
    """Write the labelled frames of a clip with their neighbours; each run of them is a video."""
    scale = min(1.0, LONG_SIDE / max(lines[0]['width'], lines[0]['height']))
    labelled = {line['frame']: people(line, scale) for line in lines}
    around = range(-NEIGHBOURS, NEIGHBOURS + 1)
    names = {
        frame + step: Path('clips', path.stem, f'{frame + step:05d}.jpg')
        for frame in labelled
        for step in around
    }
    size = extract(path, {frame: out / name for frame, name in names.items()}, scale)
    for run in consecutive(names):
        video = {'id': len(file.videos) + 1, 'name': f'{path.stem}:{run[0]}'}
        file.videos.append(video | {'fps': lines[0]['fps']})
        for frame in run:
            known = {'is_labeled': frame in labelled}
            place = {'video_id': video['id'], 'frame_id': frame}
            file.add(names[frame], size, labelled.get(frame, []), **place, **known)


def extract(path: Path, files: dict[int, Path], scale: float) -> tuple[int, int]:
    """Write a clip's frames, made smaller, where they are not there yet; return their size."""
    if not all(file.exists() for file in files.values()):
        next(iter(files.values())).parent.mkdir(parents=True, exist_ok=True)
        capture = cv2.VideoCapture(str(path))
        for index in range(max(files) + 1):
            if not capture.grab():
                raise SystemExit(f'{path} ends at frame {index}, {max(files)} expected')
            if index in files:
                _, image = capture.retrieve()
                small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
                partial = files[index].with_suffix('.partial.jpg')
                cv2.imwrite(str(partial), small, [cv2.IMWRITE_JPEG_QUALITY, 90])
                partial.replace(files[index])
    height, width = cv2.imread(str(next(iter(files.values())))).shape[:2]
    return width, height


def people(line: dict[str, Any], scale: float) -> list[dict[str, Any]]:
    """Scale the labels; uncertain people become ignored boxes, uncertain keypoints unknown."""
    found = []
    boxes = [[v * scale for v in box[:4]] for box in line.get('ignore_boxes', [])]
    for person in line['persons']:
        points = [[x * scale, y * scale] for x, y, _ in person['keypoints']]
        known = [v > 0 for _, _, v in person['keypoints']]
        if person.get('ignore'):
            seen = [point for point, v in zip(points, known, strict=True) if v]
            if seen:
                xs, ys = zip(*seen, strict=True)
                boxes.append([min(xs), min(ys), max(xs), max(ys)])
            continue
        keypoints: list[float] = []
        for (x, y), v, confidence in zip(points, known, person['conf'], strict=True):
            marked = v and confidence >= CONFIDENT
            keypoints += [round(x, 2), round(y, 2), 2] if marked else [0, 0, 0]
        marks = sum(v > 0 for v in keypoints[2::3])
        found.append({'keypoints': keypoints, 'num_keypoints': marks})
    for x0, y0, x1, y1 in boxes:
        box = [round(v, 2) for v in (x0, y0, x1 - x0, y1 - y0)]
        found.append({'bbox': box, 'ignore': 1, 'num_keypoints': 0})
    return found


if __name__ == '__main__':
    main()
