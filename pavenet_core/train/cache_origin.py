"""What a cache of features was made of, so that it serves no other weights or data."""

import json
import os
from collections.abc import Iterable
from dataclasses import fields
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pavenet_core.data.dataset import Dataset
from pavenet_core.train.canvas import CanvasMaker

if TYPE_CHECKING:
    from pavenet_core.model import PaveNet

NOTE = 'made_of.json'


def claim(folder: Path, model: 'PaveNet', maker: CanvasMaker) -> None:
    """Note in a new cache what it is made of; `ValueError` if it is made of something else."""
    note, ours = folder / NOTE, origin(model, maker)
    if note.is_file():
        theirs = json.loads(note.read_text())
        others = [f'other {name}' for name, digest in ours.items() if theirs.get(name) != digest]
    else:
        others = [f'things unknown, as it lacks {NOTE}'] if any(folder.glob('[0-9]*')) else []
    if others:
        raise ValueError(
            f'the cache {folder} was made with {" and ".join(others)}; give another --cache, or '
            'remove this one to have it made anew'
        )
    if not note.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f'{NOTE}.{os.getpid()}'  # other processes write the same
        partial.write_text(json.dumps(ours, indent=1))
        partial.replace(note)


def origin(model: 'PaveNet', maker: CanvasMaker) -> dict[str, str]:
    """Return a digest of each thing that changes what the cache holds, by a name for it."""
    tensors = {**model.backbone.state_dict(), 'mean': model.pixel_mean, 'std': model.pixel_std}
    drawn = [getattr(maker, field.name) for field in fields(maker) if field.name != 'dataset']
    return {
        'weights': _digest(
            part for name in sorted(tensors) for part in (name, tensors[name].cpu().numpy())
        ),
        'pictures or labels': _digest(_data(maker.dataset)),
        'frames or canvases': _digest([repr(drawn)]),
    }


def _data(dataset: Dataset) -> Iterable[str | np.ndarray]:
    """Yield all that is known of a dataset without reading pictures."""
    yield repr(dataset.skeleton)
    described: set[str] = set()
    for frame in dataset.frames:
        clip, labels = frame.clip, frame.labels
        if clip.name not in described:
            described.add(clip.name)
            yield repr([(file.name, file.stat().st_size) for file in clip.files])
        yield f'{clip.name} {frame.index}'
        yield from (labels.keypoints, labels.areas, labels.boxes, labels.crowds)
        yield from labels.ignore_regions


def _digest(parts: Iterable[str | np.ndarray]) -> str:
    digest = sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part.tobytes())
    return digest.hexdigest()
