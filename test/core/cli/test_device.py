"""The commands that open a model: the device asked for, the device in use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pavenet_core.cli import main
from pavenet_core.video import write_image

CPU, CUDA, TENSORRT = (f'{name}ExecutionProvider' for name in ('CPU', 'CUDA', 'Tensorrt'))
QUICK = ('--people', '1', '--rounds', '1', '--warm-up', '0')


@pytest.fixture
def commands(stand_in: Path, tmp_path: Path) -> dict[str, list[str]]:
    write_image(tmp_path / 'a.png', np.full((48, 64, 3), 90, np.uint8))
    model = ['--model', str(stand_in)]
    out = str(tmp_path / 'poses.json')
    return {
        'predict': ['predict', str(tmp_path / 'a.png'), '--out', out, *model],
        'benchmark': ['benchmark', *QUICK, *model],
    }


@pytest.mark.parametrize('command', ['predict', 'benchmark'])
def test_the_device_and_tensorrts_options_reach_every_graph(
    command: str,
    commands: dict[str, list[str]],
    pretended_gpus: list[dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ('--device', 'tensorrt', '--tensorrt-cache', str(tmp_path), '--tensorrt-fp16')
    assert main([*commands[command], *words]) == 0
    assert f'{TENSORRT}, {CUDA}, {CPU}' in capsys.readouterr().out
    assert len(pretended_gpus) == 3
    for opened in pretended_gpus:
        options = opened['provider_options'][0]
        assert options['trt_fp16_enable'] == 'True'
        assert Path(options['trt_engine_cache_path']).parent == tmp_path


@pytest.mark.parametrize('command', ['predict', 'benchmark'])
def test_auto_that_falls_back_warns_on_one_line(
    command: str,
    commands: dict[str, list[str]],
    broken_gpus: Callable[[bool], None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken_gpus(False)
    assert main([*commands[command], '--device', 'auto']) == 0
    printed = capsys.readouterr()
    assert f'pavenet: warning: this onnxruntime offers {TENSORRT} and {CUDA}' in printed.err
    assert CPU in printed.out
    assert main([*commands[command], '--device', 'cuda']) == 1
    message = capsys.readouterr().err
    assert message.startswith("pavenet: device 'cuda' could not be started (")
    assert message.count('\n') == 1


def test_engines_are_built_and_nothing_is_measured(
    stand_in: Path,
    tmp_path: Path,
    pretended_gpus: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ['benchmark', '--model', str(stand_in), '--build-only', '--size', '64x48', '32x32']
    cache = ['--tensorrt-cache', str(tmp_path)]
    assert main([*words, *cache, '--device', 'tensorrt']) == 0
    assert capsys.readouterr().out == f'engines for 64x48, 32x32 are in {tmp_path}\n'
    assert len(list(tmp_path.iterdir())) == 3
    assert main([*words, *cache, '--device', 'cuda']) == 1
    assert 'no engines to build' in capsys.readouterr().err
