"""benchmarks/on_gpu.py without a GPU: the parts on tiny sizes, and what happens when one fails."""

import argparse
import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip('torch', reason='needs torch')
pytest.importorskip('timm', reason='needs timm')

from torch import Tensor

from pavenet_core import ops

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
        *('build_peers', 'peers', 'counters', 'stream', 'models', 'compiled', 'sanitize'),
    ],
)
def test_a_part_runs_without_a_gpu(load, part: str, tmp_path: Path) -> None:
    module = load(load('on_gpu').PARTS[part].module)
    report = load('kernel_report').Report(tmp_path / 'found.json', dry_run=True)
    getattr(module, part)(report)
    assert report.found
    assert report.failures == []
    assert json.loads(report.path.read_text()) == report.found


@pytest.mark.parametrize('part', ['stream', 'models', 'compiled'])
def test_a_network_is_not_timed_without_the_kernel(
    load, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> None:
        raise ops.NoKernelError('no ninja')

    monkeypatch.setattr(ops, 'build', build)
    module = load(load('on_gpu').PARTS[part].module)
    report = load('kernel_report').Report(tmp_path / 'found.json')
    with pytest.raises(ops.NoKernelError):
        getattr(module, part)(report)
    assert not report.found


def test_cached_frames_have_the_numbers_that_are_timed(
    load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, timed = load('kernel_stream'), []
    half = torch.bfloat16
    monkeypatch.setattr(stream, 'in_precision', lambda name: torch.autocast('cpu', half))
    monkeypatch.setattr(stream, 'latency', lambda run, report: timed.append(run) or {})
    report = load('kernel_report').Report(tmp_path / 'found.json', dry_run=True)
    stream.stream(report)
    assert report.failures == []
    values = [x for run in timed for frame in run.cached for x in frame[0][0]]
    assert {x.dtype for x in values} == {half}


def test_the_stream_answers_as_the_network_does(load, tmp_path: Path) -> None:
    stream, networks = load('kernel_stream'), load('kernel_in_model')
    report = load('kernel_report').Report(tmp_path / 'found.json', dry_run=True)
    network = networks.make_network(networks.configs(report)[0], report)
    for parameter in network.parameters():  # some start at nothing
        parameter.add_(0.02 * torch.randn_like(parameter))
    run = stream.Stream(network, (64, 96), report)
    pictures = run.image[:, None].expand(-1, network.config.num_frames, -1, -1, -1)
    with torch.inference_mode():
        joints = network(pictures, run.size, networks.PEOPLE)[1]
    torch.testing.assert_close(run(), joints.keypoints)


def test_all_layers_are_compiled(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = load('kernel_in_model')
    asked = set()

    def spy(method: Callable[..., object], **options: object) -> Callable[..., object]:
        def ask(*given: object) -> object:
            asked.add(method.__self__)
            return method(*given)

        return ask

    monkeypatch.setattr(torch, 'compile', spy)
    report = load('kernel_report').Report(tmp_path / 'found.json', dry_run=True)
    config = compiled.configs(report)[0]
    compiled._compiled(config, (64, 96), 'layers', report)
    layers = [type(layer).__name__ for layer in asked]
    assert layers.count('EncoderLayer') == config.encoder_layers
    assert layers.count('DecoderLayer') == config.pose_layers + config.joint_layers


@pytest.mark.parametrize(('limit', 'turns'), [(0, 2), (60, 3)])
def test_slow_calls_are_run_less(
    load, monkeypatch: pytest.MonkeyPatch, limit: float, turns: int
) -> None:
    clock, calls = load('kernel_clock'), []
    monkeypatch.setattr(clock, 'SLOW_SECONDS', limit)
    assert clock.warm_up([lambda: calls.append(1)], 'cpu') == (limit == 0)
    assert len(calls) == turns


def test_every_call_is_timed_in_every_number_type(load) -> None:
    timing = load('kernel_timing')
    cases, calls = load('kernel_cases').cases(False), timing.calls_to_time(dry_run=False)
    assert {(case.name, dtype) for case, dtype in calls} == {
        (case.name, dtype) for case in cases for dtype in timing.NUMBERS
    }
    assert len(calls) == len(cases) * len(timing.NUMBERS)


@pytest.fixture
def on_borders(load, monkeypatch: pytest.MonkeyPatch):
    """Return a call in float32 with samples at the borders of cells, and its results."""
    monkeypatch.setattr(load('kernel_check'), 'MOST_LEFT_OUT', 0.1)
    cases = load('kernel_cases')
    case = cases.Case('large maps', cases.LARGE, frames=1, queries=20)
    inputs = cases.draw(case, torch.float32, 'cpu')
    columns = 100 + torch.arange(20)[:, None]  # of the finest level, whose width is 167
    inputs.locations[0, :, 0, :, 0, 0, 0] = (columns + 0.5) / 167
    form = load('kernel_forms').rearranged_form(case, inputs)
    return case, inputs, (form.forward(), *form.backward())


def test_rounding_at_the_border_of_a_cell_is_no_error(
    load, on_borders, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = load('kernel_check')
    found = check.compare(*on_borders)
    assert found['ok'], found
    assert 160 <= found['left_out'] < 170
    monkeypatch.setattr(check, 'BORDER', 0)
    assert check.compare(*on_borders)['errors']['by locations'] > 1e-3


@pytest.mark.parametrize(
    ('spoil', 'name'),
    [
        (lambda x: x[3].zero_(), 'by weights'),
        (lambda x: x[2].copy_(x[2].flip(-1)), 'by locations'),
        (lambda x: x[2][:, 0].zero_(), 'by locations'),
        (lambda x: x[2].mul_(1.0001), 'by locations'),
        (lambda x: x[1][:, :, 0].add_(1), 'by value'),
    ],
)
def test_a_wrong_gradient_is_an_error(
    load, on_borders, spoil: Callable[[tuple[Tensor, ...]], object], name: str
) -> None:
    check = load('kernel_check')
    case, inputs, found = on_borders
    spoil(found)
    result = check.compare(case, inputs, found)
    assert not result['ok']
    assert [x for x, error in result['errors'].items() if error > 1e-5] == [name]


def test_too_many_samples_left_out_are_no_proof(
    load, on_borders, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = load('kernel_check')
    monkeypatch.setattr(check, 'MOST_LEFT_OUT', 0.01)
    assert not check.compare(*on_borders)['ok']


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
    load,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
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
    printed = capsys.readouterr().out.splitlines()
    assert [x for x in printed if 'loses' in x] == [
        'loses: first: ok True, seconds 0',
        "loses: second: {'failed': 'a bad access'}",
        'loses: third: ok True, seconds 0',
    ]
    assert 'works: number: 1' in printed


def test_a_part_ends_with_the_whole(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_gpu = load('on_gpu')
    (tmp_path / 'kernel_fake.py').write_text(FAKE_PARTS)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    parts = {'hangs': on_gpu.Part('kernel_fake', 9), 'works': on_gpu.Part('kernel_fake', 9, True)}
    monkeypatch.setattr(on_gpu, 'PARTS', parts)
    begun, start = [], on_gpu.start
    monkeypatch.setattr(on_gpu, 'start', lambda *given: begun.append(start(*given)) or begun[-1])

    def interrupt(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(on_gpu, 'found_by', interrupt)
    options = argparse.Namespace(seconds=60, dry_run=True, peer=None, out=tmp_path / 'gpu.json')
    with pytest.raises(KeyboardInterrupt):
        on_gpu.run_parts(list(parts), options, tmp_path)
    assert len(begun) == 2
    assert all(x.process.returncode is not None for x in begun)


def test_earlier_results_are_kept(load, tmp_path: Path) -> None:
    unused, out = load('on_gpu').unused, tmp_path / 'gpu.json'
    assert unused(out) == out
    for name in ('gpu.json', 'gpu_2.json'):
        (tmp_path / name).touch()
    assert unused(out) == tmp_path / 'gpu_3.json'


def test_results_need_a_folder(load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = str(tmp_path / 'none' / 'gpu.json')
    monkeypatch.setattr(sys, 'argv', ['on_gpu.py', '--dry-run', '--out', out])
    with pytest.raises(SystemExit, match=r'there is no folder .*none; make it first'):
        load('on_gpu').main()


def test_a_line_has_the_medians(load) -> None:
    timed = {'calls': {'median_ms': 2.0}, 'graph': {'median_ms': 1.23456}}
    in_short = load('on_gpu').in_short
    assert in_short({**timed, 'peak_bytes': 7}) == 'calls 2 ms, graph 1.235 ms, peak_bytes 7'
    assert in_short({'forward': timed, 'backward': timed}) == (
        'forward 1.235 ms, backward 1.235 ms'
    )


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
