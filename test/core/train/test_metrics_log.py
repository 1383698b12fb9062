import json
from pathlib import Path

import pytest

from pavenet_core.train import metrics_log
from pavenet_core.train.plot import plot_run


def refuse(constant: str) -> float:
    raise AssertionError(f'{constant} is no JSON')


def test_every_line_is_json_whatever_the_numbers(tmp_path: Path) -> None:
    path = tmp_path / 'metrics.jsonl'
    metrics_log.append(path, 1, 'train', {'loss': float('nan'), 'gradient': float('inf')})
    metrics_log.append(path, 2, 'train', {'loss': 1 / 3, 'gradient': 2.0})
    strict = [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]
    assert strict == [
        {'step': 1, 'train': {'loss': None, 'gradient': None}},
        {'step': 2, 'train': {'loss': 0.3333333, 'gradient': 2.0}},
    ]
    metrics_log.forget_after(path, 1)
    assert metrics_log.read(path) == strict[:1]


def test_a_loss_that_overflowed_is_a_gap_in_the_plot(tmp_path: Path) -> None:
    pytest.importorskip('matplotlib')
    path = tmp_path / 'metrics.jsonl'
    for step, loss in enumerate((2.0, float('nan'), 1.0)):
        metrics_log.append(path, step, 'train', {'loss': loss})
    plot_run(path, tmp_path / 'training.png')
    assert (tmp_path / 'training.png').stat().st_size > 1000
