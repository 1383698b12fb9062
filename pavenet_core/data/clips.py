"""Where each picture that annotations list is: in which clip, and the how-manieth frame."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pavenet_core.data.dataset import Clip
from pavenet_core.data.pictures import Pictures, split_number

Place = tuple[Clip, int]


def consecutive(numbers: Iterable[int]) -> list[list[int]]:
    """Split numbers into runs without a gap, in rising order."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def place_frames(name: str, files: Mapping[int, Path], fps: float | None) -> dict[int, Place]:
    """
    Make clips of one video's frames, given by number.

    A gap in the numbers ends a clip: the frames on its far side are no neighbours.
    """
    places = {}
    for run in consecutive(files):
        clip = Clip(
            name=name if len(run) == len(files) else f'{name}:{run[0]}',
            files=tuple(files[number] for number in run),
            stamps_ns=None if fps is None else stamps(run, fps),
        )
        places.update({number: (clip, index) for index, number in enumerate(run)})
    return places


def stamps(numbers: Iterable[int], fps: float) -> tuple[int, ...]:
    """Return the times of a video's frames."""
    return tuple(round(number * 1e9 / fps) for number in numbers)


def place_sequence(
    pictures: Pictures, name: str, listed: Sequence[str], needed: Sequence[str]
) -> dict[str, Place]:
    """
    Find the needed pictures of a sequence in its folder; all that lie there are their neighbours.

    listed  the names of all pictures that the annotations know, needed or not
    """
    folder = pictures.folder(listed[0])
    files = pictures.numbered(folder, listed[0]) if folder else {}
    if not files:
        raise pictures.absent(listed[0])
    shift = _shift(pictures, listed, needed, files)
    places = place_frames(name, files, None)
    found = {}
    for picture in needed:
        place = places.get(split_number(picture)[1] + shift)
        if place is None:
            raise pictures.absent(picture)
        found[picture] = place
    return found


def _shift(
    pictures: Pictures, listed: Sequence[str], needed: Sequence[str], files: Mapping[int, Path]
) -> int:
    """
    Return what to add to the annotations' numbers to get the files'.

    Where names differ, as in copies of PoseTrack that were renamed, one side may count from 0 and
    the other from 1: then the first and the last of both belong together.
    """
    there = {path.name for path in files.values()}
    absent = [name for name in listed if PurePosixPath(name).name not in there]
    if not absent:
        return 0
    numbers = [split_number(name)[1] for name in listed]
    shift = min(files) - min(numbers)
    if abs(shift) <= 1 and max(files) - max(numbers) == shift:
        return shift
    if set(absent).isdisjoint(needed):
        return 0
    raise pictures.absent(next(name for name in needed if name in absent))
