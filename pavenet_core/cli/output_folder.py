"""The outputs of one bag among several: there as a whole or not at all, and known again."""

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MADE = 'made.json'


@dataclass(frozen=True)
class OutputFolder:
    """
    A bag's folder of outputs.

    made  what they come from, as JSON: another bag, model or setting is another value
    """

    path: Path
    made: dict[str, Any]

    def is_done(self) -> bool:
        """Say whether the outputs are there; `ValueError` if those there are not these."""
        if self.path.exists() and not (self.path / MADE).is_file():
            raise ValueError(
                f'{self.path} is there already, and not by this command; choose another --into'
            )
        if not self.path.exists():
            return False
        then = json.loads((self.path / MADE).read_text(encoding='utf-8'))
        other = [
            f'{key} was {then.get(key)}' if isinstance(value, str) else f'other {key}'
            for key, value in self.made.items()
            if then.get(key) != value
        ]
        if other:
            raise ValueError(
                f'{self.path} was made otherwise ({", ".join(other)}); '
                'choose another --into, or remove it'
            )
        return True

    @contextmanager
    def filled(self) -> Iterator[Path]:
        """Give a folder to write into; it gets its name when all went well, else it goes."""
        for left in self._left_behind():
            shutil.rmtree(left, ignore_errors=True)
        # A name of its own: the worker of a run that was killed may still be at work.
        partial = self.path.with_name(f'{self.path.name}.{secrets.token_hex(4)}.partial')
        partial.mkdir(parents=True)
        try:
            (partial / MADE).write_text(json.dumps(self.made, indent=1), encoding='utf-8')
            yield partial
            _reach_the_disk(partial)
            partial.rename(self.path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _left_behind(self) -> list[Path]:
        """Return what runs that were killed left of this folder."""
        name = re.compile(re.escape(self.path.name) + r'\.[0-9a-f]{8}\.partial')
        there = self.path.parent.iterdir() if self.path.parent.is_dir() else ()
        return [path for path in there if name.fullmatch(path.name) and (path / MADE).is_file()]


def _reach_the_disk(folder: Path) -> None:
    for place, _, files in os.walk(folder):
        for name in files:
            with (Path(place) / name).open('rb') as file:
                os.fsync(file.fileno())


def digest_files(folder: Path) -> str:
    """Return a short digest of what the files of a folder hold."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file():
            digest.update(f'{path.name} {path.stat().st_size}\n'.encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def state_of(bag: Path) -> dict[str, list[int]]:
    """Return the size in bytes and the time of change of each of a bag's files."""
    files = sorted(path for path in bag.iterdir() if path.is_file()) if bag.is_dir() else [bag]
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}
