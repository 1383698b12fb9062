"""What a part of benchmarks/on_gpu.py is given, and how it hands its findings back."""

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Facts = dict[str, Any]


@dataclass
class Report:
    """Findings by name, written to a file after each, so that none is lost to a time limit."""

    path: Path
    dry_run: bool = False
    peer: Path | None = None
    found: Facts = field(default_factory=dict)

    @property
    def device(self) -> str:
        """Return where to compute."""
        return 'cpu' if self.dry_run else 'cuda'

    def note(self, name: str, finding: Any) -> None:
        """Keep a finding."""
        self.found[name] = finding
        self.path.write_text(json.dumps(self.found))

    def attempt(self, name: str, make: Callable[[], Any]) -> None:
        """Keep what `make` returns, or why it failed, and go on."""
        try:
            finding = make()
        except Exception as error:
            finding = {'failed': f'{type(error).__name__}: {error}'[:1000]}
            traceback.print_exc()
        self.note(name, finding)

    @property
    def failures(self) -> list[str]:
        """Return the names of findings that failed, or whose claim is false."""
        return [
            name
            for name, finding in self.found.items()
            if isinstance(finding, dict) and ('failed' in finding or finding.get('ok') is False)
        ]
