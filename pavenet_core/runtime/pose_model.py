"""One model in memory, for any number of videos."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pavenet_core.bundle import BundleMetadata, load_bundle
from pavenet_core.poses import Poses
from pavenet_core.runtime.blocks import Features, JointDecoder, PoseDecoder, SpatialEncoder
from pavenet_core.runtime.postprocess import select_people, to_poses
from pavenet_core.runtime.preprocess import ImageFitter
from pavenet_core.runtime.session import SessionConfig


class PoseModel:
    """
    The three graphs of a bundle, opened.

    model        name of a shipped bundle, or path of a bundle folder
    device       cpu, cuda, tensorrt, or auto for the best that is there
    num_threads  per graph; 0 lets onnxruntime decide
    spinning     let threads wait busily while a graph runs; False is kinder to a busy machine
    trt_cache, trt_fp16  see `SessionConfig`; only TensorRT heeds them

    Raise `BundleError` for a missing or broken bundle, `ValueError` for a device not there.
    """

    def __init__(
        self,
        model: str | Path = 'compact',
        *,
        device: str = 'cpu',
        num_threads: int = 0,
        spinning: bool = True,
        trt_cache: Path | None = None,
        trt_fp16: bool = False,
    ) -> None:
        config = SessionConfig(device, num_threads, spinning, trt_cache, trt_fp16)
        bundle = load_bundle(model)
        self.metadata: BundleMetadata = bundle.metadata
        self.fit = ImageFitter(bundle.metadata.input_long_side, bundle.metadata.input_alignment)
        self.spatial_encoder = SpatialEncoder(bundle, config)
        self.pose_decoder = PoseDecoder(bundle, config)
        self.joint_decoder = JointDecoder(bundle, config)

    @property
    def providers(self) -> tuple[str, ...]:
        """Return the onnxruntime providers really in use."""
        blocks = (self.spatial_encoder, self.pose_decoder, self.joint_decoder)
        return tuple(dict.fromkeys(p for block in blocks for p in block.graph.providers))

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

        window           T encoded frames, earliest first
        stamp_ns, size   of the key frame; width and height in pixels of the source picture
        """
        scores, poses = self.pose_decoder(window)
        people = select_people(scores, score_threshold, max_people)
        poses = poses.take(people, axis=2)
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
