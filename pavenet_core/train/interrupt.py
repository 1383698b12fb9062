"""Ctrl-C and termination as a wish that the loop grants between two updates."""

import os
import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
NOTICE = 'training ends after this update and saves; a second one ends it at once, unsaved'


class Interrupt:
    """While open, the first signal sets `wanted` and says so; a second acts as it always did."""

    def __init__(self) -> None:
        self.wanted = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> 'Interrupt':
        # Python lets only the main thread handle signals.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._take) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _take(self, number: int, frame: FrameType | None) -> None:
        self.wanted = True
        self._restore()
        # Not print: the signal may have come while that was writing.
        os.write(2, f'\n{signal.Signals(number).name}: {NOTICE}\n'.encode())

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal() gave
        self._before = {}
