"""The network's three blocks as the runtime calls them: what goes by which name."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pavenet_core.bundle import (
    Bundle,
    BundleMetadata,
    encoder_names,
    pose_decoder_outputs,
    query_inputs,
    value_names,
)
from pavenet_core.runtime.preprocess import FittedImage
from pavenet_core.runtime.session import OnnxGraph, SessionConfig, Tensor

# What the encoder says about one frame, by tensor name; kept where the encoder ran, as long as
# windows need the frame.
Features = dict[str, ort.OrtValue]


class SpatialEncoder:
    """One picture to everything that later windows need of it."""

    def __init__(self, bundle: Bundle, config: SessionConfig) -> None:
        self.graph = OnnxGraph(
            bundle.graph('spatial_encoder'),
            inputs=('image', 'valid_size'),
            outputs=encoder_names(bundle.metadata),
            config=config,
        )

    def __call__(self, image: FittedImage) -> Features:
        """Encode one picture."""
        return self.graph({'image': image.pixels, 'valid_size': image.valid_size})


class PoseDecoder:
    """The key frame's people and their rough poses in all frames of the window."""

    def __init__(self, bundle: Bundle, config: SessionConfig) -> None:
        values = _window_feed('pose', bundle.metadata)
        self._feed = [*query_inputs(bundle.metadata), *values]
        self.graph = OnnxGraph(
            bundle.graph('pose_decoder'),
            inputs=tuple(name for name, _, _ in self._feed),
            outputs=pose_decoder_outputs(bundle.metadata),
            config=config,
        )
        self.graph.check_size('poses', axis=3, size=len(bundle.metadata.skeleton))

    def __call__(
        self, window: Sequence[Features]
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]:
        """
        Ask every pose query for a person.

        scores  (Q,)             in [0, 1]
        poses   (1, T, Q, K, 2)  shares of the picture's width and height
        sigmas  (Q, K, 2)        their spread in the key frame, if no joint decoder says so later
        """
        tensors = {name: window[frame][value] for name, frame, value in self._feed}
        found = self.graph(tensors)
        sigmas = found['sigmas'].numpy()[0] if 'sigmas' in found else None
        return found['scores'].numpy()[0], found['poses'].numpy(), sigmas


class JointDecoder:
    """The keypoints of the people that are kept."""

    def __init__(self, bundle: Bundle, config: SessionConfig) -> None:
        self._feed = _window_feed('joint', bundle.metadata)
        self.graph = OnnxGraph(
            bundle.graph('joint_decoder'),
            inputs=('poses', 'valid_ratios', *(name for name, _, _ in self._feed)),
            outputs=('keypoints', 'sigmas'),
            config=config,
        )
        self.graph.check_size('keypoints', axis=2, size=len(bundle.metadata.skeleton))

    def __call__(
        self, window: Sequence[Features], poses: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """
        Refine the key frame's keypoints, of nobody too.

        poses      (1, T, N, K, 2)  as the pose decoder gave them
        keypoints  (N, K, 2)        shares of the picture's width and height
        sigmas     (N, K, 2)        their spread
        """
        if not poses.shape[2]:
            nobody = np.zeros((0, *poses.shape[3:]), np.float32)
            return nobody, nobody
        key = window[len(window) // 2]
        tensors: dict[str, Tensor] = {'poses': poses, 'valid_ratios': key['valid_ratios']}
        tensors |= {name: window[frame][value] for name, frame, value in self._feed}
        refined = self.graph(tensors)
        return refined['keypoints'].numpy()[0], refined['sigmas'].numpy()[0]


def _window_feed(kind: str, metadata: BundleMetadata) -> list[tuple[str, int, str]]:
    """Return (the decoder's input, frame in the window, the encoder's output) for each value."""
    return [
        (f'frame{frame}.{name}', frame, name)
        for frame in range(metadata.num_frames)
        for name in value_names(kind, metadata)
    ]
