"""What a part of benchmarks/on_gpu.py is given, and how it hands its findings back."""

import contextlib
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Facts = dict[str, Any]


class LostGpuError(Exception):
    """After a bad access a process can use the GPU no more."""


@dataclass
class Report:
    """
    Findings by name, written to a file after each, so that none is lost to a time limit.

    It starts with what the file has, from an attempt that lost the GPU.
    """

    path: Path
    dry_run: bool = False
    peer: Path | None = None
    found: Facts = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Read the file, if it is there and whole."""
        with contextlib.suppress(OSError, ValueError):
            self.found = json.loads(self.path.read_text())

    @property
    def device(self) -> str:
        """Return where to compute."""
        return 'cpu' if self.dry_run else 'cuda'

    def note(self, name: str, finding: Any) -> None:
        """Keep a finding."""
        self.found[name] = finding
        whole = self.path.with_suffix('.new')
        whole.write_text(json.dumps(self.found))
        whole.replace(self.path)

    def attempt(self, name: str, make: Callable[[], Any]) -> None:
        """Keep what `make` returns, or why it failed, and go on; unless it is known already."""
        if name in self.found:
            return
        began = time.monotonic()
        try:
            finding = make()
        except Exception as error:
            finding = {'failed': f'{type(error).__name__}: {error}'[:1000]}
            traceback.print_exc()
        if isinstance(finding, dict):
            finding['seconds'] = round(time.monotonic() - began, 2)
        self.note(name, finding)
        if 'failed' in str(finding) and self.device == 'cuda':
            self._see_that_the_gpu_is_there()

    def _see_that_the_gpu_is_there(self) -> None:
        import torch  # slow, and benchmarks/on_gpu.py itself has no use for it

        try:
            torch.cuda.synchronize()
            torch.cuda.empty_cache()
        except RuntimeError as error:
            raise LostGpuError from error

    @property
    def failures(self) -> list[str]:
        """Return the names of findings that failed, or whose claim is false."""
        return [
            name
            for name, finding in self.found.items()
            if isinstance(finding, dict) and ('failed' in finding or finding.get('ok') is False)
        ]
