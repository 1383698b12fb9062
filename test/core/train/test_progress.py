from pathlib import Path

import pytest

from pavenet_core.train.progress import Progress


def test_the_board_forgets_what_a_killed_run_had_not_saved(tmp_path: Path) -> None:
    events = pytest.importorskip('tensorboard.backend.event_processing.event_accumulator')
    for first, last in ((0, 30), (10, 20)):
        with Progress(tmp_path, first, 30, silent=False) as progress:
            for step in range(first + 10, last + 1, 10):
                progress.show({'step': step, 'loss': float(last), 'rate': 1.0}, True)
    board = events.EventAccumulator(str(tmp_path / 'tensorboard')).Reload()
    assert [(e.step, e.value) for e in board.Scalars('train/loss')] == [(10, 30), (20, 20)]
