"""
A stand-in model whose answers tell which frames it saw.

It honours the names and shapes of a real bundle, but its graphs only hand brightness
around, so that tests of the runtime need no torch and can read the window from the poses:

    encoder        a frame's feature is its mean brightness in [0, 1]
    pose decoder   person q scores SCORES[q], or 0 if the key frame is black
                   its pose in frame t is that frame's brightness, except the last keypoint,
                   which is at (q + 1) / 10
                   without a joint decoder, spreads are SPREADS
    joint decoder  keypoint t < T is at x = brightness of frame t by its own values,
                   y = brightness of frame t by the pose that came in; the others are as the
                   key frame's pose
"""

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from pavenet_core.bundle import BundleMetadata, save_metadata
from pavenet_core.poses import Frame, Poses
from pavenet_core.skeleton import COCO17

if TYPE_CHECKING:
    from pavenet_core.model import PaveNet

GOLDEN = Path(__file__).parents[1] / 'golden'
SCORES = (0.5, 0.9, 0.1, 0.7)
SPREADS = (0.02, 0.05)
NUM_LEVELS, NUM_POSE_LAYERS, NUM_JOINT_LAYERS = 2, 2, 1
POSE_VALUES = [f'pose_value.{i}.{j}' for i in range(NUM_POSE_LAYERS) for j in range(NUM_LEVELS)]
JOINT_VALUES = [f'joint_value.{i}.{j}' for i in range(NUM_JOINT_LAYERS) for j in range(NUM_LEVELS)]
K, Q = len(COCO17), len(SCORES)


class _GraphWriter:
    """Collects nodes; every method returns the name of what it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: object, dtype: type = np.float32) -> str:
        name = f'constant{len(self.constants)}'
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, output: str = '', **attributes: object) -> str:
        name = output or f'node{len(self.nodes)}'
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def mean(self, names: list[str]) -> str:
        return self.op('Mean', *names)

    def save(self, path: Path, inputs: dict[str, list], outputs: dict[str, list]) -> None:
        def declare(name: str, shape: list) -> onnx.ValueInfoProto:
            kind = TensorProto.UINT8 if name == 'image' else TensorProto.FLOAT
            return helper.make_tensor_value_info(name, kind, shape)

        graph = helper.make_graph(
            self.nodes,
            path.stem,
            [declare(*item) for item in inputs.items()],
            [declare(*item) for item in outputs.items()],
            self.constants,
        )
        opset = [helper.make_opsetid('', 18)]
        onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


def _write_encoder(path: Path, values: list[str]) -> None:
    g = _GraphWriter()
    total = g.op('ReduceSum', g.op('Cast', 'image', to=TensorProto.FLOAT), keepdims=0)
    area = g.op('ReduceProd', 'valid_size', keepdims=0)
    brightness = g.op('Div', total, g.op('Mul', area, g.constant(3 * 255)))
    for name in values:
        g.op('Reshape', brightness, g.constant([1] * 5, np.int64), output=name)
    lit = g.op('Min', g.op('Mul', brightness, g.constant(255)), g.constant(1))
    g.op('Mul', lit, g.constant(np.array(SCORES).reshape(1, Q, 1)), output='query')
    person = np.arange(1, Q + 1).reshape(1, Q, 1, 1) / 10
    g.op('Identity', g.constant(np.tile(person, (1, 1, K, 2))), output='reference_poses')
    g.op('Identity', g.constant(np.ones((1, NUM_LEVELS, 2))), output='valid_ratios')
    outputs = {'query': [1, Q, 1], 'reference_poses': [1, Q, K, 2]}
    outputs |= {'valid_ratios': [1, NUM_LEVELS, 2]}
    outputs |= {name: [1] * 5 for name in values}
    g.save(path, {'image': [1, 'H', 'W', 3], 'valid_size': [1, 2]}, outputs)


def _write_pose_decoder(path: Path, num_frames: int, is_last: bool) -> None:
    g = _GraphWriter()
    values = [[f'frame{t}.{name}' for name in POSE_VALUES] for t in range(num_frames)]
    g.op('Squeeze', 'query', g.constant([2], np.int64), output='scores')
    last = np.zeros((1, 1, K, 1))
    last[0, 0, -1] = 1
    person = g.op('Mul', 'reference_poses', g.constant(last))  # (1, Q, K, 2)
    poses = []
    for names in values:
        brightness = g.op('Squeeze', g.mean(names), g.constant([4], np.int64))
        pose = g.op('Add', person, g.op('Mul', brightness, g.constant(1 - last)))
        poses.append(g.op('Unsqueeze', pose, g.constant([1], np.int64)))
    g.op('Concat', *poses, axis=1, output='poses')
    inputs = {'query': [1, Q, 1], 'reference_poses': [1, Q, K, 2]}
    inputs |= {'valid_ratios': [1, NUM_LEVELS, 2]}
    inputs |= {name: [1] * 5 for names in values for name in names}
    outputs = {'scores': [1, Q], 'poses': [1, num_frames, Q, K, 2]}
    if is_last:
        outputs['sigmas'] = [1, Q, K, 2]
        spread = np.broadcast_to(np.array(SPREADS), (1, Q, K, 2))
        g.op('Identity', g.constant(spread), output='sigmas')
    g.save(path, inputs, outputs)


def _write_joint_decoder(path: Path, num_frames: int) -> None:
    g = _GraphWriter()
    values = [[f'frame{t}.{name}' for name in JOINT_VALUES] for t in range(num_frames)]
    of_key = g.op('Gather', 'poses', g.constant(num_frames // 2, np.int64), axis=1)
    rest = np.ones((1, 1, K, 1))
    rest[0, 0, :num_frames] = 0
    terms = [g.op('Mul', of_key, g.constant(rest))]
    for t, names in enumerate(values):
        x, y = np.zeros((2, 1, 1, K, 2))
        x[0, 0, t, 0] = y[0, 0, t, 1] = 1
        brightness = g.op('Squeeze', g.mean(names), g.constant([4], np.int64))
        pose = g.op('Gather', 'poses', g.constant(t, np.int64), axis=1)
        first = g.op('Gather', pose, g.constant([0], np.int64), axis=2)  # (1, P, 1, 2)
        terms += [g.op('Mul', brightness, g.constant(x)), g.op('Mul', first, g.constant(y))]
    g.op('Sum', *terms, output='keypoints')
    spread = np.broadcast_to(np.array(SPREADS), (1, 1, K, 2))
    # Fails if there is no first person, as a real decoder may: nobody must not get here.
    first = g.op('Gather', 'poses', g.constant(0, np.int64), axis=2)
    nothing = g.op('Mul', g.op('ReduceSum', first, keepdims=0), g.constant(0))
    spreads = g.op('Expand', g.constant(spread), g.op('Shape', 'keypoints'))
    g.op('Add', spreads, nothing, output='sigmas')
    inputs = {'poses': [1, num_frames, 'P', K, 2], 'valid_ratios': [1, NUM_LEVELS, 2]}
    inputs |= {name: [1] * 5 for names in values for name in names}
    g.save(path, inputs, {'keypoints': [1, 'P', K, 2], 'sigmas': [1, 'P', K, 2]})


def write_stand_in(
    path: Path, num_frames: int = 3, num_joint_layers: int = NUM_JOINT_LAYERS
) -> Path:
    """Write the stand-in's bundle folder."""
    path.mkdir(parents=True, exist_ok=True)
    metadata = BundleMetadata(
        name='stand-in',
        version='1',
        skeleton=COCO17,
        num_frames=num_frames,
        input_long_side=64,
        input_alignment=16,
        num_levels=NUM_LEVELS,
        num_pose_layers=NUM_POSE_LAYERS,
        num_joint_layers=num_joint_layers,
        max_people=Q,
        training={'images': 0},
    )
    save_metadata(path, metadata)
    joint_values = JOINT_VALUES if num_joint_layers else []
    _write_encoder(path / 'spatial_encoder.onnx', [*POSE_VALUES, *joint_values])
    _write_pose_decoder(path / 'pose_decoder.onnx', num_frames, is_last=not num_joint_layers)
    if num_joint_layers:
        _write_joint_decoder(path / 'joint_decoder.onnx', num_frames)
    return path


