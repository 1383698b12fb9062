"""Videos and pictures on disk: read as frames, written with what was drawn on them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core.poses import Frame

Image = NDArray[np.uint8]
IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')


@dataclass(frozen=True)
class Source:
    """
    A video, or one picture.

    fps         frames per second as the file says; None for a picture
    num_frames  as the file says, which may be a little off; 0 if it doesn't
    """

    path: Path
    fps: float | None
    num_frames: int

    @property
    def is_still(self) -> bool:
        """Say whether it is one picture."""
        return self.fps is None

    def frames(self) -> Iterator[Frame]:
        """Read it; the stamps count from its beginning and rise."""
        if self.fps is None:
            return iter([Frame(read_image(self.path), 0)])
        return _video_frames(self.path, self.fps)


def open_sources(path: Path) -> list[Source]:
    """
    Open a video, a picture, or all pictures of a folder in the order of their names.

    Raise `ValueError` in one sentence if there is nothing that can be read.
    """
    if path.is_dir():
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES)
        if not pictures:
            raise ValueError(f'folder {path} has no pictures ({" ".join(IMAGE_SUFFIXES)})')
        return [Source(picture, None, 1) for picture in pictures]
    if not path.exists():
        raise ValueError(
            f'{path} does not exist; give a video, a picture, a folder of pictures or a rosbag'
        )
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return [Source(path, None, 1)]
    capture = _open_video(path)
    fps, num_frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
    capture.release()
    return [Source(path, fps if 0 < fps < 1000 else 25.0, max(0, int(num_frames)))]


def read_image(path: Path) -> Image:
    """Read a picture as BGR, (h, w, 3), turned as its camera said; `ValueError` if it is none."""
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    except cv2.error:  # its header promises more pixels than OpenCV takes
        image = None
    if image is None:
        raise ValueError(f'{path} cannot be read as a picture; it is missing, damaged or no image')
    return np.asarray(image, np.uint8)


def write_image(path: Path, image: Image) -> None:
    """Write a picture in the format that the name ends in; `ValueError` if that can't be."""
    if not cv2.imwrite(str(path), image):
        raise ValueError(f'cannot write the picture {path}; is its folder there and writable?')


class VideoWriter:
    """An MP4 file of pictures, scaled to the size of the first; use it with `with`."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.fps = fps
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def __enter__(self) -> 'VideoWriter':
        """Give itself; the file is made with the first picture."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.release()

    def write(self, image: Image) -> None:
        """Add one picture."""
        size = (image.shape[1], image.shape[0])
        if self._writer is None:
            self._writer, self._size = self._open(size), size
        # OpenCV would leave out a picture of another size, without a word.
        self._writer.write(image if size == self._size else cv2.resize(image, self._size))

    def _open(self, size: tuple[int, int]) -> cv2.VideoWriter:
        codec = cv2.VideoWriter.fourcc(*'mp4v')
        writer = cv2.VideoWriter(str(self.path), codec, self.fps, size)
        if not writer.isOpened():
            raise ValueError(f'cannot write a video to {self.path}; give a writable name in .mp4')
        return writer


def _open_video(path: Path) -> cv2.VideoCapture:
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened() or not capture.grab():
        raise ValueError(f'{path} cannot be read as a video; it is damaged or of another kind')
    capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
    return capture


def _video_frames(path: Path, fps: float) -> Iterator[Frame]:
    capture = cv2.VideoCapture(str(path))
    step_ns, stamp_ns = round(1e9 / fps), -1
    while True:
        read, image = capture.read()
        if not read:
            break
        time_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        # Some files give no times, or the same one twice: then the frame rate is all there is.
        if time_ns <= stamp_ns:
            time_ns = max(0, stamp_ns + step_ns)
        stamp_ns = time_ns
        yield Frame(np.asarray(image, np.uint8), stamp_ns)
    capture.release()
