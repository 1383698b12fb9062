import logging
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pavenet_core.export.quiet import quiet
from pavenet_core.export.write import write_graph

LOGGER = logging.getLogger('exporter')


def test_only_errors_pass_and_only_meanwhile(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ZeroDivisionError), quiet():
        warnings.warn('inner', stacklevel=1)
        LOGGER.warning('inner')
        LOGGER.error('broken')
        raise ZeroDivisionError
    LOGGER.warning('after')
    assert caplog.messages == ['broken', 'after']
    with pytest.warns(UserWarning, match='after'):
        warnings.warn('after', stacklevel=1)


def test_an_export_is_quiet(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def export(*_: Any, **__: Any) -> None:
        LOGGER.warning('skipping this and that')
        warnings.warn('to be changed', stacklevel=1)
        raise ZeroDivisionError

    monkeypatch.setattr(torch.onnx, 'export', export)
    names: list[str] = []
    graph: Any = SimpleNamespace(
        block=None, inputs=(), input_names=names, output_names=names, dynamic_shapes=()
    )
    with pytest.raises(ZeroDivisionError):
        write_graph(graph, Path())
    assert not caplog.messages
