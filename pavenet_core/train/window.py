"""The pictures of a window."""

from collections.abc import Sequence

from pavenet_core.data.dataset import Image, LabelledFrame, Neighbours
from pavenet_core.train.warp import turn, warp


def read_window(frame: LabelledFrame, neighbours: Neighbours) -> list[Image]:
    """
    Read the T pictures around a labelled frame; a frame that stands in for another is one array.

    `ValueError` names a picture that can't be read or is of another size than the key frame,
    and a key frame of another size than its labels say.
    """
    clip = frame.clip
    indices = neighbours.indices(clip, frame.index)
    images = {index: clip.read(index) for index in {frame.index, *indices}}
    frame.check_sizes({i: (image.shape[1], image.shape[0]) for i, image in images.items()})
    return [images[index] for index in indices]


def as_video(window: Sequence[Image], degrees: float) -> list[Image]:
    """Turn the neighbours of a still, T times the very same array, by so much a frame."""
    key = len(window) // 2
    if degrees == 0 or any(image is not window[key] for image in window):
        return list(window)
    return [
        image if index == key else _turned(image, degrees * (key - index))
        for index, image in enumerate(window)
    ]


def _turned(image: Image, degrees: float) -> Image:
    """Turn clockwise about the middle; what was outside is black."""
    height, width = image.shape[:2]
    return warp(image, turn(degrees, (width // 2, height // 2)), (height, width), (0, 0, 0))
