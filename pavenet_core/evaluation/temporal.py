"""What seeing several frames is worth: the same weights on one frame and on windows."""

from collections.abc import Sequence
from dataclasses import dataclass

from pavenet_core.bundle import BundleMetadata
from pavenet_core.data.dataset import Dataset
from pavenet_core.evaluation.degrade import CHANGES, degrade
from pavenet_core.evaluation.windows import (
    WINDOWS,
    ClipEncoder,
    decode,
    neighbours_of,
    rising,
)
from pavenet_core.metrics import oks_ap
from pavenet_core.metrics.motion import jitter
from pavenet_core.metrics.people import match_dataset, missed_rate
from pavenet_core.poses import Poses
from pavenet_core.runtime import PoseModel

CLEAN = 'clean'
CONDITIONS = (CLEAN, *CHANGES)


@dataclass(frozen=True)
class TemporalRow:
    """
    One line of the table; None where the labels don't say.

    key_frame   what was done to the key frame alone, one of `CONDITIONS`
    window      one of `WINDOWS`
    AP, AP50, AR  by OKS
    missed      share of labelled people not found at the usual score
    jitter      sizes of the person per step squared
    """

    key_frame: str
    window: str
    AP: float | None
    AP50: float | None
    AR: float | None
    missed: float | None
    jitter: float | None


def check_windows(metadata: BundleMetadata) -> None:
    """Refuse a model that sees no window."""
    if metadata.num_frames == 1:
        raise ValueError(f'{metadata.name} sees one frame: there are no windows to compare')


def compare_windows(
    model: PoseModel,
    dataset: Dataset,
    *,
    step: int = 1,
    interval_s: float | None = None,
    seed: int = 0,
) -> list[TemporalRow]:
    """
    Measure each window on clean and on degraded key frames, whose neighbours stay clean.

    Where a window repeats its key frame it repeats the degraded one.
    """
    check_windows(model.metadata)
    windows = {
        name: neighbours_of(name, model.metadata, step=step, interval_s=interval_s)
        for name in WINDOWS
    }
    encoder = ClipEncoder(model)
    found: dict[tuple[str, str], dict[int, Poses]] = {
        (condition, name): {} for condition in CONDITIONS for name in WINDOWS
    }
    for place, frame in rising(dataset):
        clip, key = frame.clip, frame.index
        image = clip.read(key)
        indices = {name: neighbours.indices(clip, key) for name, neighbours in windows.items()}
        everything = sorted({i for chosen in indices.values() for i in chosen})
        clean = dict(zip(everything, encoder.window(frame, everything), strict=True))
        keys = {CLEAN: clean[key]} | {
            change: encoder.encode(degrade(image, change, seed + place)) for change in CHANGES
        }
        for condition, key_frame in keys.items():
            seen = {**clean, key: key_frame}
            for name, chosen in indices.items():
                window = [seen[index] for index in chosen]
                found[condition, name][place] = decode(model, window, 0.0)
    return [
        _row(condition, name, dataset, [poses[place] for place in range(len(dataset.frames))])
        for (condition, name), poses in found.items()
    ]


def _row(condition: str, window: str, dataset: Dataset, poses: Sequence[Poses]) -> TemporalRow:
    accuracy = oks_ap(dataset, poses)
    matches = match_dataset(dataset, poses)
    return TemporalRow(
        condition,
        window,
        accuracy['AP'],
        accuracy['AP50'],
        accuracy['AR'],
        missed_rate(matches),
        jitter(dataset, poses, matches),
    )
