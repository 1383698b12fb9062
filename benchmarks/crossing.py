"""
Who keeps their id when two people pass in front of each other.

python benchmarks/crossing.py --annotations person_keypoints.json --images DIR

Two people cut out of labelled pictures move across a blurred one, one of them hides the other,
and both are known all the time. The one in front covers more than a real person would: a cut-out
takes its surroundings along.
"""

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from timing import print_setting, print_table

from pavenet_core.data.read import read_dataset
from pavenet_core.poses import UNKNOWN, Frame, Poses
from pavenet_core.runtime import PoseModel, VideoPoseEstimator

Image = NDArray[np.uint8]
WIDTH, HEIGHT, PERSON = 640, 480, 260  # pixels
LEFT, RIGHT = 120, 520
APART = 110  # two people this far apart can be told apart
NEAR = 50  # an answer this near is that person's
STEP_NS = 40_000_000
OUTCOMES = ('both kept', 'one new', 'both new', 'swapped', 'not seen')


def main() -> None:
    """Let many pairs cross, and print who they were afterwards."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--annotations', type=Path, required=True)
    parser.add_argument('--images', type=Path, required=True)
    parser.add_argument('--model', default='compact')
    parser.add_argument(
        '--frames', type=int, nargs='+', default=[40, 20], help='of a clip (40 20)'
    )
    parser.add_argument('--clips', type=int, default=40, help='of each length (40)')
    args = parser.parse_args()
    print_setting()
    model = PoseModel(args.model, num_threads=1)
    people, pictures = cut_out(args.annotations, args.images)
    print(f'{len(people)} people')
    rows = []
    for frames in args.frames:
        random = np.random.default_rng(0)
        counts: Counter[str] = Counter()
        for _ in range(args.clips):
            front, back = random.choice(len(people), 2, replace=False)
            picture = pictures[random.integers(len(pictures))]
            counts[outcome(model, people[front], people[back], picture, frames)] += 1
        rows.append([str(frames), *(str(counts[name]) for name in OUTCOMES)])
    print_table(['frames', *OUTCOMES], rows)


def cut_out(annotations: Path, images: Path) -> tuple[list[Image], list[Image]]:
    """Return upright people, all of one height, and the pictures they are from, blurred."""
    people, pictures = [], []
    for frame in read_dataset(annotations, images).frames:
        image = frame.clip.read(frame.index)
        for box, points in zip(frame.labels.boxes, frame.labels.keypoints, strict=True):
            width, height = box[2:] - box[:2]
            if height < 150 or height < 1.4 * width or points[:, 2].sum() < 12:
                continue
            grown = box + np.array([-width, -height, width, height]) * [0.08, 0.04, 0.08, 0.04]
            x0, y0, x1, y1 = grown.clip(0).astype(int)
            cut = image[y0:y1, x0:x1]
            size = max(8, round(cut.shape[1] * PERSON / cut.shape[0])), PERSON
            people.append(np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_AREA)))
            whole = cv2.resize(image, (WIDTH, HEIGHT))
            pictures.append(np.asarray(cv2.GaussianBlur(whole, (0, 0), 12)))
    return people, pictures


def outcome(model: PoseModel, front: Image, back: Image, picture: Image, frames: int) -> str:
    """Let two people cross once; return one of `OUTCOMES`."""
    estimator = VideoPoseEstimator(model)
    before: list[int] = []
    after: list[int] = []
    for index, (x, other_x) in enumerate(ways(frames)):
        image = paste(paste(picture, back, other_x), front, x)
        poses = estimator.push(Frame(image, index * STEP_NS))
        assert poses is not None
        ids = [id_at(poses, x), id_at(poses, other_x)]
        if abs(x - other_x) < APART or UNKNOWN in ids or ids[0] == ids[1]:
            continue
        if x < other_x:
            before = ids
        elif not after:
            after = ids
    if not before or not after:
        return 'not seen'
    if before[0] == after[1] or before[1] == after[0]:
        return 'swapped'
    return OUTCOMES[sum(old != new for old, new in zip(before, after, strict=True))]


def ways(frames: int) -> Iterator[tuple[float, float]]:
    """Yield where the two are: one goes right, the other left."""
    for x in np.linspace(LEFT, RIGHT, frames).tolist():
        yield x, LEFT + RIGHT - x


def id_at(poses: Poses, x: float) -> int:
    """Return the id of the answer that is nearest to a place, or `UNKNOWN`."""
    assert poses.ids is not None
    named = poses.take(np.flatnonzero(poses.ids != UNKNOWN))
    if not len(named):
        return UNKNOWN
    away = np.abs(np.median(named.extents[..., 0], axis=1) - x)
    return int(named.ids[away.argmin()]) if away.min() < NEAR else UNKNOWN  # type: ignore[index]


def paste(picture: Image, person: Image, x: float) -> Image:
    """Return the picture with a person, edges faded, whose middle is at x."""
    height, width = person.shape[:2]
    left, top = round(x - width / 2), (HEIGHT - height) // 2
    inside = slice(max(0, -left), min(width, WIDTH - left))
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    share = np.clip((1 - rows**4 - columns**4) * 4, 0, 1)[:, inside, None]
    result = picture.copy()
    place = result[top : top + height, left + inside.start : left + inside.stop]
    place[:] = share * person[:, inside] + (1 - share) * place
    return result


if __name__ == '__main__':
    main()
