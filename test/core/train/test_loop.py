import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import load_checkpoint
from pavenet_core.train.batch import ImageBatch
from pavenet_core.train.distributed import Processes
from pavenet_core.train.loop import Trainer
from pavenet_core.train.recipe import COMPACT, Recipe
from pavenet_core.train.sample import Sample
from pavenet_core.train.saved_run import read_run

Make = Callable[..., PaveNet]
ALONE = Processes(0, 1, torch.device('cpu'))
QUICK = replace(
    COMPACT,
    steps=6,
    rate=2e-3,
    final_rate=1e-4,
    warmup_steps=2,
    update_windows=2,
    batch=2,
    backbone_rate=1.0,
    frozen='nothing',
    precision='float32',
    average=0.9,
)


class Dots:
    """Windows of one dotted person each; the batch of a step depends on the step alone."""

    steps_per_epoch = 3

    def __init__(self, batch: int = 2, same: bool = False, frames: int = 1) -> None:
        self.batch, self.same, self.frames, self.served = batch, same, frames, 0

    def batches(self, first_step: int) -> Iterator[ImageBatch]:
        step = first_step
        while True:
            rng = np.random.default_rng(0 if self.same else step)
            self.served = step = step + 1
            yield ImageBatch.collate([self._window(rng) for _ in range(self.batch)], 32)

    def _window(self, rng: np.random.Generator) -> Sample:
        person = rng.uniform((10, 10), (118, 86), (17, 2))
        image = np.full((96, 128, 3), 128, np.uint8)
        for joint, (x, y) in enumerate(person):
            cv2.circle(image, (round(x), round(y)), 5, (15 * joint, 255 - 15 * joint, 200), -1)
        known = np.column_stack([person, np.ones(17)]).astype(np.float32)
        images = np.repeat(image[None], self.frames, 0)
        boxes = np.zeros((0, 4), np.float32)
        return Sample(images, known[None], np.array([4000], np.float32), boxes)


def trainer(make: Make, folder: Path, recipe: Recipe = QUICK, **others: object) -> Trainer:
    source = Dots(batch=recipe.batch)
    return Trainer(make(1, dropout=0.1), recipe, source, folder, ALONE, **others)


def assert_equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert [name for name in a if not torch.equal(a[name], b[name])] == []


def test_the_loss_falls(make_tiny_model: Make, tmp_path: Path) -> None:
    recipe = replace(QUICK, steps=15, rate=4e-3, keypoint_weight=0.5, oks_weight=3.0)
    run = Trainer(make_tiny_model(1), recipe, Dots(same=True), tmp_path, ALONE)
    batches = run.source.batches(0)
    losses = [float(run.update(batches)['loss']) for _ in range(15)]
    assert losses[-1] < losses[0] - 2


@pytest.mark.parametrize('precision', ['float32', 'float16'])
def test_a_run_goes_on_to_the_bit(make_tiny_model: Make, tmp_path: Path, precision: str) -> None:
    recipe = replace(QUICK, precision=precision)
    whole = trainer(make_tiny_model, tmp_path / 'whole', recipe)
    assert whole.run()

    part = trainer(make_tiny_model, tmp_path / 'part', recipe)
    batches = part.source.batches(0)
    for _ in range(3):
        part.update(batches)
    part.save()
    torch.rand(5)  # whatever else the process draws does not matter
    again = trainer(make_tiny_model, tmp_path / 'part', recipe)
    assert again.resume() and again.step == 3
    assert again.run()
    assert_equal(whole.model.state_dict(), again.model.state_dict())
    assert_equal(whole.averaged.state_dict(), again.averaged.state_dict())
    assert_equal(whole.criterion.state_dict(), again.criterion.state_dict())
    assert not torch.equal(
        whole.model.neck.lateral[0][0].weight, whole.averaged.neck.lateral[0][0].weight
    )


def test_what_is_kept_are_the_averaged_weights(make_tiny_model: Make, tmp_path: Path) -> None:
    run = trainer(make_tiny_model, tmp_path)
    assert run.run()
    kept = load_checkpoint(tmp_path / 'checkpoint.pt')
    assert_equal(kept.state_dict(), run.averaged.state_dict())


def test_the_average_follows_the_weights(make_tiny_model: Make, tmp_path: Path) -> None:
    run = trainer(make_tiny_model, tmp_path, replace(QUICK, frozen='trunk'))
    before = {name: value.clone() for name, value in run.averaged.named_parameters()}
    run.update(run.source.batches(0))
    for name, value in run.model.named_parameters():
        # The first update's decay is 2 / 11.
        torch.testing.assert_close(
            run.averaged.get_parameter(name), before[name].lerp(value, 9 / 11)
        )


def test_accumulated_batches_make_one_update(make_tiny_model: Make, tmp_path: Path) -> None:
    recipe = replace(QUICK, batch=1, update_windows=4)
    run = trainer(make_tiny_model, tmp_path, recipe)
    assert (run.accumulation, run.steps_per_epoch) == (4, 1)
    parts = []
    for step in range(4):
        model = make_tiny_model(1)
        part = Trainer(model, replace(recipe, update_windows=1), Dots(1), tmp_path, ALONE)
        part._backward(next(part.source.batches(step)))
        parts.append(model.neck.lateral[0][0].weight.grad)
    whole = Trainer(make_tiny_model(1), recipe, Dots(1), tmp_path, ALONE)
    whole._descend = lambda: torch.tensor(0.0)  # type: ignore[method-assign]  # keep the sum
    whole.update(whole.source.batches(0))
    torch.testing.assert_close(
        whole.model.neck.lateral[0][0].weight.grad, torch.stack(parts).mean(0)
    )


