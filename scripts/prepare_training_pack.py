"""
Turn a labelled pack of stills and clips into what `pavenet train` reads.

The pack has `lspet/*.jpg`, `clips/*.mp4`, `labels/{lspet,clips}.jsonl` and `splits.json`.
Written are `train.jsonl`, `val.jsonl` (docs/training.md has the format) and, for every labelled
clip frame, that frame with its neighbours as JPEG files.

    python scripts/prepare_training_pack.py PACK OUT
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
from tqdm import tqdm

LONG_SIDE = 640  # clip frames are stored no larger than this
CONFIDENT = 0.3  # labels below are treated as unknown


def main() -> None:
    """Read the command line and convert."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[1])
    parser.add_argument('pack', type=Path)
    parser.add_argument('out', type=Path)
    arguments = parser.parse_args()
    splits = json.loads((arguments.pack / 'splits.json').read_text())
    arguments.out.mkdir(parents=True, exist_ok=True)
    records = {'train': [], 'val': []}
    for split in records:
        stills = set(splits['lspet'][split])
        for line in read_lines(arguments.pack / 'labels' / 'lspet.jsonl'):
            if line['file'] in stills:
                path = (arguments.pack / 'lspet' / line['file']).resolve()
                records[split].append({'frames': [str(path)], 'key': 0, **people(line, 1.0)})
    wanted = defaultdict(list)
    for line in read_lines(arguments.pack / 'labels' / 'clips.jsonl'):
        wanted[line['clip']].append(line)
    validation = set(splits['clips']['val'])
    for clip, lines in tqdm(sorted(wanted.items()), desc='clips'):
        split = 'val' if clip in validation else 'train'
        records[split] += extract(arguments.pack / 'clips' / clip, lines, arguments.out)
    for split, lines in records.items():
        text = ''.join(json.dumps(line) + '\n' for line in lines)
        (arguments.out / f'{split}.jsonl').write_text(text)
        print(f'{split}: {len(lines)} windows')


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read one JSON object a line."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def extract(path: Path, lines: list[dict[str, Any]], out: Path) -> list[dict[str, Any]]:
    """Write the labelled frames of a clip with their neighbours; return their records."""
    scale = min(1.0, LONG_SIDE / max(lines[0]['width'], lines[0]['height']))
    files = {
        line['frame'] + step: out / path.stem / f'{line["frame"] + step:05d}.jpg'
        for line in lines
        for step in (-1, 0, 1)
    }
    (out / path.stem).mkdir(exist_ok=True)
    capture, index = cv2.VideoCapture(str(path)), 0
    while index <= max(files):
        read, image = capture.read()
        if not read:
            raise SystemExit(f'{path} ends at frame {index}, {max(files)} expected')
        if index in files:
            small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
            cv2.imwrite(str(files[index]), small, [cv2.IMWRITE_JPEG_QUALITY, 90])
        index += 1
    return [
        {
            'frames': [str(files[line['frame'] + step].resolve()) for step in (-1, 0, 1)],
            'key': 1,
            **people(line, scale),
        }
        for line in lines
    ]


def people(line: dict[str, Any], scale: float) -> dict[str, Any]:
    """Scale the labels; uncertain people become ignored boxes, uncertain keypoints unknown."""
    persons = []
    ignored = [[v * scale for v in box[:4]] for box in line.get('ignore_boxes', [])]
    for person in line['persons']:
        points = [[x * scale, y * scale] for x, y, _ in person['keypoints']]
        if person.get('ignore'):
            seen = [p for p, (_, _, v) in zip(points, person['keypoints'], strict=True) if v]
            if seen:
                xs, ys = zip(*seen, strict=True)
                ignored.append([min(xs), min(ys), max(xs), max(ys)])
            continue
        confident = [
            int(v > 0 and c >= CONFIDENT)
            for (_, _, v), c in zip(person['keypoints'], person['conf'], strict=True)
        ]
        persons.append([[*p, v] for p, v in zip(points, confident, strict=True)])
    return {'persons': persons, 'ignore_boxes': ignored}


if __name__ == '__main__':
    main()
