from pathlib import Path
from types import SimpleNamespace

import pytest

from pavenet_core.cli import main
from pavenet_core.presets import PRESETS


def test_it_says_beforehand_that_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pytest.importorskip('onnx', reason='needs torch and onnx')
    model = SimpleNamespace(config=PRESETS['compact'])
    monkeypatch.setattr('pavenet_core.model.checkpoint.load_checkpoint', lambda *_: model)
    monkeypatch.setattr('pavenet_core.export.export_bundle', lambda *_, **__: print('at work'))
    assert main(['export', 'mine.pt', '--out', str(tmp_path)]) == 0
    before, work, after = capsys.readouterr().out.splitlines()
    assert before == 'mine.pt: exporting and comparing with torch, a minute or two'
    assert (work, after.split(':')[0]) == ('at work', str(tmp_path))
