"""What a run tells: a bar or lines, `metrics.jsonl`, TensorBoard, and a plot."""

import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from tqdm import tqdm

from pavenet_core.train import metrics_log
from pavenet_core.train.plot import plot_run

log = logging.getLogger(__name__)

Values = Mapping[str, float | Tensor]
LINE_SECONDS = 10.0  # between two lines where there is no terminal


class Progress:
    """
    Tell how far training is.

    silent  say and write nothing, as all processes but the first
    """

    def __init__(self, folder: Path, step: int, steps: int, silent: bool) -> None:
        self.folder, self.steps, self.silent = folder, steps, silent
        self._path = folder / 'metrics.jsonl'
        self._began, self._first, self._told = time.monotonic(), step, float('-inf')
        if not silent:
            folder.mkdir(parents=True, exist_ok=True)
            metrics_log.forget_after(self._path, step)
        self._bar = tqdm(
            total=steps,
            initial=step,
            unit='update',
            dynamic_ncols=True,
            disable=silent or not sys.stderr.isatty(),
        )
        self._board = None if silent else open_board(folder, step)

    def __enter__(self) -> 'Progress':
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
        if self._board is not None:
            self._board.close()
        if not self.silent:
            plot_run(self._path, self.folder / 'training.png')

    def show(self, values: Values, noted: bool) -> None:
        """Count one update; `noted` ones are also written down."""
        self._bar.update()
        if self.silent or not noted:
            return
        numbers = {k: float(v) for k, v in values.items()}
        step = int(numbers.pop('step'))
        self._write(step, 'train', numbers)
        text = f'loss {numbers["loss"]:.3f}, rate {numbers["rate"]:.1e}'
        self._bar.set_postfix_str(text)
        if self._bar.disable and time.monotonic() - self._told > LINE_SECONDS:
            self._told = time.monotonic()
            speed = (step - self._first) / (self._told - self._began)
            left = (self.steps - step) / speed / 60
            log.info('update %d of %d, %s, %.0f min left', step, self.steps, text, left)

    def note_accuracy(self, step: int, accuracy: Mapping[str, float]) -> None:
        """Tell an accuracy and draw the plot anew."""
        if self.silent or not accuracy:
            return
        self._write(step, 'accuracy', accuracy)
        self._bar.clear()
        numbers = ', '.join(f'{name} {value:.3f}' for name, value in accuracy.items())
        log.info('update %d of %d, accuracy: %s', step, self.steps, numbers)
        plot_run(self._path, self.folder / 'training.png')

    def _write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        metrics_log.append(self._path, step, kind, values)
        if self._board is None:
            return
        for name, value in values.items():
            self._board.add_scalar(f'{kind}/{name}', value, step)


def open_board(folder: Path, step: int) -> Any:
    """Return TensorBoard's writer that forgets what is after a step; None if not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / 'tensorboard'), purge_step=step + 1)
