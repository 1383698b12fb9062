"""Draw a run's loss and accuracy."""

from pathlib import Path

import numpy as np

from pavenet_core.train import metrics_log


def plot_run(metrics: Path, picture: Path) -> None:
    """Draw `metrics.jsonl`; without matplotlib, or anything to draw, do nothing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    lines = metrics_log.read(metrics)
    losses = [(line['step'], line['train']['loss']) for line in lines if 'train' in line]
    found = [(line['step'], line['accuracy']) for line in lines if 'accuracy' in line]
    if not losses:
        return
    figure = Figure(figsize=(8, 6 if found else 3.5), layout='constrained')
    FigureCanvasAgg(figure)
    rows = figure.subplots(2 if found else 1, 1, sharex=True, squeeze=False)[:, 0]
    steps, values = np.array(losses, float).T  # None becomes NaN, a gap in the line
    rows[0].plot(steps, values, alpha=0.4)
    window = min(len(values), 15)
    rows[0].plot(steps[window - 1 :], np.convolve(values, np.ones(window) / window, 'valid'))
    rows[0].set_ylabel('loss')
    for name in found[0][1] if found else ():
        rows[1].plot([step for step, _ in found], [each[name] for _, each in found], label=name)
    if found:
        rows[1].set_ylabel('accuracy')
        rows[1].legend(fontsize='small', ncols=2)
    rows[-1].set_xlabel('update')
    figure.savefig(picture, dpi=100)
