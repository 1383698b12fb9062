import os
from pathlib import Path

import pytest

from pavenet_core.cli.output_file import check_writable


def test_what_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    (tmp_path / 'there.json').write_text('{}')
    check_writable(tmp_path / 'there.json')
    check_writable(tmp_path / 'new.json')
    assert [path.name for path in tmp_path.iterdir()] == ['there.json']
    assert (tmp_path / 'there.json').read_text() == '{}'


def test_a_pipe_is_not_touched(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    check_writable(tmp_path / 'pipe')  # opening it would wait for a reader


@pytest.mark.parametrize('name', ['.', 'missing/poses.json'])
def test_what_can_not_be_written_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r'^cannot write .*; choose another name$'):
        check_writable(tmp_path / name)