@pytest.fixture
def write_bundle() -> Callable[..., Path]:
    """Give the writer, for tests that break what it wrote."""
    return write_stand_in


@pytest.fixture(scope='session')
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle of three frames; not to be changed."""
    return write_stand_in(tmp_path_factory.mktemp('stand_in'), 3)


@pytest.fixture(scope='session')
def stand_in_5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a bundle of five frames; not to be changed."""
    return write_stand_in(tmp_path_factory.mktemp('stand_in_5'), 5)


def gray_frame(brightness: int, stamp_ns: int, size: tuple[int, int] = (60, 40)) -> Frame:
    """Make a frame that the stand-in can be seen to have used."""
    return Frame(np.full((size[1], size[0], 3), brightness, np.uint8), stamp_ns)


@pytest.fixture
def make_frame() -> Callable[..., Frame]:
    """Give the maker of frames of one brightness."""
    return gray_frame


def frames_seen(poses: Poses, size: tuple[int, int] = (60, 40), num_frames: int = 3) -> list[int]:
    """Read from the stand-in's answer the brightness of the frames in its window."""
    seen = poses.keypoints_px[0, :num_frames] / np.array(size) * 255
    by_values, by_poses = np.rint(seen).astype(int).T.tolist()
    assert by_values == by_poses, 'the two decoders saw different frames'
    return by_values


@pytest.fixture
def read_window() -> Callable[..., list[int]]:
    """Give the reader of the window from an answer."""
    return frames_seen


