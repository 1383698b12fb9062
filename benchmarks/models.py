"""Variants of the shipped model to measure, made once into a cache folder."""

from dataclasses import replace
from pathlib import Path

from pavenet_core.benchmark import drifting_picture
from pavenet_core.bundle import load_bundle

ROOT = Path(__file__).parents[1]
CACHE = ROOT / '.bench'
WEIGHTS = ROOT / 'models/compact.pt'
PICTURES = 8  # to find ranges for int8; which they are makes no difference to the speed


def variant(**changes: object) -> Path:
    """
    Return `compact` in int8 with another configuration.

    What of its weights does not fit the change stays random: the speed is the same.
    """
    path = CACHE / '_'.join(['compact', *(f'{k}{v}' for k, v in changes.items())])
    if is_stale(path):
        make(path, changes)
    return path


def make(path: Path, changes: dict[str, object]) -> None:
    """Export and quantise it."""
    import torch

    from pavenet_core.export import export_bundle
    from pavenet_core.export.quantise import quantise_to_int8
    from pavenet_core.model import PaveNet
    from pavenet_core.model.checkpoint import read_weights

    weights = read_weights(WEIGHTS)
    torch.manual_seed(0)
    model = PaveNet(replace(weights.config, **changes))
    own = model.state_dict()
    trained = weights.network.items()
    fits = {n: x for n, x in trained if n in own and own[n].shape == x.shape}
    model.load_state_dict(fits, strict=False)
    exact = path.with_name(f'{path.name}_float')
    export_bundle(model, exact)
    picture = drifting_picture((640, 480))
    pictures = (picture(i) for i in range(PICTURES))
    quantise_to_int8(load_bundle(exact), pictures, path, lambda: None)


def is_stale(path: Path) -> bool:
    """Return whether a bundle is not there, or older than the code that makes it."""
    written = path / 'metadata.json'
    sources = (ROOT / 'pavenet_core').rglob('*.py')
    return not written.is_file() or written.stat().st_mtime < max(
        source.stat().st_mtime for source in sources
    )
