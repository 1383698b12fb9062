import argparse
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pavenet_core import __version__
from pavenet_core.cli import PACKAGES, VERBS, info, main

REPOSITORY = Path(__file__).parents[3]
WRITTEN = ('predict', 'evaluate', 'benchmark', 'info')
EXTRAS = {'predict': 'report', 'evaluate': 'report', 'export': 'export', 'train': 'train'}


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
    ('package', 'remedy', 'words'),
    [
        ('pycocotools', PACKAGES['evaluate'], ['evaluate', '--images', 'a', '--annotations', 'b']),
        ('onnx', PACKAGES['export'], ['export', 'checkpoint.pt', '--out', 'bundle']),
        ('tqdm', 'tqdm', ['predict', 'test/ros/data/walk.mp4']),
        ('onnxruntime', 'onnxruntime', ['benchmark']),
        ('cv2', 'opencv-python-headless', ['benchmark']),
    ],
)
def test_a_missing_package_is_one_line_that_says_how_to_get_it(
    package: str, remedy: str, words: list[str], tmp_path: Path, run_pavenet: RunPavenet
) -> None:
    (tmp_path / f'{package}.py').write_text(f'raise ModuleNotFoundError(name="{package}")')
    result = run_pavenet(*words, python_path=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith(f'pavenet: {words[0]} needs the Python package {package}')
    assert result.stderr.endswith(f'get it with: pip install {remedy}\n')
    assert result.stderr.count('\n') == 1


@pytest.mark.parametrize(('verb', 'extra'), [*EXTRAS.items()])
def test_the_packages_to_get_are_those_of_the_extras(verb: str, extra: str) -> None:
    tomllib = pytest.importorskip('tomllib', reason='of Python 3.11')
    project = tomllib.loads((REPOSITORY / 'pyproject.toml').read_text())['project']
    assert PACKAGES[verb].split() == project['optional-dependencies'][extra]


def test_a_reader_that_goes_away_is_no_error(run_pavenet: RunPavenet) -> None:
    code = (
        'import os, sys\n'
        'from pavenet_core.cli import main\n'
        'reader, writer = os.pipe()\n'
        'os.close(reader)\n'
        'os.dup2(writer, 1)\n'
        'sys.exit(main())'
    )
    result = run_pavenet('info', 'compact', '--json', code=code)
    assert (result.returncode, result.stderr) == (141, '')


def test_trouble_with_a_file_names_it_and_no_number(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(args: argparse.Namespace) -> None:
        Path('/dev/null/facts.json').write_text('')

    monkeypatch.setattr(info, 'run', run)
    assert main(['info']) == 1
    assert capsys.readouterr().err == 'pavenet: /dev/null/facts.json: Not a directory\n'


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(['--version'])
    assert end.value.code == 0
    assert capsys.readouterr().out == f'pavenet {__version__}\n'


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