@pytest.fixture(scope='session')
def make_tiny_model() -> 'Callable[..., PaveNet]':
    """
    Give the maker of a network small enough for tests, for any number of frames and any changes.

    It is of the authors' form, only with less of everything, and no weight at its neutral start.
    """
    import torch

    from pavenet_core.config import ModelConfig
    from pavenet_core.model import PaveNet

    tiny = ModelConfig(
        name='tiny',
        skeleton=COCO17,
        backbone='mobilenetv2_035',
        backbone_indices=(3, 4),
        num_levels=2,
        channels=32,
        num_heads=2,
        ffn_channels=48,
        dropout=0.0,
        encoder_layers=1,
        num_queries=12,
        pose_layers=2,
        joint_layers=2,
        input_long_side=160,
    )

    def make(num_frames: int = 3, **changes: object) -> PaveNet:
        torch.manual_seed(0)
        model = PaveNet(replace(tiny, num_frames=num_frames, **changes))
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if not name.startswith('backbone.'):
                    parameter.add_(0.2 * torch.randn_like(parameter) / parameter.shape[-1] ** 0.5)
        return model.eval()

    return make


@pytest.fixture(scope='session')
def make_tiny_pyramid(make_tiny_model: 'Callable[..., PaveNet]') -> 'Callable[..., PaveNet]':
    """Give the maker of a network of the compact model's form, its trunk wide but shallow."""
    pyramid: dict[str, object] = {
        'name': 'tiny_pyramid',
        'backbone': 'mobilenetv2_150',
        'backbone_args': {'depth_multiplier': 0.25},
        'backbone_indices': (1, 2, 3, 4),
        'pyramid': True,
        'scales': 2,
        'num_levels': 8,
        'relative_poses': True,
        'pose_levels': (1, 6),
        'joint_levels': (0, 4),
        'joint_layers': 1,
        'input_alignment': 64,
    }

    def make(num_frames: int = 3, **changes: object) -> 'PaveNet':
        return make_tiny_model(num_frames, **{**pyramid, **changes})

    return make


@pytest.fixture(scope='session')
def tiny_export(
    make_tiny_model: 'Callable[..., PaveNet]', tmp_path_factory: pytest.TempPathFactory
) -> 'tuple[PaveNet, Path]':
    """Give the small network and its bundle; export compares every graph with torch."""
    from pavenet_core.export import export_bundle

    model, path = make_tiny_model(), tmp_path_factory.mktemp('tiny')
    export_bundle(model, path, facts={'licence': 'Apache-2.0'})
    return model, path


@pytest.fixture(scope='session')
def pyramid_export(
    make_tiny_pyramid: 'Callable[..., PaveNet]', tmp_path_factory: pytest.TempPathFactory
) -> 'tuple[PaveNet, Path]':
    """Give the small network with a pyramid and its bundle."""
    from pavenet_core.export import export_bundle

    model, path = make_tiny_pyramid(pose_layers=1), tmp_path_factory.mktemp('tiny_pyramid')
    export_bundle(model, path)
    return model, path


@pytest.fixture(scope='session')
def official_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Give the authors' names and shapes of each released network, by our preset's name."""
    rows = gzip.decompress((GOLDEN / 'state_dict.tsv.gz').read_bytes()).decode().splitlines()
    networks: dict[str, dict[str, tuple[int, ...]]] = {}
    for preset, name, sizes in (row.split('\t') for row in rows):
        shape = () if sizes == 'scalar' else tuple(int(size) for size in sizes.split('x'))
        networks.setdefault(preset, {})[name] = shape
    return networks


CPU, CUDA, TENSORRT = (f'{name}ExecutionProvider' for name in ('CPU', 'CUDA', 'Tensorrt'))


def offer_gpus(monkeypatch: pytest.MonkeyPatch, session: type[ort.InferenceSession]) -> None:
    """Let onnxruntime offer TensorRT and CUDA, and open its graphs as this class."""
    monkeypatch.setattr(ort, 'get_available_providers', lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr(ort, 'InferenceSession', session)
    monkeypatch.setattr('pavenet_core.runtime.session._load_cuda', lambda: None)


def break_gpus(monkeypatch: pytest.MonkeyPatch, is_silent: bool) -> None:
    """Offer GPUs that do not start: with an error, or just left out."""

    class Session(ort.InferenceSession):
        def __init__(self, path: Path, options: Any, *, providers: list[str], **_: Any) -> None:
            if providers != [CPU] and not is_silent:
                raise RuntimeError(f'/a/b.cc:7 void f(int) [with T = int] {providers[0]} fails\n.')
            super().__init__(path, options, providers=[CPU])

    offer_gpus(monkeypatch, Session)


def pretend_gpus(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Offer GPUs that seem to work, on the CPU; return what each graph was opened with."""
    opened = []

    class Session(ort.InferenceSession):
        def __init__(self, path: Path, options: Any, **asked: Any) -> None:
            super().__init__(path, options, providers=[CPU])
            self._asked = asked
            opened.append(asked | {'graph': path.stem})

        def get_providers(self) -> list[str]:
            return list(self._asked['providers'])

    offer_gpus(monkeypatch, Session)
    bind = ort.IOBinding.bind_output
    monkeypatch.setattr(ort.IOBinding, 'bind_output', lambda self, name, _: bind(self, name))
    return opened


@pytest.fixture
def broken_gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Give what makes onnxruntime offer GPUs that do not start."""
    return lambda is_silent: break_gpus(monkeypatch, is_silent)


@pytest.fixture
def pretended_gpus(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Give what each graph was opened with, on GPUs that are none."""
    return pretend_gpus(monkeypatch)
