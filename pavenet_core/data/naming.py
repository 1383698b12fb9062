"""Errors that say which entry of a long file is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def naming(kind: str, name: Any) -> Iterator[None]:
    """Turn what is raised inside into a `ValueError` that says which entry is wrong."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f'{kind} {name} has no {error}') from error
    except (TypeError, ValueError) as error:
        raise ValueError(f'{kind} {name}: {error}') from error
