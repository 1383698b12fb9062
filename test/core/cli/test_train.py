"""Training as a user starts it, on pictures of dotted people."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pavenet_core.cli import main
from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import load_checkpoint
from pavenet_core.skeleton import COCO17, POSETRACK15, Skeleton
from pavenet_core.train import canvas_loader, feature_cache
from pavenet_core.train.batch import ImageBatch
from pavenet_core.train.criterion import Criterion
from pavenet_core.train.loop import Trainer

REPOSITORY = Path(__file__).parents[3]
COCO_LABELS = 'coco/annotations/person_keypoints_train2017.json'


def write_dots(
    folder: Path, labels: Path, count: int, skeleton: Skeleton = COCO17, below: str = ''
) -> None:
    """Write pictures of one dotted person each, and their labels in COCO's form."""
    folder.mkdir(parents=True)
    labels.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    images, people = [], []
    for index in range(count):
        person = rng.uniform((30, 20), (130, 100), (len(skeleton), 2)).round(1)
        image = np.full((120, 160, 3), 128, np.uint8)
        for joint, (x, y) in enumerate(person):
            cv2.circle(image, (round(x), round(y)), 6, (14 * joint, 250 - 14 * joint, 200), -1)
        cv2.imwrite(str(folder / f'{index}.png'), image)
        images.append(
            {'id': index, 'file_name': f'{below}{index}.png', 'height': 120, 'width': 160}
        )
        low, size = person.min(0), np.ptp(person, axis=0)
        people.append(
            {
                'id': index + 1,
                'image_id': index,
                'category_id': 1,
                'iscrowd': 0,
                'keypoints': np.column_stack([person, np.full(len(person), 2)]).ravel().tolist(),
                'num_keypoints': len(skeleton),
                'bbox': [*low.tolist(), *size.tolist()],
                'area': float(size.prod()),
            }
        )
    category = {'id': 1, 'name': 'person', 'keypoints': list(skeleton.names), 'skeleton': []}
    data = {'images': images, 'annotations': people, 'categories': [category]}
    labels.write_text(json.dumps(data))


