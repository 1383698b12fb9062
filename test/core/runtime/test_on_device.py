"""What is encoded stays where it was encoded: counted copies between device and host."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from pavenet_core.poses import Frame
from pavenet_core.runtime import PoseModel, VideoPoseEstimator

T, Q, K = 3, 4, 17  # of the stand-in
SCORES, POSES = (1, Q), (1, T, Q, K, 2)


class Traffic:
    """Every tensor that onnxruntime takes from the host, gives to it, or keeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.to_host: list[tuple[int, ...]] = []  # shapes
        self.from_host: list[str] = []  # names, as are the next
        self.devices: dict[str, str] = {}  # of outputs
        self.reused: dict[str, Any] = {}
        for kind, names in ((ort.OrtValue, ['numpy']), (ort.IOBinding, self._BINDINGS)):
            for name in names:
                wrapped = self._counted(name, getattr(kind, name))
                monkeypatch.setattr(kind, name, wrapped)

    _BINDINGS = ('bind_cpu_input', 'bind_ortvalue_input', 'bind_output')

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def numpy(value: Any) -> Any:
            array = method(value)
            self.to_host.append(array.shape)
            return array

        def bind_cpu_input(binding: Any, tensor: str, array: Any) -> None:
            self.from_host.append(tensor)
            method(binding, tensor, array)

        def bind_ortvalue_input(binding: Any, tensor: str, value: Any) -> None:
            self.reused[tensor] = value
            method(binding, tensor, value)

        def bind_output(binding: Any, tensor: str, device: str) -> None:
            self.devices[tensor] = device
            method(binding, tensor, device)

        return locals()[name]


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    return Traffic(monkeypatch)


def picture(brightness: int = 200) -> np.ndarray:
    return np.full((40, 60, 3), brightness, np.uint8)


def test_only_scores_poses_and_keypoints_come_to_the_host(
    traffic: Traffic, stand_in: Path
) -> None:
    estimator = VideoPoseEstimator(stand_in, score_threshold=0.6)
    for stamp in range(4):
        traffic.to_host.clear()
        traffic.from_host.clear()
        poses = estimator.push(Frame(picture(), stamp))
        assert poses is not None
        assert len(poses) == 2
        assert traffic.to_host == [SCORES, POSES, (1, 2, K, 2), (1, 2, K, 2)]
        assert traffic.from_host == ['image', 'valid_size', 'poses']


def test_of_an_empty_picture_only_scores_and_poses_come(traffic: Traffic, stand_in: Path) -> None:
    VideoPoseEstimator(stand_in).push(Frame(picture(0), 0))
    assert traffic.to_host == [SCORES, POSES]


@pytest.mark.parametrize('device', ['cuda', 'tensorrt', 'auto'])
def test_on_a_gpu_everything_stays_there_until_it_is_asked_for(
    pretended_gpus: list[Any], traffic: Traffic, stand_in: Path, device: str
) -> None:
    model = PoseModel(stand_in, device=device)
    features = [model.encode(picture(grey)) for grey in (10, 20, 30)]
    assert set(traffic.devices) == set(features[0])
    found = model.decode(features, stamp_ns=0, size=(60, 40), score_threshold=0.0, max_people=Q)
    assert len(found) == Q
    assert set(traffic.devices.values()) == {'cuda'}
    assert len(traffic.to_host) == 4
    for name, value in traffic.reused.items():
        frame, _, of_frame = name.partition('.')
        source = features[int(frame[-1])][of_frame] if of_frame else features[1][name]
        assert value is source


def test_on_a_cpu_nothing_is_copied_at_all(stand_in: Path) -> None:
    features = PoseModel(stand_in).encode(picture())
    for value in features.values():
        assert value.numpy().ctypes.data == value.data_ptr()


def test_of_the_shipped_model_a_small_part_comes_to_the_host(traffic: Traffic) -> None:
    estimator = VideoPoseEstimator('compact', num_threads=1, score_threshold=0.0)
    estimator.push(Frame(np.zeros((480, 640, 3), np.uint8), 0))
    come = sum(int(np.prod(shape)) for shape in traffic.to_host)
    kept = sum(int(np.prod(value.shape())) for value in traffic.reused.values()) / T
    assert come < kept / 10
