"""`pavenet predict` on several bags, here and through Ray, with the stand-in model."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pavenet_core.bag.detect import find_bags
from pavenet_core.cli import main

REPOSITORY = Path(__file__).parents[3]
CLUSTER = """
import sys, ray
context = ray.init(address='local', num_cpus=2, include_dashboard=False)
print(context.address_info['gcs_address'], flush=True)
sys.stdin.read()
"""
Run = Callable[..., int]


@pytest.fixture
def folder(tmp_path: Path, bags: Any) -> Path:
    """Give a folder of three bags of 2, 3 and 4 images, one of them in a subfolder."""
    for count, name in ((2, 'a'), (3, 'b'), (4, 'day2/c')):
        (tmp_path / 'bags' / name).parent.mkdir(parents=True, exist_ok=True)
        bags.write(tmp_path / 'bags' / name, {bags.topic: bags.images(count)})
    return tmp_path / 'bags'


@pytest.fixture
def run(stand_in: Path) -> Run:
    """Give `pavenet predict` with the stand-in, as a call that returns the exit code."""
    return lambda *words: main(['predict', '--model', str(stand_in), *map(str, words)])


def answers(into: Path) -> dict[str, str]:
    return {str(p.parent.relative_to(into)): p.read_text() for p in into.rglob('poses.json')}


def break_bag(bag: Path) -> None:
    file = bag / f'{bag.name}.db3'
    file.write_bytes(file.read_bytes()[:4096])


def test_each_bag_of_a_folder_has_outputs_of_its_own(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / 'new' / 'into'
    words = ['--out', 'a.json', '--video', 'a.mp4', '--images', 'drawn', '--bag', 'people']
    assert run(folder, '--into', into, *words) == 0
    for name, count in (('a', 2), ('b', 3), ('day2/c', 4)):
        frames = json.loads((into / name / 'a.json').read_text())['frames']
        assert [frame['frame'] for frame in frames] == list(range(count))
        assert {frame['source'] for frame in frames} == {str(folder / name)}
        assert [len(frame['poses']) for frame in frames] == [3] * count
        assert len(list((into / name / 'drawn').iterdir())) == count
        assert (into / name / 'people' / 'metadata.yaml').exists()
        assert (into / name / 'a.mp4').stat().st_size > 0
    assert f'{into / "b"}: 3 frames, 9 people' in capsys.readouterr().out
    assert not list(into.rglob('*.partial'))


def test_several_bags_need_no_name_for_their_outputs(
    run: Run, folder: Path, predict: Callable[..., str], stand_in: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(folder.parent)
    assert run('bags/a', 'bags/b') == 0
    alone = predict(stand_in, folder / 'alone.json', 'bags/b')
    assert answers(Path('poses'))['b'] == alone


def test_what_is_done_is_left_alone_and_the_rest_is_done(
    run: Run, folder: Path, bags: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / 'into'
    assert run(folder, '--into', into) == 0
    before = {path: path.stat().st_mtime_ns for path in into.rglob('poses.json')}
    bags.write(folder / 'd', {bags.topic: bags.images(1)})
    capsys.readouterr()
    assert run(folder, '--into', into, '--threads', 1) == 0
    output = capsys.readouterr().out
    assert f'3 of 4 bags are in {into} already' in output
    assert output.count(' frames, ') == 1
    assert set(answers(into)) == {'a', 'b', 'day2/c', 'd'}
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_outputs_of_other_settings_bags_or_models_are_not_taken_for_these(
    run: Run, folder: Path, bags: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / 'into'
    assert run(folder, '--into', into) == 0
    before = answers(into)
    assert run(folder, '--into', into, '--score-threshold', 0.4) == 1
    error = capsys.readouterr().err
    assert 'a was made otherwise (score_threshold was 0.3); choose another --into' in error
    assert error.count('\n') == 1
    assert main(['predict', str(folder), '--into', str(into)]) == 1  # compact
    assert 'model was' in capsys.readouterr().err
    os.utime(folder / 'a' / 'a.db3')
    assert run(folder, '--into', into) == 1
    assert 'a was made otherwise (other files)' in capsys.readouterr().err
    assert answers(into) == before


def test_a_broken_bag_is_one_sentence_and_the_others_are_done(
    run: Run, folder: Path, bags: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_bag(folder / 'a')
    bad = [bags.image(40, bags.stamp_of(i), missing=1) for i in range(2)]
    bags.write(folder / 'bad', {bags.topic: bad})  # it opens, but no image can be decoded
    assert run(folder, '--into', tmp_path / 'into') == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert 'a cannot be read as a rosbag' in lines[0]
    assert 'none of the 2 images' in lines[1]
    assert '2 of 4 bags failed' in lines[2]
    assert set(answers(tmp_path / 'into')) == {'b', 'day2/c'}
    assert not list((tmp_path / 'into').glob('a*')) + list((tmp_path / 'into').glob('bad*'))


def test_a_killed_run_is_gone_on_with(
    folder: Path, bags: Any, tmp_path: Path, stand_in: Path, run: Run
) -> None:
    """Killed for good while it writes, it leaves nothing that looks whole."""
    bags.write(folder / 'long', {bags.topic: bags.images(3) * 200})
    into = tmp_path / 'into'
    code = 'import sys; from pavenet_core.cli import main; sys.exit(main())'
    words = ['predict', folder, '--into', into, '--model', stand_in, '--images', 'drawn']
    with subprocess.Popen([sys.executable, '-c', code, *map(str, words)]) as process:
        end = time.monotonic() + 60
        while len(list(into.glob('long.*.partial/drawn/*'))) < 5:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert set(answers(into)) == {'a', 'b', 'day2/c'}
    before = {path: path.stat().st_mtime_ns for path in into.rglob('poses.json')}
    assert run(folder, '--into', into, '--images', 'drawn') == 0
    assert len(json.loads(answers(into)['long'])['frames']) == 600
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert not list(into.rglob('*.partial'))


def test_what_others_put_there_is_not_touched(
    run: Run, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above all the bags themselves, where --into is their own folder."""
    before = {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}
    assert run(folder / 'a', folder / 'b', '--into', folder) == 1
    assert f'{folder / "a"} is there already, and not by this command' in capsys.readouterr().err
    for name in ('a.partial', 'a.01234567.partial'):
        (tmp_path / 'into' / name).mkdir(parents=True)
        (tmp_path / 'into' / name / 'mine').touch()
    assert run(folder, '--into', tmp_path / 'into') == 0
    assert len(list((tmp_path / 'into').glob('*/mine'))) == 2
    assert {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()} == before


