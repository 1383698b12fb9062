import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from pavenet_core.video import VideoWriter, open_sources, read_image, write_image


def write_video(path: Path, brightnesses: list[int], fps: float = 20) -> Path:
    with VideoWriter(path, fps) as video:
        for brightness in brightnesses:
            video.write(np.full((48, 64, 3), brightness, np.uint8))
    return path


def test_a_video_comes_back_frame_by_frame_with_its_times(tmp_path: Path) -> None:
    [source] = open_sources(write_video(tmp_path / 'a.mp4', [20, 80, 140, 200]))
    frames = list(source.frames())
    assert not source.is_still
    assert (source.fps, source.num_frames) == (20, 4)
    assert [frame.stamp_ns for frame in frames] == [0, 50_000_000, 100_000_000, 150_000_000]
    means = [float(frame.image.mean()) for frame in frames]
    np.testing.assert_allclose(means, [20, 80, 140, 200], atol=4)
    assert len(list(source.frames())) == 4


def test_a_picture_is_a_still(tmp_path: Path) -> None:
    write_image(tmp_path / 'a.png', np.full((5, 7, 3), 9, np.uint8))
    [source] = open_sources(tmp_path / 'a.png')
    [frame] = source.frames()
    assert source.is_still
    assert frame.stamp_ns == 0
    assert frame.image.shape == (5, 7, 3)


def test_a_gray_picture_comes_as_three_channels(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / 'a.png'), np.full((5, 7), 9, np.uint8))
    assert read_image(tmp_path / 'a.png').shape == (5, 7, 3)


def test_a_folder_gives_its_pictures_by_name_and_nothing_else(tmp_path: Path) -> None:
    for name in ('b.jpg', 'a.PNG', 'c.webp'):
        write_image(tmp_path / name, np.zeros((4, 4, 3), np.uint8))
    (tmp_path / 'labels.json').write_text('{}')
    assert [s.path.name for s in open_sources(tmp_path)] == ['a.PNG', 'b.jpg', 'c.webp']


def test_a_picture_is_turned_as_the_camera_said(tmp_path: Path) -> None:
    pillow = pytest.importorskip('PIL.Image')
    exif = pillow.Exif()
    exif[0x0112] = 6  # turn by a quarter to see it upright
    pillow.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / 'a.jpg', exif=exif)
    assert read_image(tmp_path / 'a.jpg').shape == (30, 20, 3)


def test_what_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'nothing\.mp4 does not exist'):
        open_sources(tmp_path / 'nothing.mp4')
    with pytest.raises(ValueError, match='has no pictures'):
        open_sources(tmp_path)
    for content in (b'', b'no video ' * 1000):
        (tmp_path / 'broken.mp4').write_bytes(content)
        with pytest.raises(ValueError, match=r'broken\.mp4 cannot be read as a video'):
            open_sources(tmp_path / 'broken.mp4')
    (tmp_path / 'broken.jpg').write_bytes(b'no picture')
    with pytest.raises(ValueError, match=r'broken\.jpg cannot be read as a picture'):
        list(open_sources(tmp_path / 'broken.jpg')[0].frames())


def test_a_picture_with_a_damaged_size_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / 'vast.png'
    write_image(file, np.zeros((8, 8, 3), np.uint8))
    data = bytearray(file.read_bytes())
    data[16:24] = struct.pack('>II', 70000, 70000)
    data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    file.write_bytes(data)
    with pytest.raises(ValueError, match=r'vast\.png cannot be read as a picture'):
        read_image(file)


def test_a_video_cut_short_is_refused_at_once(tmp_path: Path) -> None:
    path = write_video(tmp_path / 'a.mp4', [20] * 30)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ValueError, match='cannot be read as a video'):
        open_sources(path)


def test_outputs_that_cannot_be_are_one_sentence(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match='cannot write the picture'):
        write_image(tmp_path / 'missing' / 'a.jpg', image)
    with (
        pytest.raises(ValueError, match='cannot write a video'),
        VideoWriter(tmp_path / 'missing' / 'a.mp4', 20) as video,
    ):
        video.write(image)
