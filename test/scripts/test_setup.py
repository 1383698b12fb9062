"""What setup and the environment say where they can't do their work."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / 'scripts'


@pytest.fixture
def run(tmp_path: Path) -> object:
    """Give what runs a bash line in a copy of the scripts, in a folder of this name."""

    def in_copy(name: str, line: str) -> subprocess.CompletedProcess[str]:
        shutil.copytree(SCRIPTS, tmp_path / name / 'scripts')
        return subprocess.run(
            ['bash', '-c', line],
            cwd=tmp_path / name,
            capture_output=True,
            text=True,
            check=False,
        )

    return in_copy


@pytest.mark.parametrize(
    ('folder', 'line', 'message'),
    [
        ('here', 'scripts/setup', '[setup] say what for: scripts/setup demo, or'),
        ('here', 'scripts/setup tset', '[setup] say what for: scripts/setup demo, or'),
        ('a b', 'scripts/setup demo', 'a b has a space; move the repository'),
        ('here', '. scripts/env', 'here/.venv yet; make it with: scripts/setup demo'),
    ],
)
def test_it_is_one_sentence(run: object, folder: str, line: str, message: str) -> None:
    done = run(folder, line)
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count('\n') == 1
    assert done.stdout == ''
