"""The pictures below a folder, found by the names that annotations give them."""

import os
import re
from pathlib import Path, PurePosixPath

from pavenet_core.video import IMAGE_SUFFIXES

NUMBER = re.compile(r'(.*?)(\d+)(\D*)')  # the last number of a stem


class Pictures:
    """
    The folder given as the pictures' own, asked for names such as `images/val/walk/000001.jpg`.

    A name's leading folders are left out where the folder given lies below them already. Every
    folder is listed once, as asking the disk for each of 100,000 files takes long.
    """

    def __init__(self, root: Path) -> None:
        """Refuse what is no folder."""
        if not root.is_dir():
            raise ValueError(f'{root} is not a folder; give the one that the pictures are in')
        self.root = root
        self._names: dict[Path, frozenset[str]] = {}
        self._folders: dict[PurePosixPath, Path | None] = {}

    def find(self, name: str) -> Path:
        """Return the file of that name; `ValueError` that says where and what was there."""
        folder = self.folder(name)
        file = PurePosixPath(name).name
        if folder is None or file not in self.names(folder):
            raise self.absent(name)
        return folder / file

    def folder(self, name: str) -> Path | None:
        """
        Return the folder that should have the file of that name, if it has any picture.

        Raise `ValueError` if it is that of files listed in another folder.
        """
        listed = PurePosixPath(name).parent
        if listed not in self._folders:
            parts = listed.parts
            places = (self.root.joinpath(*parts[left_out:]) for left_out in range(len(parts) + 1))
            found = next((place for place in places if self.names(place)), None)
            rivals = [a for a, b in self._folders.items() if b is not None and b == found]
            if rivals:
                raise ValueError(
                    f'the pictures of {rivals[0]} and {listed} would both come from {found}; '
                    'give a folder that has both'
                )
            self._folders[listed] = found
        return self._folders[listed]

    def names(self, folder: Path) -> frozenset[str]:
        """Return the names of a folder's pictures; none if there is no such folder."""
        if folder not in self._names:
            try:
                found = os.listdir(folder)
            except (FileNotFoundError, NotADirectoryError):
                found = []
            self._names[folder] = frozenset(
                name for name in found if name.lower().endswith(IMAGE_SUFFIXES)
            )
        return self._names[folder]

    def numbered(self, folder: Path, like: str) -> dict[int, Path]:
        """
        Return by number, in order, a folder's pictures that are named like one.

        Raise `ValueError` if two have one number.
        """
        before, _, after = split_number(like)
        found = {}
        for name in self.names(folder):
            match = NUMBER.fullmatch(Path(name).stem)
            if match and (match[1], match[3] + Path(name).suffix) == (before, after):
                if int(match[2]) in found:
                    raise ValueError(f'{folder} has two pictures of number {int(match[2])}')
                found[int(match[2])] = folder / name
        return dict(sorted(found.items()))

    def absent(self, name: str) -> ValueError:
        """Return the error of a picture that is not there."""
        place = self.folder(name) or (self.root / name).parent
        while not place.is_dir():
            place = place.parent
        return ValueError(f'no picture {name} below {self.root}; {self._describe(place)}')

    def _describe(self, folder: Path) -> str:
        pictures = sorted(self.names(folder))
        if pictures:
            return f'{folder} has {len(pictures)} pictures, {pictures[0]} to {pictures[-1]}'
        folders = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
        if not folders:
            return f'{folder} has neither pictures nor folders'
        shown = ', '.join(folders[:3]) + (', ...' if len(folders) > 3 else '')
        return f'{folder} has no pictures, but {len(folders)} folders ({shown})'


def split_number(name: str) -> tuple[str, int, str]:
    """Split a file's name around its last number; `ValueError` if it has none."""
    path = PurePosixPath(name)
    match = NUMBER.fullmatch(path.stem)
    if match is None:
        raise ValueError(f'the name of {name} has no number, which says where in its video it is')
    return match[1], int(match[2]), match[3] + path.suffix
