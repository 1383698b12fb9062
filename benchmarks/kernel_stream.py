"""What three frames cost against one on a GPU, where each frame is encoded and projected once."""

import torch
from kernel_forms import load_kernel
from kernel_in_model import (
    LARGE,
    PEOPLE,
    SMALL,
    configs,
    constants_kept,
    in_precision,
    latency,
    make_network,
)
from kernel_report import Facts, Report
from torch import Tensor

from pavenet_core.model import PaveNet
from pavenet_core.model.deformable_attention import TokenValues, Values, by_window
from pavenet_core.model.spatial_encoder import Memory


class Stream:
    """A network that has encoded a frame's neighbours already, and gets the next frame."""

    def __init__(self, model: PaveNet, size: tuple[int, int], report: Report) -> None:
        self.model, self.decoders = model, [model.pose_decoder, model.joint_decoder]
        alignment = model.config.input_alignment
        height, width = (-(-side // alignment) * alignment for side in size)
        self.image = torch.randn(1, 3, height, width, device=report.device)
        self.size = torch.tensor([size], device=report.device)
        with torch.inference_mode():
            self.cached = [self._values(self._encode())] * (model.config.num_frames - 1)

    def __call__(self) -> Tensor:
        """Encode one frame and decode the window that it completes; return the keypoints."""
        with torch.inference_mode():
            memory = self._encode()
            newest = self._values(memory)
            frames = self.model.config.num_frames
            pose_values, joint_values = (
                [
                    by_window(
                        _joined([frame[kind][layer] for frame in (*self.cached, newest)]), frames
                    )
                    for layer in range(len(newest[kind]))
                ]
                for kind in range(2)
            )
            _, queries = self.model.query_selection(memory)
            layers, poses = self.model.pose_decoder(queries, pose_values, memory.valid_ratios)
            scores = layers[-1].class_logits
            best = scores.topk(min(PEOPLE, scores.shape[1]), 1).indices[:, None, :, None, None]
            chosen = poses.gather(2, best.expand(-1, poses.shape[1], -1, *poses.shape[3:]))
            ratios = memory.valid_ratios[:, None].expand(-1, frames, -1, -1)
            return self.model.joint_decoder(chosen, joint_values, ratios)[-1].keypoints

    def _encode(self) -> Memory:
        # The picture fills its canvas, so the host need not be asked for its size.
        return self.model.encode_maps(self.model.backbone(self.image), self.size)

    def _values(self, memory: Memory) -> list[list[Values]]:
        return [self.model.frame_values(decoder, memory) for decoder in self.decoders]


def _joined(frames: list[Values]) -> Values:
    """Line up the values of several frames, each of one picture."""
    if isinstance(frames[0], TokenValues):
        return frames[0]._replace(tokens=torch.cat([frame.tokens for frame in frames]))
    return [torch.cat(levels) for levels in zip(*frames, strict=True)]


def stream(report: Report) -> None:
    """Time the smallest network with one frame and with three, the same weights in both."""
    load_kernel(report)
    config = configs(report)[0]
    for size in ((64, 96),) if report.dry_run else (SMALL, LARGE):
        for frames in (1, 3):
            model = make_network(config.with_frames(frames), report)
            name = f'{config.name} {size[0]}x{size[1]}, {frames} frames'
            for kind in ('float32',) if report.dry_run else ('float16', 'float32'):

                def measure(
                    model: PaveNet = model, size: tuple[int, int] = size, kind: str = kind
                ) -> Facts:
                    # The cached frames, too, are to be in this precision.
                    with in_precision(kind), constants_kept():
                        return latency(Stream(model, size, report), report)

                report.attempt(f'{name}, {kind}', measure)
