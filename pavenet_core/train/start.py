"""What training begins with."""

from pathlib import Path

from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import load_checkpoint
from pavenet_core.presets import PRESETS
from pavenet_core.train.initial_weights import load_movenet_trunk


def start_model(
    preset: str, num_frames: int, *, trunk: Path | None = None, checkpoint: Path | None = None
) -> PaveNet:
    """Build a preset's network with fresh weights, or go on from an earlier checkpoint's."""
    if checkpoint is not None:
        return load_checkpoint(checkpoint, num_frames)
    if preset not in PRESETS:
        raise ValueError(f'no model {preset!r}; there are {sorted(PRESETS)}')
    model = PaveNet(PRESETS[preset].with_frames(num_frames))
    if trunk is not None:
        load_movenet_trunk(model.backbone.trunk, trunk)
    return model
