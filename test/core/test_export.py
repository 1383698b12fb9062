"""The exported graphs against torch, alone and in the stream."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from pavenet_core.bundle import BundleError, load_bundle
from pavenet_core.export import compare, example_graphs, export_bundle
from pavenet_core.model import PaveNet
from pavenet_core.poses import Frame
from pavenet_core.runtime import VideoPoseEstimator

PEOPLE = 5


@pytest.fixture(scope='module')
def model(make_tiny_model: Callable[..., PaveNet]) -> PaveNet:
    return make_tiny_model()


@pytest.fixture(scope='module')
def bundle(model: PaveNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export once; export itself compares every graph with torch at two sizes."""
    path = tmp_path_factory.mktemp('tiny')
    export_bundle(model, path, facts={'licence': 'Apache-2.0'})
    return path


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
    results = []
    for key in range(len(images)):
        window = [min(max(key + step, 0), len(images) - 1) for step in (-1, 0, 1)]
        with torch.inference_mode():
            poses, joints = model(pixels[window][None], sizes, PEOPLE)
        keypoints = joints.keypoints[0].numpy() * (width, height)
        results.append((keypoints, poses.class_logits[0].sigmoid().numpy()))
    return results


def test_stream_equals_torch_on_whole_windows_and_encodes_once(
    model: PaveNet, bundle: Path
) -> None:
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


def test_bundle_tells_the_runtime_what_the_model_is(model: PaveNet, bundle: Path) -> None:
    metadata = load_bundle(bundle).metadata
    assert metadata.skeleton == model.config.skeleton
    assert (metadata.num_frames, metadata.max_people) == (3, 12)
    assert metadata.licence == 'Apache-2.0'


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
