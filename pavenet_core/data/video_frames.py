"""The frames of a video that are needed, taken out once and kept as pictures."""

import json
import math
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import cv2

REACH_S = 0.1  # neighbours within this time of a labelled frame are kept
REACH_FRAMES = 2  # and at least so many on either side, as five frames are the largest window
NOTE = 'video.json'  # what is known of the video, beside its frames
QUALITY = 95  # of the JPEG files


def reach(video: Path) -> int:
    """Return how many neighbours on either side of a labelled frame to keep."""
    return max(REACH_FRAMES, math.ceil(REACH_S * _frame_rate(video)))


def extract_frames(
    video: Path, wanted: Iterable[int], folder: Path
) -> tuple[float, dict[int, Path], int | None]:
    """
    Return frames per second, the files of the wanted frames that the video has, and its length.

    The length is None where no frame beyond it was wanted, so that nobody looked for its end.

    What an earlier call wrote stays, unless the video is another one now; a stopped call is gone
    on with. Frames count from 0 and are as a player shows them.
    """
    fps = _frame_rate(video)
    known = _open_folder(folder, video)
    files = {number: folder / f'{number:06d}.jpg' for number in sorted(wanted) if number >= 0}
    length = known['length']
    missing = {
        number: path
        for number, path in files.items()
        if (length is None or number < length) and not path.exists()
    }
    if missing:
        length = _decode(video, missing)
        if length is not None:
            _write_note(folder, {**known, 'length': length})
    return fps, {number: path for number, path in files.items() if path.exists()}, length


def _open_folder(folder: Path, video: Path) -> dict[str, int | None]:
    """Make the folder, empty if it has another video's frames, and return what it notes."""
    facts: dict[str, int | None] = {'bytes': video.stat().st_size, 'length': None}
    note = folder / NOTE
    if note.exists():
        noted: dict[str, int | None] = json.loads(note.read_text())
        if noted['bytes'] == facts['bytes']:
            return noted
        shutil.rmtree(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write_note(folder, facts)
    except OSError as error:
        raise ValueError(f'cannot keep frames of {video} in {folder}: {error}') from error
    return facts


def _write_note(folder: Path, facts: dict[str, int | None]) -> None:
    """Write as a whole or not at all: one that was cut short would be no JSON ever after."""
    partial = folder / f'{NOTE}.partial'
    partial.write_text(json.dumps(facts))
    partial.replace(folder / NOTE)


def _decode(video: Path, wanted: dict[int, Path]) -> int | None:
    """Write frames in one pass; return how many the video has if its end came first."""
    capture = cv2.VideoCapture(str(video))
    last, number = max(wanted), 0
    while number <= last and capture.grab():
        if number in wanted:
            read, image = capture.retrieve()
            if not read:
                break
            path = wanted[number]
            partial = path.with_suffix('.partial.jpg')
            if not cv2.imwrite(str(partial), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY]):
                raise ValueError(f'cannot write {partial}; is the disk full?')
            os.replace(partial, path)
        number += 1
    capture.release()
    return number if number <= last else None


def _frame_rate(video: Path) -> float:
    if not video.is_file():
        raise ValueError(f'no video {video}; the folder of the pictures is where videos lie too')
    capture = cv2.VideoCapture(str(video))
    opened, fps = capture.isOpened(), capture.get(cv2.CAP_PROP_FPS)
    capture.release()
    if not opened:
        raise ValueError(f'{video} cannot be read as a video; it is damaged or of another kind')
    return float(fps) if 0 < fps < 1000 else 25.0
