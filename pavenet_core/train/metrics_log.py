"""The file `metrics.jsonl`: one JSON object a line, of one update each."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append(path: Path, step: int, kind: str, values: Mapping[str, float]) -> None:
    """Add a line {"step": .., kind: {..}}; what is not finite, which JSON can't say, is null."""
    numbers = {n: round(x, 7) if math.isfinite(x) else None for n, x in values.items()}
    line = {'step': step, kind: numbers}
    with path.open('a', encoding='utf-8') as file:
        file.write(json.dumps(line, allow_nan=False) + '\n')


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines; a last one that a crash cut short is left out."""
    lines = []
    for text in path.read_text(encoding='utf-8').splitlines() if path.is_file() else ():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            break
    return lines


def forget_after(path: Path, step: int) -> None:
    """Drop the lines of updates that an interrupted run had done but not saved."""
    if path.is_file():
        kept = [line for line in read(path) if line['step'] <= step]
        path.write_text(''.join(json.dumps(line) + '\n' for line in kept), encoding='utf-8')
