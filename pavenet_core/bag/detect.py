"""Which paths are rosbags, by what is in them."""

from pathlib import Path

SUFFIXES = ('.mcap', '.db3')
MAGICS = (b'\x89MCAP0\r\n', b'SQLite format 3\0')


def is_bag(path: Path) -> bool:
    """Say whether this is a bag's folder or one of its files; a name alone makes a file one."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() or bool(storage_files(path))
    if not path.is_file():
        return False
    with path.open('rb') as file:
        return path.suffix in SUFFIXES or file.read(16).startswith(MAGICS)


def storage_files(folder: Path) -> list[Path]:
    """Return a bag folder's files of messages, also those compressed as a whole."""
    return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES or _is_packed(p))


def _is_packed(path: Path) -> bool:
    return path.suffix == '.zstd' and Path(path.stem).suffix in SUFFIXES


def is_mcap(path: Path) -> bool:
    """Say whether a bag keeps its messages as MCAP, not in SQLite."""
    files = storage_files(path) if path.is_dir() else [path]
    return any('.mcap' in file.suffixes for file in files)
