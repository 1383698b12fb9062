"""Which paths are rosbags, by what is in them."""

import os
from pathlib import Path

SUFFIXES = ('.mcap', '.db3')
MAGICS = (b'\x89MCAP0\r\n', b'SQLite format 3\0')


def is_bag(path: Path) -> bool:
    """Say whether this is a bag's folder or one of its files; a name alone makes a file one."""
    if path.is_dir():
        # Without its description, a bag's files still begin with the folder's name.
        named = (file.name.startswith(path.resolve().name) for file in storage_files(path))
        return (path / 'metadata.yaml').is_file() or any(named)
    if not path.is_file():
        return False
    with path.open('rb') as file:
        return path.suffix in SUFFIXES or file.read(16).startswith(MAGICS)


def find_bags(folder: Path, leave_out: Path) -> list[Path]:
    """Return the bags in a folder and its subfolders by name, but none from within `leave_out`."""
    bags = []
    for place, folders, files in os.walk(folder):
        here = Path(place)
        inside = [name for name in sorted(folders) if (here / name).resolve() != leave_out]
        whole = [name for name in inside if is_bag(here / name)]
        folders[:] = [name for name in inside if name not in whole]
        loose = [name for name in files if Path(name).suffix in SUFFIXES]
        bags += [here / name for name in (*whole, *loose)]
    return sorted(bags)


def storage_files(folder: Path) -> list[Path]:
    """Return a bag folder's files of messages, also those compressed as a whole."""
    return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES or _is_packed(p))


def _is_packed(path: Path) -> bool:
    return path.suffix == '.zstd' and Path(path.stem).suffix in SUFFIXES


def is_mcap(path: Path) -> bool:
    """Say whether a bag keeps its messages as MCAP, not in SQLite."""
    files = storage_files(path) if path.is_dir() else [path]
    return any('.mcap' in file.suffixes for file in files)
