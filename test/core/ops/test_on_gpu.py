"""benchmarks/on_gpu.py without a GPU: the parts on tiny sizes, and what happens when one fails."""

import argparse
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip('torch', reason='needs torch')
pytest.importorskip('timm', reason='needs timm')

BENCHMARKS = Path(__file__).parents[3] / 'benchmarks'


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(BENCHMARKS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in [x for x in sys.modules if x.startswith('kernel_') or x == 'on_gpu']:
        del sys.modules[name]


@pytest.mark.parametrize(
    'part',
    [
        *('build', 'machine', 'check', 'gradients', 'timing'),
        *('peers', 'models', 'counters', 'sanitize'),
    ],
)
def test_a_part_runs_without_a_gpu(load, part: str, tmp_path: Path) -> None:
    module = load(load('on_gpu').PARTS[part].module)
    report = load('kernel_report').Report(tmp_path / 'found.json', dry_run=True)
    getattr(module, part)(report)
    assert report.found
    assert report.failures == []
    assert json.loads(report.path.read_text()) == report.found


FAKE_PARTS = """
import time

def works(report):
    report.note('number', 1)

def breaks(report):
    report.note('number', 2)
    raise ValueError('no')

def hangs(report):
    report.note('number', 3)
    time.sleep(60)

def loses(report):
    report.attempt('first', lambda: {'ok': True})
    if 'second' not in report.found:
        report.note('second', {'failed': 'a bad access'})
        from kernel_report import LostGpuError
        raise LostGpuError
    report.attempt('third', lambda: {'ok': True})

def errs(report):
    report.note('claim', {'ok': False})
    report.attempt('step', lambda: 1 / 0)
"""


def test_one_part_cannot_harm_another(
    load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu = load('on_gpu')
    (tmp_path / 'kernel_fake.py').write_text(FAKE_PARTS)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    parts = {
        name: on_gpu.Part('kernel_fake', 20) for name in ('breaks', 'hangs', 'loses', 'works')
    }
    parts['hangs'] = parts['hangs']._replace(share=4)
    parts['errs'] = on_gpu.Part('kernel_fake', 20, beside=True)
    monkeypatch.setattr(on_gpu, 'PARTS', parts)
    out = tmp_path / 'gpu.json'
    options = argparse.Namespace(seconds=60, dry_run=True, peer=None, out=out)
    results = on_gpu.run_parts(list(parts), options, tmp_path)
    assert {name: result['state'][:11] for name, result in results.items()} == {
        'breaks': 'exit code 1',
        'hangs': 'ended after',
        'loses': 'done',
        'works': 'done',
        'errs': 'done',
    }
    assert [results[x]['found'].get('number') for x in ('breaks', 'hangs', 'works')] == [2, 3, 1]
    assert list(results['loses']['found']) == ['first', 'second', 'third']
    assert 'ValueError: no' in results['breaks']['log']
    assert results['errs']['failures'] == ['claim', 'step']
    assert json.loads(out.read_text()) == results


def test_parts_stop_at_the_time_for_all(
    load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu = load('on_gpu')
    (tmp_path / 'kernel_fake.py').write_text(FAKE_PARTS)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr(on_gpu, 'PARTS', {'hangs': on_gpu.Part('kernel_fake', 50)})
    options = argparse.Namespace(seconds=2, dry_run=True, peer=None, out=tmp_path / 'gpu.json')
    results = on_gpu.run_parts(['hangs'], options, tmp_path)
    assert results['hangs']['state'] == 'ended after 2 s'


def test_all_parts_fit_in_nine_minutes(load) -> None:
    assert load('on_gpu').TOTAL_SECONDS < 9 * 60
