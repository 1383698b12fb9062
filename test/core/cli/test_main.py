import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pavenet_core.cli import VERBS, main

WRITTEN = ('predict', 'evaluate', 'benchmark', 'info')


RunPavenet = Callable[..., subprocess.CompletedProcess[str]]


def test_help_lists_the_verbs_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(['--help'])
    assert end.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)
    assert 'example' in text


@pytest.mark.parametrize('words', [[], ['dance']])
def test_no_verb_or_an_unknown_one_is_refused(words: list[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2


@pytest.mark.parametrize('verb', WRITTEN)
def test_each_verb_has_help_with_an_example(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, '--help'])
    assert end.value.code == 0
    assert f'pavenet {verb} ' in capsys.readouterr().out.split('example')[1]


def test_a_users_error_is_one_line_and_a_failing_exit_code(run_pavenet: RunPavenet) -> None:
    result = run_pavenet('info', 'no-such-model')
    assert result.returncode == 1
    assert result.stdout == ''
    assert result.stderr.startswith("pavenet: no model 'no-such-model'")
    assert result.stderr.count('\n') == 1


@pytest.mark.parametrize(
    ('package', 'extra', 'words'),
    [
        ('pycocotools', 'report', ['evaluate', '--images', 'a', '--annotations', 'b']),
        ('onnx', 'export', ['export', 'checkpoint.pt', '--out', 'bundle']),
    ],
)
def test_a_missing_package_is_one_line_that_says_how_to_get_it(
    package: str, extra: str, words: list[str], tmp_path: Path, run_pavenet: RunPavenet
) -> None:
    (tmp_path / f'{package}.py').write_text(f'raise ModuleNotFoundError(name="{package}")')
    result = run_pavenet(*words, python_path=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith(f'pavenet: {words[0]} needs the Python package {package}')
    assert f"pip install 'pavenet_ros[{extra}]'" in result.stderr
    assert result.stderr.count('\n') == 1


@pytest.mark.parametrize('verb', WRITTEN)
def test_help_is_quick_because_nothing_heavy_is_imported(
    verb: str, run_pavenet: RunPavenet
) -> None:
    code = (
        'import sys; from pavenet_core.cli import main\n'
        'try: main([sys.argv[1], "--help"])\n'
        'except SystemExit: pass\n'
        'sys.exit(bool({"torch", "onnxruntime", "cv2", "numpy"} & set(sys.modules)))'
    )
    assert run_pavenet(verb, code=code).returncode == 0
