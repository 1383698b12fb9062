"""Bundles to measure, exported once into a cache folder."""

from dataclasses import replace
from pathlib import Path

from pavenet_core.config import ModelConfig

ROOT = Path(__file__).parents[1]
CACHE = ROOT / '.bench'


def is_stale(path: Path) -> bool:
    """Return whether a bundle is not there, or older than the code that makes it."""
    written = path / 'metadata.json'
    sources = (ROOT / 'pavenet_core').rglob('*.py')
    return not written.is_file() or written.stat().st_mtime < max(
        source.stat().st_mtime for source in sources
    )


def random_weights(config: ModelConfig, **changes: object) -> Path:
    """Return a bundle of a network with random weights: its speed is that of a trained one."""
    import torch

    from pavenet_core.export import export_bundle
    from pavenet_core.model import PaveNet

    config = replace(config, **changes)
    path = CACHE / '_'.join([config.name, *(f'{k}{v}' for k, v in changes.items())])
    if is_stale(path):
        torch.manual_seed(0)
        export_bundle(PaveNet(config), path)
    return path
