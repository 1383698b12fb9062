from contextlib import ExitStack
from pathlib import Path

import pytest

from pavenet_core.cli.output_folder import OutputFolder, digest_files

MADE = {'model': 'a', 'files': {'x': [1, 2]}}


def test_a_folder_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / 'deep' / 'walk', MADE)
    assert not folder.is_done()
    with folder.filled() as partial:
        (partial / 'poses.json').write_text('{}')
        assert not folder.path.exists()
        assert not folder.is_done()
    assert folder.is_done()
    assert (folder.path / 'poses.json').read_text() == '{}'
    assert list(folder.path.parent.iterdir()) == [folder.path]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / 'walk', MADE)
    with pytest.raises(KeyboardInterrupt), folder.filled():
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_worker_of_a_killed_run_can_not_pass_off_a_half_written_folder(tmp_path: Path) -> None:
    """It is still at work when the next run begins, and ends before that one does."""
    folder = OutputFolder(tmp_path / 'walk', MADE)
    new = ExitStack()
    with pytest.raises(OSError), folder.filled() as old:
        (old / 'poses.json').write_text('old')
        partial = new.enter_context(folder.filled())
    assert not folder.path.exists()
    (partial / 'poses.json').write_text('new')
    new.close()
    assert (folder.path / 'poses.json').read_text() == 'new'


def test_leftovers_of_other_bags_stay(tmp_path: Path) -> None:
    """Of bags whose names begin alike, which another worker may be at."""
    other = OutputFolder(tmp_path / 'walk.2', MADE)
    with other.filled() as partial:
        with OutputFolder(tmp_path / 'walk', MADE).filled():
            assert partial.is_dir()
        assert partial.is_dir()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / 'walk', MADE)
    folder.path.mkdir()
    with pytest.raises(ValueError, match=r'walk is there already, and not by this command'):
        folder.is_done()
    folder.path.rmdir()
    with folder.filled():
        pass
    with pytest.raises(ValueError, match=r'made otherwise \(model was a, other files\)'):
        OutputFolder(folder.path, {'model': 'b', 'files': {}}).is_done()


def test_the_digest_is_of_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / 'a').write_text('1')
    before = digest_files(tmp_path)
    assert digest_files(tmp_path) == before
    (tmp_path / 'a').write_text('2')
    assert digest_files(tmp_path) != before
