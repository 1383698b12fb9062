"""One model in memory, for any number of videos."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pavenet_core.bundle import BundleMetadata, load_bundle
from pavenet_core.poses import Poses
from pavenet_core.runtime.blocks import Features, JointDecoder, PoseDecoder, SpatialEncoder
from pavenet_core.runtime.postprocess import select_people, to_poses
from pavenet_core.runtime.preprocess import ImageFitter
from pavenet_core.runtime.session import PROVIDERS, OnnxGraph, SessionConfig


class PoseModel:
    """
    The graphs of a bundle, opened; `joint_decoder` is None where it has none.

    model        name of a shipped bundle, or path of a bundle folder
    device       cpu, cuda, tensorrt, or auto for the best that is there
    num_threads  per graph; 0 lets onnxruntime decide
    spinning     let threads wait busily while a graph runs; False is kinder to a busy machine
    tensorrt_cache, tensorrt_fp16  see `SessionConfig`; only TensorRT heeds them

    Raise `BundleError` for a missing or broken bundle, `ValueError` for a device not there.
    """

    def __init__(
        self,
        model: str | Path = 'compact',
        *,
        device: str = 'cpu',
        num_threads: int = 0,
        spinning: bool = True,
        tensorrt_cache: Path | None = None,
        tensorrt_fp16: bool = False,
    ) -> None:
        self._config = config = SessionConfig(
            device, num_threads, spinning, tensorrt_cache, tensorrt_fp16
        )
        bundle = load_bundle(model)
        self.metadata: BundleMetadata = bundle.metadata
        self.fit = ImageFitter(bundle.metadata.input_long_side, bundle.metadata.input_alignment)
        self.spatial_encoder = SpatialEncoder(bundle, config)
        self.pose_decoder = PoseDecoder(bundle, config)
        self.joint_decoder = (
            JointDecoder(bundle, config) if 'joint_decoder' in bundle.metadata.graphs else None
        )

    @property
    def _graphs(self) -> tuple[OnnxGraph, ...]:
        blocks = (self.spatial_encoder, self.pose_decoder, self.joint_decoder)
        return tuple(block.graph for block in blocks if block is not None)

    @property
    def providers(self) -> tuple[str, ...]:
        """Return the onnxruntime providers really in use."""
        return _each_once(graph.providers for graph in self._graphs)

    @property
    def not_started(self) -> tuple[str, ...]:
        """Return the providers that `auto` was offered and could not have."""
        return _each_once(graph.not_started for graph in self._graphs)

    @property
    def fallback(self) -> str:
        """Return a sentence about them, or nothing."""
        if not self.not_started:
            return ''
        return (
            f'this onnxruntime offers {" and ".join(self.not_started)}, but could not start it; '
            f'the model runs on {", ".join(self.providers)}: python3 -m pavenet_core.cli info '
            '--system says what is missing, and a device that is named instead of auto keeps this '
            'silent'
        )

    def warm_up(self, size: tuple[int, int]) -> None:
        """
        Run everything for pictures of this width and height; the first run is a slow one.

        As many people as the model's rules allow are decoded, on TensorRT then one too: its
        engines, built meanwhile, are good for all numbers between.
        """
        is_bounded = PROVIDERS['tensorrt'] in self.providers
        window = [self.encode(np.zeros((size[1], size[0], 3), np.uint8))]
        for people in (self.metadata.postprocess.max_people, 1)[: 1 + is_bounded]:
            self.decode(
                window * self.metadata.num_frames,
                stamp_ns=0,
                size=size,
                score_threshold=0.0,
                max_people=people,
            )

    def build_engines(self, sizes: Sequence[tuple[int, int]]) -> None:
        """
        Leave TensorRT's engines for these widths and heights of pictures in the cache.

        Raise `ValueError` if the model does not run on TensorRT, or without a cache.
        """
        if PROVIDERS['tensorrt'] not in self.providers:
            raise ValueError(
                f'there are no engines to build: the model runs on {", ".join(self.providers)}; '
                'choose device tensorrt'
            )
        if self._config.tensorrt_cache is None:
            raise ValueError('there is no folder to build engines into; set tensorrt_cache')
        for size in sizes:
            self.warm_up(size)

    def encode(self, image: NDArray[np.uint8]) -> Features:
        """Return what windows need of a picture, (h, w, 3) uint8 BGR."""
        return self.spatial_encoder(self.fit(image))

    def decode(
        self,
        window: Sequence[Features],
        *,
        stamp_ns: int,
        size: tuple[int, int],
        score_threshold: float,
        max_people: int,
    ) -> Poses:
        """
        Find the people of a window's key frame.

        window           T encoded frames, the key frame in the middle
        stamp_ns, size   of the key frame; width and height in pixels of the source picture
        """
        scores, poses, sigmas = self.pose_decoder(window)
        people = select_people(scores, score_threshold, max_people)
        poses = poses.take(people, axis=2)
        if self.joint_decoder is None:
            assert sigmas is not None
            keypoints, sigmas = poses[0, self.metadata.key_frame], sigmas[people]
        else:
            keypoints, sigmas = self.joint_decoder(window, poses)
        return to_poses(
            stamp_ns,
            size,
            scores[people],
            keypoints,
            sigmas,
            self.metadata.skeleton,
            self.metadata.postprocess,
            poses[0].swapaxes(0, 1),
        )


def _each_once(groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for group in groups for name in group))
