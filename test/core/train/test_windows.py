from pathlib import Path

import numpy as np
import pytest

from pavenet_core.train.windows import read_windows


def test_frames_beyond_the_ends_repeat(windows_file: Path) -> None:
    video, still = read_windows(windows_file, 17)[:2]
    assert [Path(name).name for name in video.frames] == ['0_0.png', '0_1.png', '0_2.png']
    assert np.array_equal(video.read(-5), video.read(-1))
    assert np.array_equal(still.read(1), still.read(0))


def test_other_skeletons_and_missing_images_are_named(windows_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r'windows.jsonl:1 has people of other than 15 keypoints'):
        read_windows(windows_file, 15)
    moved = tmp_path / 'moved.jsonl'
    moved.write_text(windows_file.read_text())
    with pytest.raises(ValueError, match=r'cannot read the training image .*0_1\.png'):
        read_windows(moved, 17)[0].read(0)
    empty = tmp_path / 'empty.jsonl'
    empty.touch()
    with pytest.raises(ValueError, match='has no windows'):
        read_windows(empty, 17)