@pytest.fixture(scope='module')
def place(
    make_tiny_model: Callable[..., PaveNet], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Give a folder with pictures, labels and weights of a tiny image model."""
    folder = tmp_path_factory.mktemp('dots')
    write_dots(folder / 'photos', folder / 'labels.json', 8)
    model = make_tiny_model(1)
    weights = {
        'config': model.config.to_json(),
        'average': model.state_dict(),
        'criterion': Criterion(model.config.skeleton).state_dict(),
    }
    torch.save(weights, folder / 'tiny.pt')
    return folder


def words(place: Path, out: Path, *more: object) -> list[str]:
    """Return what to say to `pavenet` for a quick fine-tuning."""
    return [
        *('train', '--recipe', 'finetune', '--weights', str(place / 'tiny.pt')),
        *('--images', str(place / 'photos'), '--annotations', str(place / 'labels.json')),
        *('--update', '4', '--batch', '4', '--device', 'cpu', '--out', str(out)),
        *map(str, more),
    ]


def start(
    arguments: list[str], launcher: tuple[str, ...] = (), new_group: bool = False
) -> 'subprocess.Popen[str]':
    command = [sys.executable, *launcher, '-m', 'pavenet_core.cli', *arguments]
    return subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, 'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=new_group,
    )


def finish(process: 'subprocess.Popen[str]') -> None:
    said = process.communicate(timeout=180)
    assert process.returncode == 0, said


def run_state(out: Path) -> dict[str, object]:
    return dict(torch.load(out / 'checkpoint.pt', weights_only=True))


def steps_done(out: Path) -> int:
    try:
        return int(run_state(out)['run']['step'])
    except (OSError, RuntimeError):
        return 0


def wait_for_step(process: 'subprocess.Popen[str]', out: Path, step: int) -> None:
    until = time.monotonic() + 120
    while steps_done(out) < step:
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.05)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Compute as the processes of `start` do: sums of several threads differ in the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_a_stopped_and_killed_run_ends_like_an_undisturbed_one(
    place: Path,
    tmp_path: Path,
    one_thread: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = ('--steps', 12, '--checkpoint-minutes', 0)
    assert main(words(place, tmp_path / 'whole', *more)) == 0
    capsys.readouterr()

    out, update = tmp_path / 'part', Trainer.update

    def interrupted(trainer: Trainer, batches: Iterator[ImageBatch]) -> object:
        if trainer.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return update(trainer, batches)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, 'update', interrupted)
        assert main(words(place, out, *more)) == 130
    said = capsys.readouterr()
    assert said.out == f'stopped and saved; the same command goes on from {out}\n'
    assert 'Traceback' not in said.err
    assert steps_done(out) == 3

    process = start(words(place, out, *more))
    wait_for_step(process, out, 5)
    process.kill()
    process.communicate(timeout=60)
    assert 5 <= steps_done(out) < 12

    assert main(words(place, out, *more)) == 0
    expected, found = run_state(tmp_path / 'whole'), run_state(out)
    for name in ('average', 'criterion'):
        for key, value in expected[name].items():
            assert torch.equal(value, found[name][key]), key
    lines = (out / 'metrics.jsonl').read_text().splitlines()
    assert [json.loads(line)['step'] for line in lines] == [1, 10, 12]


def test_a_signal_to_all_processes_of_a_run_lets_its_update_end(
    place: Path, tmp_path: Path
) -> None:
    # More batches than workers read ahead, so that the update's end needs the workers alive.
    more = ('--update', 24, '--batch', 1, '--workers', 1, '--checkpoint-minutes', 0)
    process = start(words(place, tmp_path, *more), new_group=True)
    wait_for_step(process, tmp_path, 1)
    os.killpg(process.pid, signal.SIGTERM)
    said, complaints = process.communicate(timeout=120)
    assert process.returncode == 130, complaints
    assert said.startswith('stopped and saved')
    assert 'SIGTERM: training ends after this update' in complaints


def test_two_processes_learn_what_one_learns_of_the_joined_batch(
    place: Path, tmp_path: Path
) -> None:
    launcher = ('-m', 'torch.distributed.run', '--standalone', '--nproc-per-node', '2')
    labelled = ('--val-images', place / 'photos', '--val-annotations', place / 'labels.json')
    for steps, more in (('1', ()), ('3', labelled)):
        one, two = tmp_path / f'one{steps}', tmp_path / f'two{steps}'
        joined = start(words(place, one, '--steps', steps, *more))
        shared = start(words(place, two, '--steps', steps, '--batch', 2, *more), launcher)
        finish(joined)
        finish(shared)

    first, second = (run_state(tmp_path / name)['run'] for name in ('one1', 'two1'))
    assert (first['processes'], second['processes']) == (1, 2)
    moments = [each['optimiser']['state'] for each in (first, second)]
    assert moments[0].keys() == moments[1].keys()
    scale = max(float(moment['exp_avg'].abs().max()) for moment in moments[0].values())
    for index, moment in moments[0].items():  # the gradient times 0.1
        other = moments[1][index]['exp_avg']
        torch.testing.assert_close(moment['exp_avg'], other, rtol=1e-3, atol=5e-5 * scale)

    begin = all_weights(torch.load(place / 'tiny.pt', weights_only=True)['average'])
    learned, same = (
        all_weights(run_state(tmp_path / name)['run']['model']) - begin
        for name in ('one3', 'two3')
    )
    # Adam moves a weight by the rate even where rounding decides the gradient's sign.
    assert learned.norm() > 0 and (learned - same).norm() < 0.005 * learned.norm()
    accuracies = [
        [line for line in (out / 'metrics.jsonl').read_text().splitlines() if 'accuracy' in line]
        for out in (tmp_path / 'one3', tmp_path / 'two3')
    ]
    assert accuracies[0] == accuracies[1] and len(accuracies[0]) == 2


def all_weights(state: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([value.flatten() for value in state.values() if value.is_floating_point()])


def test_measures_on_other_pictures_and_keeps_the_best(place: Path, tmp_path: Path) -> None:
    validation = ('--val-annotations', place / 'labels.json')  # of pictures in the same folder
    assert main(words(place, tmp_path, '--epochs', 1, *validation)) == 0
    lines = [json.loads(x) for x in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
    (accuracy,) = [line['accuracy'] for line in lines if 'accuracy' in line]
    assert set(accuracy) == {'AP', 'AP50', 'AP75', 'AR'}
    load_checkpoint(tmp_path / 'best.pt')


def test_the_paper_s_stages_by_one_command(place: Path, tmp_path: Path) -> None:
    write_dots(tmp_path / 'coco' / 'train2017', tmp_path / COCO_LABELS, 4)
    write_dots(
        tmp_path / 'posetrack' / 'images' / 'train' / '000001_bonn_train',
        tmp_path / 'posetrack' / 'annotations' / 'train' / '000001_bonn_train.json',
        4,
        POSETRACK15,
        'images/train/000001_bonn_train/',
    )
    command = [
        *('train', '--recipe', 'paper', '--coco', tmp_path / 'coco', '--frames', 3),
        *('--posetrack', tmp_path / 'posetrack', '--weights', place / 'tiny.pt'),
        *('--epochs', 1, '--update', 2, '--batch', 1, '--longest', 160),
        *('--device', 'cpu', '--out', tmp_path / 'run'),
    ]
    assert main([str(word) for word in command]) == 0
    stills = load_checkpoint(tmp_path / 'run' / '1-coco' / 'checkpoint.pt').config
    final = load_checkpoint(tmp_path / 'run' / 'checkpoint.pt').config
    assert (stills.skeleton, stills.num_frames) == (COCO17, 3)
    assert (final.skeleton, final.num_frames) == (POSETRACK15, 3)


def test_the_compact_recipe_learns_from_canvases_around_what_is_given(
    make_tiny_pyramid: Callable[..., PaveNet],
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(canvas_loader, 'SIZES', ((64, 128), (128, 64)))
    model = make_tiny_pyramid(1, num_queries=6)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.save({'config': model.config.to_json(), 'average': before}, tmp_path / 'pyramid.pt')
    more = ('--recipe', 'compact', '--steps', 2, '--update', 4, '--batch', 2)
    start = ('--weights', tmp_path / 'pyramid.pt')
    assert main(words(place, tmp_path / 'run', *more, *start)) == 0
    after = load_checkpoint(tmp_path / 'run' / 'checkpoint.pt').state_dict()
    same = {name for name, value in after.items() if torch.equal(value, before[name])}
    given = {name for name in before if name.startswith(model.trunk_parts)}
    assert same >= given
    for learned in ('query_selection.content', 'pose_decoder.keypoint_heads.1.0.6'):
        assert f'{learned}.weight' not in same
    assert not (tmp_path / 'run' / 'cache').exists()


def test_what_the_weights_lack_begins_alike_each_time(place: Path, tmp_path: Path) -> None:
    weights = torch.load(place / 'tiny.pt', weights_only=True)
    torch.save({**weights, 'criterion': {}}, tmp_path / 'no_densities.pt')
    states = []
    for name, seed in (('one', 0), ('again', 0), ('other', 1)):
        more = ('--weights', tmp_path / 'no_densities.pt', '--steps', 1, '--seed', seed)
        assert main(words(place, tmp_path / name, *more)) == 0
        states.append(all_weights(run_state(tmp_path / name)['criterion']))
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_data_that_a_recipe_does_not_take_is_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dots(tmp_path / 'coco/train2017', tmp_path / COCO_LABELS, 1)
    assert main(words(place, tmp_path / 'run', '--coco', tmp_path / 'coco', '--dry-run')) == 1
    paper = ('--recipe', 'paper', '--coco', tmp_path / 'coco', '--dry-run')
    assert main(words(place, tmp_path / 'run', *paper)) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert 'recipe finetune has no use for --coco; leave it out' in first
    assert 'recipe paper has no use for --images; leave it out' in second


def test_labels_to_measure_on_of_other_keypoints_are_refused_at_once(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_dots(tmp_path / 'val', tmp_path / 'val.json', 1, POSETRACK15)
    validation = ('--val-images', tmp_path / 'val', '--val-annotations', tmp_path / 'val.json')
    assert main(words(place, tmp_path / 'run', '--dry-run', *validation)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert 'val, to measure on, labels other keypoints than labels: nose, head_bottom' in line


def test_labels_of_nobody_to_measure_on_are_refused_at_once(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = json.loads((place / 'labels.json').read_text())
    (tmp_path / 'val.json').write_text(json.dumps({**labels, 'annotations': []}))
    validation = ('--val-annotations', tmp_path / 'val.json')
    assert main(words(place, tmp_path / 'run', '--dry-run', *validation)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert 'val, to measure on, has nobody with a marked keypoint in 8 pictures; give' in line


def test_a_dry_run_refuses_weights_that_do_not_fit(
    make_tiny_model: Callable[..., PaveNet],
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = make_tiny_model(3)
    weights = {'config': model.config.to_json(), 'average': model.state_dict()}
    torch.save(weights, tmp_path / 'video.pt')
    more = ('--weights', tmp_path / 'video.pt', '--frames', 5, '--dry-run')
    assert main(words(place, tmp_path / 'run', *more)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert 'can be widened to 5, this one has 3; leave --frames out' in line


def test_a_dry_run_trains_nothing(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words(place, tmp_path / 'run', '--dry-run')) == 0
    said = capsys.readouterr().out
    assert '17 keypoints (8 left and right pairs); 8 labelled frames' in said
    assert 'updates 0 to 40, 2 an epoch' in said
    assert not (tmp_path / 'run').exists()


def test_too_little_memory_is_one_sentence(
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def update(*_: object) -> None:
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 20.00 GiB')

    monkeypatch.setattr(Trainer, 'update', update)
    assert main(words(place, tmp_path)) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('pavenet: the memory of cpu does not suffice; take a smaller --batch')


@pytest.mark.parametrize(
    ('more', 'sentence'),
    [
        (('--recipe', 'bake'), "no recipe 'bake'; there are"),
        (('--weights', 'nowhere.pt'), 'there are no weights nowhere.pt'),
        (('--model', 'huge'), "no model 'huge'; there are"),
        (('--rate', '0'), 'rate 0.0'),
        (('--val-images', 'x'), '--val-annotations and --val-images belong together'),
        (('--device', 'cuda'), 'there is no CUDA device here'),
        (('--recipe', 'paper'), 'recipe paper needs --posetrack'),
    ],
)
def test_bad_input_is_one_sentence(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    more: tuple[str, ...],
    sentence: str,
) -> None:
    if more[-1] == 'cuda' and torch.cuda.is_available():
        pytest.skip('there is a CUDA device')
    assert main(words(place, tmp_path, *more)) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('pavenet: ') and sentence in line


def test_a_cache_is_filled_by_the_weights_given_also_after_a_dry_run_or_a_stop(
    make_tiny_pyramid: Callable[..., PaveNet],
    place: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_cache, 'SHARD', 8)
    monkeypatch.setattr(feature_cache, 'CANVAS', (64, 128))
    model = make_tiny_pyramid(1, num_queries=6)
    weights = {'config': model.config.to_json(), 'average': model.state_dict()}
    torch.save(weights, tmp_path / 'pyramid.pt')
    more = ('--recipe', 'compact', '--shards', 1, '--steps', 2, '--update', 4, '--batch', 4)
    begin = ('--weights', tmp_path / 'pyramid.pt')

    def cached(name: str, *words_more: object) -> np.ndarray | None:
        out = tmp_path / name
        assert main(words(place, out, *more, *begin, *words_more)) == 0
        maps = out / 'cache' / '00000' / 'map0.npy'
        return np.load(maps) if maps.is_file() else None

    expected = cached('whole')
    assert cached('dry', '--dry-run') is None
    np.testing.assert_array_equal(cached('dry'), expected)

    out, save = tmp_path / 'part', Trainer.save

    def stop_at_once(trainer: Trainer) -> None:
        save(trainer)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, 'save', stop_at_once)
        assert main(words(place, out, *more, *begin, '--checkpoint-minutes', 0)) == 130
    shutil.rmtree(out / 'cache')
    np.testing.assert_array_equal(cached('part', '--checkpoint-minutes', 0), expected)
