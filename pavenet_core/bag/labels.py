"""Labels of a bag's images: what `predict` is measured by while it goes through the bag."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pavenet_core.bundle import BundleMetadata
from pavenet_core.data.coco import read_coco
from pavenet_core.data.dataset import Dataset, Neighbours
from pavenet_core.data.pictures import Pictures, split_number
from pavenet_core.evaluation.accuracy import Accuracy, check_labels, measure
from pavenet_core.evaluation.report import accuracy_parts
from pavenet_core.evaluation.text import accuracy_lines
from pavenet_core.poses import Poses
from pavenet_core.video import write_image

Image = NDArray[np.uint8]
BLANK = (64, 64, 3)  # the picture shown of a labelled image that can't be decoded
CLIP_FIELDS = ('video', 'video_id', 'frame_id', 'nframes')  # which would place it elsewhere


class BagLabels:
    """
    The labels of one image topic, and the answers to them; use it with `with`.

    A COCO keypoint file says by "frame_id", or else by the last number of "file_name", which
    image of the topic an entry is; they count from 0.
    """

    def __init__(self, path: Path, num_frames: int, metadata: BundleMetadata) -> None:
        """Refuse labels that don't fit the bag or the model, before the work."""
        if not path.exists():
            raise ValueError(f'{path} does not exist; give a COCO keypoint file')
        self._folder = TemporaryDirectory()
        self._metadata = metadata
        try:
            self._dataset = self._read(path, num_frames)
            check_labels(self._dataset, metadata.skeleton, Neighbours(metadata.num_frames))
        except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
            self._folder.cleanup()
            raise ValueError(f'{path} is not a COCO keypoint file of this bag: {error}') from error
        self._numbers = [int(frame.clip.files[0].stem) for frame in self._dataset.frames]
        self._answers: dict[int, Poses] = {}

    def __enter__(self) -> 'BagLabels':
        """Give itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Throw the pictures away."""
        self._folder.cleanup()

    def take(self, index: int, image: Image, poses: Poses) -> None:
        """Keep the answer to an image, and the picture for the report, if it is labelled."""
        if index in self._numbers:
            self._answers[index] = poses
            write_image(self._file(index), image)

    def measure(self) -> Accuracy:
        """Return the accuracy of the answers taken."""
        return measure(self._dataset, self._poses(), self._metadata.postprocess)

    def lines(self, accuracy: Accuracy) -> list[str]:
        """Return an accuracy as lines of text."""
        count = len(self._numbers)
        heading = f'{self._metadata.name} on {count} labelled images (OKS, COCO protocol)'
        return [heading, *accuracy_lines(accuracy)]

    def parts(self, accuracy: Accuracy) -> list[str]:
        """Return an accuracy as parts of a page, with the worst images."""
        return accuracy_parts(self._dataset, self._poses(), accuracy)

    def _poses(self) -> list[Poses]:
        size = len(self._metadata.skeleton)
        nobody = Poses(
            *(0, np.zeros((0, size, 2), np.float32)),
            *(np.zeros((0, size), np.float32), np.zeros(0, np.float32)),
        )
        return [self._answers.get(number, nobody) for number in self._numbers]

    def _read(self, path: Path, num_frames: int) -> Dataset:
        data = json.loads(path.read_text(encoding='utf-8'))
        numbers = [_number(image) for image in data['images']]
        if len(set(numbers)) < len(numbers):
            raise ValueError('two entries are of the same image')
        strange = [number for number in numbers if not 0 <= number < num_frames]
        if strange:
            raise ValueError(f'there is no image {strange[0]} among the {num_frames} of the topic')
        stills: list[dict[str, Any]] = []
        for number, image in zip(numbers, data['images'], strict=True):
            file = self._file(number)
            write_image(file, np.zeros(BLANK, np.uint8))
            kept = {key: value for key, value in image.items() if key not in CLIP_FIELDS}
            stills.append({**kept, 'file_name': file.name})
        pictures = Pictures(Path(self._folder.name))
        skeleton, frames = read_coco({**data, 'images': stills}, pictures, Path())
        return Dataset(path.stem, skeleton, tuple(frames))

    def _file(self, number: int) -> Path:
        return Path(self._folder.name) / f'{number:06d}.png'


def _number(image: dict[str, Any]) -> int:
    if 'frame_id' in image:
        return int(image['frame_id'])
    return split_number(str(image['file_name']))[1]
