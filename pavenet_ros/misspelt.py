"""Parameters that were given and nobody reads, because they are spelt otherwise."""

from collections.abc import Iterable
from difflib import get_close_matches

LIKENESS = 0.75  # below it a name is somebody else's, in a file for several nodes


def misspelt(given: Iterable[str], known: Iterable[str]) -> list[str]:
    """Return a sentence for each name that is not known but much like one that is."""
    names = {_plain(name): name for name in known}
    sentences = []
    for name in given:
        likely = get_close_matches(_plain(name), names, n=1, cutoff=LIKENESS)
        if likely and name not in names.values():
            sentences.append(
                f'there is no parameter {name}, so it does nothing; is {names[likely[0]]} meant?'
            )
    return sentences


def _plain(name: str) -> str:
    return name.lower().replace('-', '').replace('_', '')
