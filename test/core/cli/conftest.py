"""The command as a user starts it, in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
PAVENET = 'import sys; from pavenet_core.cli import main; sys.exit(main())'


def run_in_process(
    *words: object, code: str = PAVENET, folder: Path = REPOSITORY, python_path: str = ''
) -> subprocess.CompletedProcess[str]:
    """Run `pavenet` with these words, or other code, and wait for its end."""
    return subprocess.run(
        [sys.executable, '-c', code, *map(str, words)],
        cwd=folder,
        env={**os.environ, 'PYTHONPATH': f'{python_path}:{REPOSITORY}'},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def run_pavenet() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Give the runner of `pavenet` (or of other code) with words, in a folder."""
    return run_in_process
