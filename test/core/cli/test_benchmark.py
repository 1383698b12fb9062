import json
import shlex
from collections.abc import Callable
from pathlib import Path

import onnxruntime as ort
import pytest

from pavenet_core.cli import main

QUICK = ('--rounds', '3', '--warm-up', '1', '--threads', '1')


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> list[str]:
    assert main(['benchmark', *map(str, words)]) == 0
    return capsys.readouterr().out.splitlines()


def test_the_first_line_names_machine_versions_and_command(
    stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ['--model', str(stand_in), '--people', '1', '4', '--size', '64x48', '48x48', *QUICK]
    first, second, third, *_ = printed(capsys, *words)
    assert f'onnxruntime {ort.__version__}' in first
    assert ' cores, load ' in first
    command = shlex.split(first.split('; ')[-1])
    assert command[:2] == ['pavenet', 'benchmark']
    assert sorted(command[2:]) == sorted(words)
    assert second.startswith('model stand-in')
    assert 'CPUExecutionProvider; threads 1; pictures synthetic; 3 rounds after 1' in second
    assert third.startswith('memory of this process: before the model ')


def test_the_table_has_every_stage_of_every_case(
    stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(
        capsys, '--model', stand_in, '--people', 1, 4, '--size', '64x48', '32x32', *QUICK
    )
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in lines[6:]]
    assert [row[:2] for row in rows[::6]] == [
        *(['64x48', '1'], ['64x48', '4'], ['32x32', '1'], ['32x32', '4'])
    ]
    assert [row[2] for row in rows[:6]] == [
        *('preprocess', 'spatial encoder', 'pose decoder', 'joint decoder', 'postprocess', 'frame')
    ]
    assert all(row[-1] == '100%' for row in rows[5::6])
    for *_, p50, p95, p99, _ in rows:
        assert float(p50) <= float(p95) <= float(p99)


def test_the_json_holds_the_same(
    stand_in: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'times.json'
    printed(capsys, '--model', stand_in, '--people', 2, '--json', path, *QUICK)
    data = json.loads(path.read_text())
    assert data['model'].startswith('stand-in')
    assert data['providers'] == ['CPUExecutionProvider']
    assert data['versions']['onnxruntime'] == ort.__version__
    (case,) = data['cases']
    assert (case['size'], case['people']) == ([640, 480], 2)
    assert set(case['ms']['frame']) == {'p50', 'p95', 'p99'}
    assert set(data['memory_mib']) == {'before_the_model', 'resident', 'peak'}


@pytest.mark.skipif(
    'CUDAExecutionProvider' in ort.get_available_providers(), reason='CUDA is there'
)
def test_a_device_that_is_not_there_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['benchmark', '--device', 'cuda']) == 1
    message = capsys.readouterr().err
    assert message.startswith("pavenet: device 'cuda' is not there")
    assert message.count('\n') == 1


def test_numbers_that_can_not_be_written_are_refused_before_the_work(
    stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['benchmark', '--model', str(stand_in), '--json', '/proc/times.json']) == 1
    out, error = capsys.readouterr()
    assert out == ''
    assert error.startswith('pavenet: cannot write /proc/times.json: ')


def test_too_many_people_are_one_sentence(
    stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['benchmark', '--model', str(stand_in), '--people', '9']) == 1
    assert 'people must be 1 to 4 with this model, got 9' in capsys.readouterr().err


@pytest.mark.parametrize('size', ['640', '0x480', '640x', 'ax5'])
def test_a_size_is_width_and_height(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(['benchmark', '--size', size])
    assert end.value.code == 2
    assert 'such as 640x480' in capsys.readouterr().err


def test_it_needs_no_torch(stand_in: Path, run_pavenet: Callable[..., object]) -> None:
    code = (
        'import sys; from pavenet_core.cli import main\n'
        'failed = main(sys.argv[1:])\n'
        'sys.exit(failed or bool({"torch", "timm", "onnx", "rclpy"} & set(sys.modules)))'
    )
    result = run_pavenet('benchmark', '--model', stand_in, '--people', 1, *QUICK, code=code)
    assert result.returncode == 0, result.stderr
