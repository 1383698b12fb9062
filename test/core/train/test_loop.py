from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import load_checkpoint
from pavenet_core.train.canvas import CanvasMaker
from pavenet_core.train.feature_cache import cached_batches, fill_cache
from pavenet_core.train.loop import TrainConfig, Trainer, learning_rate
from pavenet_core.train.windows import read_windows

Make = Callable[..., PaveNet]


@pytest.fixture
def cache(make_tiny_model: Make, windows_file: Path, tmp_path: Path, small_shards: None) -> Path:
    model = make_tiny_model(1)
    maker = CanvasMaker(read_windows(windows_file, 17), model.config.skeleton, 1)
    assert len(list(fill_cache(tmp_path / 'cache', model, maker, range(2)))) == 2
    return tmp_path / 'cache'


def test_training_learns_and_resumes_to_the_bit(
    make_tiny_model: Make, cache: Path, tmp_path: Path
) -> None:
    settings = TrainConfig(steps=30, batch=4, warmup_steps=2, learning_rate=2e-3)
    model = make_tiny_model(1)
    batches = cached_batches(cache, model.config, 4, seed=0)
    fixed = next(batches)
    trainer = Trainer(model, settings)
    losses = [float(sum(trainer.one_step(*fixed).values()).detach()) for _ in range(30)]
    assert losses[-1] < losses[0] - 1
    trainer.save(tmp_path / 'checkpoint.pt')

    again = Trainer(make_tiny_model(1), settings)
    again.resume(tmp_path / 'checkpoint.pt')
    for each in (trainer, again):
        each.one_step(*fixed)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert all(torch.equal(v, again.average[k]) for k, v in trainer.average.items())


def test_cached_maps_are_the_trunk_s(make_tiny_model: Make, cache: Path) -> None:
    model = make_tiny_model(1)
    encode, targets = next(cached_batches(cache, model.config, 4, seed=0))
    assert len(targets) == 4
    memory = encode(model)
    assert memory.tokens.shape == (4, 8 * 10 + 4 * 5, 32)
    assert not memory.padding_mask.any()


def test_a_widened_image_model_answers_still_windows_the_same(
    make_tiny_model: Make, tmp_path: Path
) -> None:
    trainer = Trainer(make_tiny_model(1), TrainConfig())
    trainer.save(tmp_path / 'image.pt')
    image = load_checkpoint(tmp_path / 'image.pt')
    video = load_checkpoint(tmp_path / 'image.pt', num_frames=3)
    pixels = torch.randn(1, 1, 3, 128, 160)
    sizes = torch.tensor([[120.0, 150.0]])
    with torch.inference_mode():
        one, one_joints = image(pixels, sizes, 5)
        three, three_joints = video(pixels.expand(-1, 3, -1, -1, -1), sizes, 5)
    torch.testing.assert_close(one.poses, three.poses, atol=1e-5, rtol=0)
    torch.testing.assert_close(one_joints.keypoints, three_joints.keypoints, atol=1e-5, rtol=0)


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / 'noise.pt').write_bytes(b'not a checkpoint')
    with pytest.raises(ValueError, match=r'noise.pt is not a checkpoint of pavenet train'):
        load_checkpoint(tmp_path / 'noise.pt')


def test_learning_rate_rises_then_falls() -> None:
    settings = TrainConfig(steps=100, warmup_steps=10)
    rates = [learning_rate(step, settings) for step in range(101)]
    assert rates[9] == settings.learning_rate == max(rates)
    assert rates[100] == pytest.approx(settings.final_learning_rate)
    assert rates[10:] == sorted(rates[10:], reverse=True)