def test_outputs_within_the_folder_are_not_taken_for_its_bags(
    run: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert run(folder, '--into', folder / 'poses', '--bag', 'people') == 0
    assert 'bags are in' in capsys.readouterr().out
    assert set(answers(folder / 'poses')) == {'a', 'b', 'day2/c'}


def test_loose_files_of_a_folder_are_bags_unless_they_are_one_bag(
    bags: Any, tmp_path: Path
) -> None:
    folder = tmp_path / 'loose'
    for name in ('x', 'y'):
        bag = bags.write(tmp_path / name, {bags.topic: bags.images(1)}, 'mcap')
        folder.mkdir(exist_ok=True)
        (bag / f'{name}.mcap').rename(folder / f'{name}.mcap')
    assert find_bags(folder, tmp_path) == [folder / 'x.mcap', folder / 'y.mcap']
    cut_short = bags.write(tmp_path / 'z', {bags.topic: bags.images(1)}, 'mcap')
    (cut_short / 'metadata.yaml').unlink()
    assert cut_short in find_bags(tmp_path, Path('/nowhere'))


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['bags', 'a.png'], 'a.png has no rosbag'),
        (['empty', '--into', 'x'], 'empty has no rosbag'),
        (['bags/a', 'bags/a'], 'bags/a and bags/a would both go into poses/a'),
        (['bags', '--video', '/tmp/a.mp4'], '--video /tmp/a.mp4: with several bags'),
        (['bags', '--out', '../a.json'], '--out ../a.json: with several bags'),
        (['bags', '--annotations', 'a.json'], '--annotations is for one rosbag'),
        (['bags', '--workers', '0'], '--workers must be 1 or more, got 0'),
        (['bags/a', '--workers', '2'], 'are for several rosbags'),
        (['bags', '--model', 'nothing'], "no model 'nothing'"),
        (['bags', '--ray-address', '127.0.0.1:1'], 'Ray cannot be used at 127.0.0.1:1'),
    ],
)
def test_bad_input_is_one_sentence(
    run: Run,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    if '--ray-address' in words:
        pytest.importorskip('ray')
    monkeypatch.chdir(folder.parent)
    Path('empty').mkdir()
    Path('a.png').write_bytes(b'a')
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
    assert not Path('poses').exists()


def test_without_ray_one_worker_works_and_several_say_what_is_missing(
    folder: Path, stand_in: Path, tmp_path: Path
) -> None:
    code = (
        'import sys; sys.modules["ray"] = None\n'
        'from pavenet_core.cli import main; sys.exit(main(sys.argv[1:]))'
    )
    words = [sys.executable, '-c', code, 'predict', str(folder), '--model', str(stand_in)]
    into = ['--into', str(tmp_path / 'into')]
    result = subprocess.run([*words, *into, '--workers', '2'], capture_output=True, text=True)
    assert result.returncode == 1
    assert 'pip install ray' in result.stderr
    assert result.stderr.count('\n') == 1
    assert subprocess.run([*words, *into, '--workers', '1']).returncode == 0


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the address of a Ray cluster in another process, which asks for a token."""
    pytest.importorskip('ray')
    monkeypatch.setenv('RAY_AUTH_MODE', 'token')
    monkeypatch.setenv('RAY_AUTH_TOKEN', secrets.token_hex(32))
    with subprocess.Popen(
        [sys.executable, '-c', CLUSTER], stdin=-1, stdout=-1, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.communicate()


@pytest.mark.parametrize('where', ['here', 'cluster'])
def test_ray_gives_the_same_and_goes_on_after_a_broken_bag(
    run: Run,
    folder: Path,
    stand_in: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    where: str,
) -> None:
    """In processes of their own, as a user starts them: Ray leaves its marks in one."""
    pytest.importorskip('ray')
    assert run(folder, '--into', tmp_path / 'one') == 0
    break_bag(folder / 'b')
    options = ['--workers', '2']
    if where == 'cluster':
        options = ['--ray-address', request.getfixturevalue('cluster')]
    code = 'import sys; from pavenet_core.cli import main; sys.exit(main())'
    words = ['predict', folder, '--into', tmp_path / 'two', '--model', stand_in, *options]
    result = subprocess.run(
        [sys.executable, '-c', code, *map(str, words)],
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert '1 of 3 bags failed' in result.stderr
    assert len(result.stderr.splitlines()) == 2
    one, two = answers(tmp_path / 'one'), answers(tmp_path / 'two')
    assert two == {name: one[name] for name in ('a', 'day2/c')}
