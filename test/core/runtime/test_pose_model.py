from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pavenet_core.runtime import PoseModel

CPU, CUDA, TENSORRT = (f'{name}ExecutionProvider' for name in ('CPU', 'CUDA', 'Tensorrt'))


@pytest.mark.parametrize('is_silent', [False, True])
def test_auto_that_falls_back_says_so_in_one_sentence(
    stand_in: Path, broken_gpus: Callable[[bool], None], is_silent: bool
) -> None:
    broken_gpus(is_silent)
    model = PoseModel(stand_in, device='auto')
    assert model.providers == (CPU,)
    assert f'offers {TENSORRT} and {CUDA}, but could not start it' in model.fallback
    assert f'runs on {CPU}: python3 -m pavenet_core.cli info --system' in model.fallback
    assert '\n' not in model.fallback


@pytest.mark.parametrize('device', ['auto', 'cpu'])
def test_without_better_devices_there_is_nothing_to_say(stand_in: Path, device: str) -> None:
    assert PoseModel(stand_in, device=device).fallback == ''


def test_a_device_that_works_is_no_fallback(
    stand_in: Path, pretended_gpus: list[dict[str, Any]]
) -> None:
    model = PoseModel(stand_in, device='cuda')
    assert (model.providers, model.fallback) == ((CUDA, CPU), '')


def decoded_sizes(model: PoseModel) -> list[tuple[int, ...]]:
    """Return a list that gets the canvas of each picture and the people of each decode."""
    sizes: list[tuple[int, ...]] = []
    encoder, decoder = model.spatial_encoder, model.joint_decoder

    def encode(image: Any) -> Any:
        sizes.append(image.pixels.shape[1:3])
        return encoder(image)

    def decode(window: Any, poses: np.ndarray) -> Any:
        sizes.append((poses.shape[2],))
        return decoder(window, poses)

    encode.graph, decode.graph = encoder.graph, decoder.graph  # type: ignore[attr-defined]
    model.spatial_encoder, model.joint_decoder = encode, decode  # type: ignore[assignment]
    return sizes


def test_warming_up_runs_all_graphs_with_everybody(stand_in: Path) -> None:
    model = PoseModel(stand_in)
    sizes = decoded_sizes(model)
    model.warm_up((640, 360))
    assert sizes == [(48, 64), (4,)]


def test_engines_are_built_for_each_size_from_one_to_everybody(
    stand_in: Path, tmp_path: Path, pretended_gpus: list[dict[str, Any]]
) -> None:
    model = PoseModel(stand_in, device='tensorrt', tensorrt_cache=tmp_path)
    sizes = decoded_sizes(model)
    model.build_engines([(640, 480), (480, 640)])
    assert sizes == [(48, 64), (4,), (1,), (64, 48), (4,), (1,)]
    names = {opened['graph'] for opened in pretended_gpus}
    assert {folder.name.split('-')[0] for folder in tmp_path.iterdir()} == names
    assert len(names) == 3


def test_engines_are_not_built_for_nothing(
    stand_in: Path, pretended_gpus: list[dict[str, Any]]
) -> None:
    with pytest.raises(ValueError, match=f'no engines to build: the model runs on {CUDA}, {CPU};'):
        PoseModel(stand_in, device='cuda').build_engines([(64, 48)])
    with pytest.raises(ValueError, match=r'no folder .* set tensorrt_cache'):
        PoseModel(stand_in, device='tensorrt').build_engines([(64, 48)])


def test_without_a_joint_decoder_the_pose_decoder_has_the_last_word(
    tmp_path: Path, stand_in: Path, write_bundle: Callable[..., Path]
) -> None:
    model = PoseModel(write_bundle(tmp_path, num_joint_layers=0))
    assert model.joint_decoder is None and model.providers == (CPU,)
    model.warm_up((64, 48))
    window = [model.encode(np.full((48, 64, 3), value, np.uint8)) for value in (51, 102, 204)]
    limits = {'stamp_ns': 0, 'size': (64, 48), 'score_threshold': 0.3, 'max_people': 20}
    poses = model.decode(window, **limits)
    people = np.array([1, 3, 0])  # by score
    np.testing.assert_allclose(poses.scores, [0.9, 0.7, 0.5], rtol=1e-5)
    np.testing.assert_allclose(poses.keypoints_px[:, 0], [[25.6, 19.2]] * 3, rtol=1e-5)
    ends = (people[:, None] + 1) / 10 * [64, 48]
    np.testing.assert_allclose(poses.keypoints_px[:, -1], ends, rtol=1e-5)
    other = PoseModel(stand_in)
    refined = other.decode([other.encode(np.zeros((48, 64, 3), np.uint8) + 99)] * 3, **limits)
    np.testing.assert_allclose(poses.keypoint_scores, refined.keypoint_scores, rtol=1e-5)


def test_nobody_is_no_trouble_without_a_joint_decoder(
    tmp_path: Path, write_bundle: Callable[..., Path]
) -> None:
    model = PoseModel(write_bundle(tmp_path, num_joint_layers=0))
    window = [model.encode(np.zeros((48, 64, 3), np.uint8))] * 3
    poses = model.decode(window, stamp_ns=0, size=(64, 48), score_threshold=0.3, max_people=20)
    assert len(poses) == 0 and poses.keypoints_px.shape == (0, 17, 2)
