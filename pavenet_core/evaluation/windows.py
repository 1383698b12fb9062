"""The people that a model finds in labelled frames, each seen with its neighbours."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pavenet_core.bundle import BundleMetadata
from pavenet_core.data.dataset import Clip, Dataset, LabelledFrame, Neighbours
from pavenet_core.poses import Poses
from pavenet_core.runtime import PoseModel
from pavenet_core.runtime.blocks import Features

WINDOWS = ('causal', 'lookahead', 'still')

Image = NDArray[np.uint8]


def neighbours_of(
    window: str, metadata: BundleMetadata, *, step: int = 1, interval_s: float | None = None
) -> Neighbours:
    """
    Return which frames a key frame is seen with, as the runtime does.

    causal     the frames before it, as live; in place of those after it older ones if the network
               links frames, else itself
    lookahead  the frames before and after it
    still      itself T times
    """
    if window == 'still':
        return Neighbours(metadata.num_frames, step=0)
    return Neighbours(
        metadata.num_frames,
        step,
        None if interval_s is None else round(interval_s * 1e9),
        lookahead=0 if window == 'causal' else None,
        older=metadata.pyramid,
    )


@dataclass(frozen=True)
class EncodedFrame:
    """A picture's width and height, and what windows need of it."""

    size: tuple[int, int]
    features: Features


class ClipEncoder:
    """Encode the frames of clips, each once while windows that rise need it."""

    def __init__(self, model: PoseModel) -> None:
        self._model = model
        self._clip: Clip | None = None
        self._kept: dict[int, EncodedFrame] = {}

    def window(self, labelled: LabelledFrame, indices: Sequence[int]) -> list[EncodedFrame]:
        """Return these frames of the clip, the labelled one among them, encoded."""
        clip = labelled.clip
        if clip is not self._clip:
            self._clip, self._kept = clip, {}
        self._kept = {i: frame for i, frame in self._kept.items() if i >= min(indices)}
        for index in indices:
            if index not in self._kept:
                self._kept[index] = self.encode(clip.read(index))
        labelled.check_sizes({index: self._kept[index].size for index in indices})
        return [self._kept[index] for index in indices]

    def encode(self, image: Image) -> EncodedFrame:
        """Encode a picture of no clip."""
        return EncodedFrame((image.shape[1], image.shape[0]), self._model.encode(image))


def rising(dataset: Dataset) -> Iterator[tuple[int, LabelledFrame]]:
    """Yield the frames with their places in the dataset, clip by clip in time order."""
    frames = dataset.frames
    order = sorted(range(len(frames)), key=lambda i: (frames[i].clip.name, frames[i].index))
    for place in tqdm(order, unit='frame', disable=None):
        yield place, frames[place]


def decode(model: PoseModel, window: Sequence[EncodedFrame], score_threshold: float) -> Poses:
    """Find the people of a window's middle frame, at most so many as the model's rules allow."""
    return model.decode(
        [frame.features for frame in window],
        stamp_ns=0,
        size=window[len(window) // 2].size,
        score_threshold=score_threshold,
        max_people=model.metadata.postprocess.max_people,
    )


def find_people(
    model: PoseModel, dataset: Dataset, neighbours: Neighbours, score_threshold: float = 0.0
) -> list[Poses]:
    """Return the people of every frame of the dataset, in its order."""
    encoder = ClipEncoder(model)
    found: dict[int, Poses] = {}
    for place, frame in rising(dataset):
        indices = neighbours.indices(frame.clip, frame.index)
        window = encoder.window(frame, indices)
        found[place] = decode(model, window, score_threshold)
    return [found[place] for place in range(len(dataset.frames))]