def test_recomputing_gives_the_same_gradient(make_tiny_model: Make, tmp_path: Path) -> None:
    grads = []
    for recompute in (False, True):
        recipe = replace(QUICK, recompute=recompute)
        run = Trainer(make_tiny_model(3, dropout=0.1), recipe, Dots(frames=3), tmp_path, ALONE)
        torch.manual_seed(1)
        run._backward(next(run.source.batches(0)))
        grads.append([p.grad for p in run.model.parameters() if p.grad is not None])
    assert len(grads[0]) == len(grads[1])
    for kept, again in zip(*grads, strict=True):
        torch.testing.assert_close(kept, again)


def test_the_folder_tells_how_it_went(make_tiny_model: Make, tmp_path: Path) -> None:
    accuracies = iter([0.2, 0.5, 0.4])
    recipe = replace(QUICK, steps=9)
    seen = []

    def measure(model: PaveNet) -> dict[str, float]:
        seen.append(model.training)
        return {'AP': next(accuracies)}

    run = trainer(make_tiny_model, tmp_path, recipe, measure=measure)
    kept = []
    saved = run.weights

    def weights() -> dict[str, object]:
        kept.append(run.step)
        return saved()

    run.weights = weights  # type: ignore[method-assign]  # notes when weights are written
    assert run.run()
    assert seen == [False] * 3 and run.best == 0.5
    assert kept == [3, 6, 9]  # twice the best so far, then the last
    lines = [json.loads(line) for line in (tmp_path / 'metrics.jsonl').read_text().splitlines()]
    assert [line['accuracy']['AP'] for line in lines if 'accuracy' in line] == [0.2, 0.5, 0.4]
    assert [line['step'] for line in lines if 'train' in line] == [1, 9]
    assert {'loss', 'rate', 'gradient', 'loss_kpt'} <= lines[0]['train'].keys()
    assert cv2.imread(str(tmp_path / 'training.png')) is not None
    assert any((tmp_path / 'tensorboard').iterdir())
    load_checkpoint(tmp_path / 'best.pt')


def test_ctrl_c_saves_after_the_update(make_tiny_model: Make, tmp_path: Path) -> None:
    run = trainer(make_tiny_model, tmp_path)
    update = run.update

    def interrupted(batches: Iterator[ImageBatch]) -> object:
        if run.step == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return update(batches)

    run.update = interrupted  # type: ignore[method-assign]  # Ctrl-C in the midst of the third
    assert not run.run()
    assert read_run(tmp_path / 'checkpoint.pt', torch.device('cpu'))['run']['step'] == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_changed_recipe_or_network_is_refused(make_tiny_model: Make, tmp_path: Path) -> None:
    trainer(make_tiny_model, tmp_path).save()
    with pytest.raises(ValueError, match=r'rate 1.0 instead of 0.002.*another --out'):
        trainer(make_tiny_model, tmp_path, replace(QUICK, rate=1.0)).resume()
    other = Trainer(make_tiny_model(3), QUICK, Dots(), tmp_path, ALONE)
    with pytest.raises(ValueError, match='another network than tiny'):
        other.resume()
    more = trainer(make_tiny_model, tmp_path)
    more.source.steps_per_epoch = 9
    with pytest.raises(ValueError, match='another number of pictures: 9 updates an epoch inst'):
        more.resume()
    more.processes = replace(ALONE, count=2)
    with pytest.raises(ValueError, match='this run has processes 2 instead of 1; give'):
        more.resume()


def test_a_damaged_or_foreign_checkpoint_is_refused(make_tiny_model: Make, tmp_path: Path) -> None:
    path = tmp_path / 'checkpoint.pt'
    run = trainer(make_tiny_model, tmp_path)
    run.save()
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(ValueError, match=r'cannot go on from .*checkpoint.pt: .*begin anew'):
        run.resume()
    torch.save(run.weights(), path)
    with pytest.raises(ValueError, match='it holds weights alone'):
        run.resume()
    torch.save([1, 2], path)
    with pytest.raises(ValueError, match='cannot go on'):
        run.resume()


def test_a_loss_that_explodes_is_one_sentence(make_tiny_model: Make, tmp_path: Path) -> None:
    run = trainer(make_tiny_model, tmp_path)
    with torch.no_grad():
        run.model.neck.lateral[0][0].weight.fill_(float('nan'))
    with pytest.raises(
        ValueError, match=r'gradient of update 1 is nan; train with a lower --rate'
    ):
        run.update(run.source.batches(0))


def test_an_interrupted_write_leaves_the_old_file(
    make_tiny_model: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trainer(make_tiny_model, tmp_path)
    run.save()
    before = (tmp_path / 'checkpoint.pt').read_bytes()

    def die(data: object, file: object) -> None:
        file.write(b'half')
        raise OSError('disk full')

    monkeypatch.setattr(torch, 'save', die)
    with pytest.raises(OSError, match='disk full'):
        run.save()
    assert (tmp_path / 'checkpoint.pt').read_bytes() == before
