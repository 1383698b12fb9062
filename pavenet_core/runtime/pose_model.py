"""One model in memory, for any number of videos."""

from pathlib import Path

from pavenet_core.bundle import BundleMetadata, load_bundle
from pavenet_core.runtime.blocks import JointDecoder, PoseDecoder, SpatialEncoder
from pavenet_core.runtime.preprocess import ImageFitter
from pavenet_core.runtime.session import SessionConfig


class PoseModel:
    """
    The three graphs of a bundle, opened.

    model        name of a shipped bundle, or path of a bundle folder
    device       cpu, cuda, tensorrt, or auto for the best that is there
    num_threads  per graph; 0 lets onnxruntime decide
    spinning     let threads wait busily while a graph runs; False is kinder to a busy machine

    Raise `BundleError` for a missing or broken bundle, `ValueError` for a device not there.
    """

    def __init__(
        self,
        model: str | Path = 'compact',
        *,
        device: str = 'cpu',
        num_threads: int = 0,
        spinning: bool = True,
    ) -> None:
        config = SessionConfig(device, num_threads, spinning)
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
