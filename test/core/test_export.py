"""The exported graphs against torch, alone and in the stream."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper

from pavenet_core.bundle import BundleError, load_bundle
from pavenet_core.data.dataset import Clip, Neighbours
from pavenet_core.export import export_bundle
from pavenet_core.export.graphs import example_graphs
from pavenet_core.export.write import compare, disagreement
from pavenet_core.model import PaveNet
from pavenet_core.poses import Frame
from pavenet_core.runtime import VideoPoseEstimator

PEOPLE = 5


@pytest.fixture(scope='module')
def model(tiny_export: tuple[PaveNet, Path]) -> PaveNet:
    return tiny_export[0]


@pytest.fixture(scope='module')
def bundle(tiny_export: tuple[PaveNet, Path]) -> Path:
    return tiny_export[1]


def video(num_frames: int, height: int, width: int) -> list[np.ndarray]:
    """Draw a blurred noise picture that drifts, so that every frame differs."""
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    picture = cv2.GaussianBlur(noise, (0, 0), 4)
    picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX)
    return [np.roll(picture, 5 * i, axis=1) for i in range(num_frames)]


def from_scratch(model: PaveNet, images: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Run torch on each whole window: keypoints in pixels and scores of the best people."""
    height, width = images[0].shape[:2]
    align = model.config.input_alignment
    padded = np.zeros((len(images), -(-height // align) * align, -(-width // align) * align, 3))
    padded[:, :height, :width] = images
    sizes = torch.tensor([[float(height), float(width)]])
    pixels = model.normalise(torch.from_numpy(padded.astype(np.uint8)), sizes)
    clip = Clip('video', (Path(),) * len(images))
    neighbours = Neighbours(3, older=model.config.pyramid)
    results = []
    for key in range(len(images)):
        window = list(neighbours.indices(clip, key))
        with torch.inference_mode():
            poses, joints = model(pixels[window][None], sizes, PEOPLE)
        keypoints = joints.keypoints[0].numpy() * (width, height)
        results.append((keypoints, poses.class_logits[0].sigmoid().numpy()))
    return results


@pytest.mark.parametrize('export', ['tiny_export', 'pyramid_export'])
def test_stream_equals_torch_on_whole_windows_and_encodes_once(
    export: str, request: pytest.FixtureRequest
) -> None:
    model, bundle = request.getfixturevalue(export)
    images = video(6, 130, 160)  # the longer side is the model's: no resizing, but padding
    expected = from_scratch(model, images)
    estimator = VideoPoseEstimator(
        bundle, score_threshold=0.0, max_people=PEOPLE, lookahead=1, num_threads=1
    )
    frames = [Frame(image, 40_000_000 * i) for i, image in enumerate(images)]
    results = [poses for frame in frames if (poses := estimator.push(frame)) is not None]
    results += estimator.flush()
    assert [poses.stamp_ns for poses in results] == [frame.stamp_ns for frame in frames]
    assert estimator.encodes == len(images)
    for poses, (keypoints, scores) in zip(results, expected, strict=True):
        np.testing.assert_allclose(poses.scores, scores, atol=1e-4)
        np.testing.assert_allclose(poses.keypoints_px, keypoints, atol=0.05)
    spread = np.ptp([poses.keypoints_px[0] for poses in results], axis=0).max()
    assert spread > 0.5, 'the frames must differ, or the test shows nothing'


def test_without_a_joint_decoder_the_stream_gives_torchs_poses(
    make_tiny_model: Callable[..., PaveNet], tmp_path: Path
) -> None:
    model = make_tiny_model(joint_layers=0)
    export_bundle(model, tmp_path)
    assert not (tmp_path / 'joint_decoder.onnx').exists()
    images = video(4, 130, 160)
    estimator = VideoPoseEstimator(
        tmp_path, score_threshold=0.0, max_people=PEOPLE, lookahead=1, num_threads=1
    )
    frames = [Frame(image, 40_000_000 * i) for i, image in enumerate(images)]
    results = [poses for frame in frames if (poses := estimator.push(frame)) is not None]
    results += estimator.flush()
    for poses, (keypoints, scores) in zip(results, from_scratch(model, images), strict=True):
        np.testing.assert_allclose(poses.scores, scores, atol=1e-4)
        np.testing.assert_allclose(poses.keypoints_px, keypoints, atol=0.05)


def test_bundle_tells_the_runtime_what_the_model_is(model: PaveNet, bundle: Path) -> None:
    metadata = load_bundle(bundle).metadata
    assert metadata.skeleton == model.config.skeleton
    assert (metadata.num_frames, metadata.max_people) == (3, 12)
    assert metadata.licence == 'Apache-2.0'


def test_a_pyramid_s_bundle_says_which_maps_all_layers_share(
    pyramid_export: tuple[PaveNet, Path],
) -> None:
    _, bundle = pyramid_export
    metadata = load_bundle(bundle).metadata
    assert metadata.pyramid and metadata.input_alignment == 64
    assert (metadata.pose_levels, metadata.joint_levels) == ((1, 6), (0, 4))
    maps = {
        kind: [f'frame{t}.map.{level}' for t in range(3) for level in levels]
        for kind, levels in (('pose', (1, 6)), ('joint', (0, 4)))
    }
    peaks = ['query', 'reference_poses', 'logits', 'warmth']
    linked = [f'frame{t}.{name}' for t in range(3) for name in peaks]
    encoder, poser, jointer = (
        ort.InferenceSession(bundle / f'{name}.onnx', providers=['CPUExecutionProvider'])
        for name in ('spatial_encoder', 'pose_decoder', 'joint_decoder')
    )
    given = [node.name for node in encoder.get_outputs()]
    assert given == [*peaks, 'valid_ratios', 'map.1', 'map.6', 'map.0', 'map.4']
    poser_inputs = [node.name for node in poser.get_inputs()]
    assert poser_inputs == [*linked, 'valid_ratios', *maps['pose']]
    assert [node.name for node in jointer.get_inputs()][2:] == maps['joint']


def test_export_folds_the_batch_norms_of_a_copy(pyramid_export: tuple[PaveNet, Path]) -> None:
    model, bundle = pyramid_export
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in model.backbone.modules())
    nodes = onnx.load(bundle / 'spatial_encoder.onnx').graph.node
    assert not any(node.op_type == 'BatchNormalization' for node in nodes)


def test_graphs_keep_no_path_of_this_machine(bundle: Path) -> None:
    root = str(Path(__file__).parents[2]).encode()
    for graph in bundle.glob('*.onnx'):
        assert root not in graph.read_bytes()


@pytest.mark.parametrize('block', [0, 1, 2])
def test_a_graph_with_a_wrong_weight_is_refused(
    model: PaveNet, bundle: Path, tmp_path: Path, block: int
) -> None:
    graph = example_graphs(model, load_bundle(bundle).metadata, (256, 320))[block]
    program = onnx.load(bundle / f'{graph.name}.onnx')
    weights = [t for t in program.graph.initializer if len(t.dims) == 2 and min(t.dims) > 16]
    for tensor in weights:
        changed = numpy_helper.to_array(tensor) * np.float32(1.3)
        tensor.CopyFrom(numpy_helper.from_array(changed, tensor.name))
    onnx.save(program, tmp_path / 'wrong.onnx')
    with pytest.raises(BundleError, match='differs from torch'):
        compare(graph, tmp_path / 'wrong.onnx')


def run_graph(bundle: Path, name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(bundle / f'{name}.onnx', providers=['CPUExecutionProvider'])
    names = [node.name for node in session.get_outputs()]
    return dict(zip(names, session.run(names, tensors), strict=True))


def encode_windows(bundle: Path, images: np.ndarray) -> list[dict[str, np.ndarray]]:
    """Encode (B, T, h, w, 3) windows on their own canvas: per frame the tensors of B pictures."""
    batch, frames, height, width, _ = images.shape
    canvas = (batch, frames, -(-height // 32) * 32, -(-width // 32) * 32, 3)
    padded = np.zeros(canvas, np.uint8)
    padded[:, :, :height, :width] = images
    size = np.full((batch, 2), (height, width), np.float32)
    return [
        run_graph(bundle, 'spatial_encoder', {'image': padded[:, t], 'valid_size': size})
        for t in range(frames)
    ]


def on_one_canvas(encoded: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Join one frame of windows of several sizes: value maps padded, their valid share less."""
    joined = {}
    names = [name for name in encoded[0] if '_value.' in name]
    largest = {n: np.max([e[n].shape[3:] for e in encoded], axis=0) for n in names}
    for name in names:
        rooms = [largest[name] - e[name].shape[3:] for e in encoded]
        joined[name] = np.concatenate(
            [
                np.pad(e[name], [(0, 0)] * 3 + [(0, r) for r in room])
                for e, room in zip(encoded, rooms, strict=True)
            ]
        )
    levels = [
        largest[f'pose_value.0.{level}'] for level in range(encoded[0]['valid_ratios'].shape[1])
    ]
    for e in encoded:
        own = [e[f'pose_value.0.{level}'].shape[3:] for level in range(len(levels))]
        share = np.array(own, np.float32) / np.array(levels, np.float32)
        joined.setdefault('valid_ratios', []).append(e['valid_ratios'] * share[:, ::-1])
    joined['valid_ratios'] = np.concatenate(joined['valid_ratios']).astype(np.float32)
    for name in ('query', 'reference_poses'):
        joined[name] = np.concatenate([e[name] for e in encoded])
    return joined


def decode_windows(bundle: Path, frames: list[dict[str, np.ndarray]]) -> list[np.ndarray]:
    """Return scores, and keypoints of the first five queries, of each window."""
    key = frames[len(frames) // 2]
    values = {
        kind: {
            f'frame{t}.{name}': frame[name]
            for t, frame in enumerate(frames)
            for name in frame
            if name.startswith(f'{kind}_value')
        }
        for kind in ('pose', 'joint')
    }
    keys = {name: key[name] for name in ('query', 'reference_poses', 'valid_ratios')}
    found = run_graph(bundle, 'pose_decoder', keys | values['pose'])
    people = {'poses': found['poses'][:, :, :5], 'valid_ratios': key['valid_ratios']}
    joints = run_graph(bundle, 'joint_decoder', people | values['joint'])
    return [found['scores'], joints['keypoints'], joints['sigmas']]


def test_graphs_take_batches_of_mixed_sizes(bundle: Path) -> None:
    """Pictures of one size are encoded together, windows of all sizes decoded together."""
    rng = np.random.default_rng(0)
    sizes = ((130, 160), (130, 160), (200, 140))
    windows = [rng.integers(0, 256, (3, *size, 3), dtype=np.uint8) for size in sizes]
    alone = [decode_windows(bundle, encode_windows(bundle, window[None])) for window in windows]
    groups = [
        encode_windows(bundle, np.stack(windows[:2])),
        encode_windows(bundle, windows[2][None]),
    ]
    together = [on_one_canvas(list(frames)) for frames in zip(*groups, strict=True)]
    for row, ours in enumerate(decode_windows(bundle, together)):
        for window, expected in enumerate(alone):
            np.testing.assert_allclose(ours[window], expected[row][0], atol=1e-4)


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        ({'spatiotemporal_encoder': True}, 'spatiotemporal encoder mixes all frames'),
        ({'temporal_pose_decoder': False}, 'needs decoders that read all frames'),
        ({'temporal_joint_decoder': False}, 'needs decoders that read all frames'),
    ],
)
def test_what_cannot_run_frame_by_frame_is_refused_by_name(
    make_tiny_model: Callable[..., PaveNet], tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=f'tiny cannot be exported: .*{reason}'):
        export_bundle(make_tiny_model(**change), tmp_path / 'bundle')
    assert not (tmp_path / 'bundle').exists()


def test_export_leaves_the_network_as_it_is(
    make_tiny_model: Callable[..., PaveNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_tiny_model(input_alignment=1).train()
    config = model.config
    monkeypatch.setattr('pavenet_core.export.write.write_graph', lambda *_: None)
    monkeypatch.setattr('pavenet_core.export.write.compare', lambda *_: None)
    assert export_bundle(model, tmp_path).input_alignment == 32
    assert model.config == config and model.training


def test_a_bundle_that_differs_from_torch_is_none_though_one_was_there_before(
    make_tiny_model: Callable[..., PaveNet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differ(*_: object) -> None:
        raise BundleError('differs from torch')

    (tmp_path / 'metadata.json').write_text('{}')
    monkeypatch.setattr('pavenet_core.export.write.write_graph', lambda *_: None)
    monkeypatch.setattr('pavenet_core.export.write.compare', differ)
    with pytest.raises(BundleError, match='differs from torch'):
        export_bundle(make_tiny_model(), tmp_path)
    assert not (tmp_path / 'metadata.json').exists()


@pytest.mark.parametrize('wrong', ['licens', 'name'])
def test_facts_that_a_bundle_does_not_take_are_refused_before_any_work(
    make_tiny_model: Callable[..., PaveNet], tmp_path: Path, wrong: str
) -> None:
    with pytest.raises(ValueError, match=rf"licence, training, accuracy; got also \['{wrong}'\]"):
        export_bundle(make_tiny_model(), tmp_path / 'bundle', facts={wrong: 'x', 'licence': 'MIT'})
    assert not (tmp_path / 'bundle').exists()


def test_queries_of_equal_score_may_change_places_but_not_their_values() -> None:
    ours = np.random.default_rng(0).random((1, 100, 8)).astype(np.float32)
    swapped = ours.copy()
    swapped[:, [3, 4]] = ours[:, [4, 3]]
    assert disagreement('query', ours, swapped) == 0
    assert disagreement('scores', ours, swapped) > 0.1
    wrong = ours.copy()
    wrong[:, ::5] += 0.5
    assert disagreement('query', ours, wrong) > 0.1
    assert np.isnan(disagreement('query', ours, ours * np.nan))


def test_two_people_as_good_as_equal_may_change_ranks() -> None:
    poses = np.random.default_rng(0).uniform(0, 1, (2, 3, 9, 4, 2)).astype(np.float32)
    swapped = poses.copy()
    swapped[1][:, [7, 8]] = poses[1][:, [8, 7]]
    assert disagreement('poses', poses, swapped) == 0
    wrong = poses.copy()
    wrong[1, 2, 8] += 0.5  # one frame of one person
    assert disagreement('poses', poses, wrong) > 0.1
    assert np.isnan(disagreement('poses', poses, poses * np.nan))
