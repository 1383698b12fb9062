"""Files to write: whether they can be is known before the work that fills them."""

import os
from pathlib import Path


def make_folder(path: Path) -> None:
    """Make a folder and those above it; `ValueError` in one sentence if that can't be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f'cannot make the folder {path}: {error.strerror}; choose another one'
        ) from error


def check_writable(file: Path) -> None:
    """Raise `ValueError` in one sentence if a file can't be written; leave what is there."""
    is_new = not os.path.lexists(file)
    if not is_new and not file.is_file() and not file.is_dir():
        return  # a pipe or a device, whose reader would take this for all there is
    try:
        file.open('ab').close()
    except OSError as error:
        raise ValueError(f'cannot write {file}: {error.strerror}; choose another name') from error
    if is_new:
        file.unlink()
