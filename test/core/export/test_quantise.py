"""Bundles in int8 and fp16: what is changed in them, and how little that does to the answers."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from pavenet_core.bundle import BundleMetadata, load_bundle, save_metadata
from pavenet_core.cli import main
from pavenet_core.export.halve import halve
from pavenet_core.export.quantise import (
    FP16_SEEDS,
    JOINING,
    convert_to_fp16,
    nodes_to_shrink,
    quantise_to_int8,
)
from pavenet_core.model import PaveNet
from pavenet_core.poses import Frame
from pavenet_core.runtime import VideoPoseEstimator

SIZE = (120, 160)
TRUNK_AND_NECK = {'Conv', *JOINING}


def pictures(count: int, lowest: int = 0, highest: int = 255) -> list[np.ndarray]:
    """Draw blurred noise between two brightnesses."""
    rng = np.random.default_rng(5)
    noise = rng.random((count, *SIZE, 3), np.float32)
    soft = [cv2.GaussianBlur(picture, (0, 0), 4) for picture in noise]
    return [
        cv2.normalize(s, None, lowest, highest, cv2.NORM_MINMAX).astype(np.uint8) for s in soft
    ]


@pytest.fixture(scope='module')
def float_bundle(
    tiny_export: tuple[PaveNet, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp('bundles') / 'float32'
    shutil.copytree(tiny_export[1], path)
    save_metadata(path, replace(load_bundle(path).metadata, accuracy={'AP': 0.5}))
    (path / 'model_card.md').write_text('# tiny\n', encoding='utf-8')
    return path


@pytest.fixture(scope='module')
def int8_bundle(float_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('bundles') / 'int8'
    calibrate(float_bundle, pictures(6), path)
    return path


@pytest.fixture(scope='module')
def fp16_bundle(float_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('bundles') / 'fp16'
    convert_to_fp16(load_bundle(float_bundle), path)
    return path


@pytest.fixture
def folder_of_seven(tmp_path: Path) -> Path:
    folder = tmp_path / 'pictures'
    folder.mkdir()
    for index, picture in enumerate(pictures(7)):
        assert cv2.imwrite(str(folder / f'{index}.png'), picture)
    return folder


def calibrate(bundle: Path, images: list[np.ndarray], path: Path) -> BundleMetadata:
    return quantise_to_int8(load_bundle(bundle), images, path, on_image=lambda: None)


def answers(bundle: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield scores and keypoints for pictures that nothing was fitted to."""
    estimator = VideoPoseEstimator(bundle, score_threshold=0.0, num_threads=1)
    for index, picture in enumerate(pictures(9)[6:]):
        estimator.reset()
        poses = estimator.push(Frame(picture, index))
        assert poses is not None
        yield poses.scores, poses.keypoints_px


def shifts_px(one: Path, other: Path) -> list[float]:
    """Return how far each person of one is from the nearest of the other, by median keypoint."""
    shifts = []
    for (_, ours), (_, theirs) in zip(answers(one), answers(other), strict=True):
        distances = np.linalg.norm(ours[:, None] - theirs[None], axis=-1)
        shifts += np.median(distances, axis=-1).min(axis=1).tolist()
    return shifts


def encoder(bundle: Path) -> onnx.GraphProto:
    return onnx.load(bundle / 'spatial_encoder.onnx').graph


def weights(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


@pytest.mark.parametrize(('kind', 'far'), [('int8_bundle', 1.0), ('fp16_bundle', 0.2)])
def test_answers_stay_near_those_in_float(
    kind: str, far: float, float_bundle: Path, request: pytest.FixtureRequest
) -> None:
    bundle = request.getfixturevalue(kind)
    shifts = shifts_px(bundle, float_bundle)
    assert len(shifts) == 3 * 12
    assert 0 < np.median(shifts) < far
    for (ours, _), (theirs, _) in zip(answers(bundle), answers(float_bundle), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_only_convolutions_and_what_joins_them_are_int8(
    float_bundle: Path, int8_bundle: Path
) -> None:
    graph = encoder(int8_bundle)
    made_by = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == 'Conv']
    assert len(convolutions) == sum(n.op_type == 'Conv' for n in encoder(float_bundle).node)
    for node in convolutions:
        assert all(made_by[name].op_type == 'DequantizeLinear' for name in node.input)
    rounded = [node for node in graph.node if node.op_type == 'QuantizeLinear']
    sources = [made_by[node.input[0]] for node in rounded]
    stem = [node.op_type for node in sources if node.op_type not in TRUNK_AND_NECK]
    assert stem == ['Mul'], 'beside the picture, only the trunk and the neck are rounded'
    kept = {t for t, w in weights(graph).items() if w.dtype == np.float32 and w.ndim == 2}
    assert kept == {t for t, w in weights(encoder(float_bundle)).items() if w.ndim == 2}
    for name in ('pose_decoder', 'joint_decoder'):
        before, after = (b / f'{name}.onnx' for b in (float_bundle, int8_bundle))
        assert before.read_bytes() == after.read_bytes()


def test_of_a_pyramid_the_trunk_alone_is_int8(
    pyramid_export: tuple[PaveNet, Path], tmp_path: Path
) -> None:
    model, source = pyramid_export
    layers = sum(isinstance(m, nn.Conv2d) for m in model.backbone.modules())
    calibrate(source, pictures(2), tmp_path / 'int8')
    graph, before = encoder(tmp_path / 'int8'), encoder(source)
    made_by = {name: node for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == 'Conv']
    rounded = [node for node in convolutions if node.input[1] in made_by]
    assert {made_by[node.input[1]].op_type for node in rounded} == {'DequantizeLinear'}
    arrays = {made_by[node.input[1]].input[0] for node in rounded}
    assert len(arrays) == layers > 20 and all('backbone' in name for name in arrays)
    assert len(rounded) == 2 * layers, 'both scales'
    pools = [[n.input[0] for n in g.node if n.op_type == 'AveragePool'] for g in (graph, before)]
    assert pools[0] == pools[1] != [], 'the half size is made of the picture as it was'
    kept = {name: array for name, array in weights(before).items() if 'backbone' not in name}
    convolved = {name for n in before.node if n.op_type == 'Conv' for name in n.input[1:2]}
    assert convolved & kept.keys(), 'the neck and the heads have convolutions'
    after = weights(graph)
    for name in convolved & kept.keys():
        np.testing.assert_array_equal(after[name], kept[name])
    for name in ('pose_decoder', 'joint_decoder'):
        ours, theirs = (path / f'{name}.onnx' for path in (tmp_path / 'int8', source))
        assert ours.read_bytes() == theirs.read_bytes()
    assert VideoPoseEstimator(tmp_path / 'int8').push(Frame(pictures(1)[0], 0)) is not None


def test_weights_are_signed_by_channel_and_activations_unsigned(int8_bundle: Path) -> None:
    graph = encoder(int8_bundle)
    arrays = weights(graph)
    reads = {name: node for node in graph.node for name in node.output}
    for node in (node for node in graph.node if node.op_type == 'Conv'):
        weight, scale, zero = (arrays[name] for name in reads[node.input[1]].input)
        assert weight.dtype == zero.dtype == np.int8
        assert scale.shape == weight.shape[:1]
        assert arrays[reads[node.input[0]].input[2]].dtype == np.uint8


def test_ranges_are_those_of_the_pictures_as_the_network_gets_them(
    float_bundle: Path, int8_bundle: Path, tmp_path: Path
) -> None:
    def step_of_the_picture(bundle: Path) -> float:
        graph = encoder(bundle)
        first = next(node for node in graph.node if node.op_type == 'QuantizeLinear')
        return float(weights(graph)[first.input[1]])

    calibrate(float_bundle, pictures(2, lowest=110, highest=140), tmp_path / 'gray')
    assert 3 * step_of_the_picture(tmp_path / 'gray') < step_of_the_picture(int8_bundle)


@pytest.mark.parametrize(('kind', 'word'), [('int8_bundle', 'int8'), ('fp16_bundle', 'fp16')])
def test_bundle_states_its_precision_and_no_accuracy_of_another(
    kind: str, word: str, request: pytest.FixtureRequest
) -> None:
    bundle = request.getfixturevalue(kind)
    metadata = load_bundle(bundle).metadata
    assert (metadata.precision, metadata.accuracy) == (word, {})
    assert metadata.licence == 'Apache-2.0'
    card = (bundle / 'model_card.md').read_text(encoding='utf-8')
    assert card.startswith('# tiny\n')
    assert f'This bundle is {word}' in card


def test_fp16_halves_the_weights_behind_float_inputs_and_outputs(
    float_bundle: Path, fp16_bundle: Path
) -> None:
    for file in float_bundle.glob('*.onnx'):
        graph = onnx.load(fp16_bundle / file.name).graph
        types = {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)}
        assert TensorProto.FLOAT in types
        assert TensorProto.FLOAT16 not in types
        halved = {name for name, array in weights(graph).items() if array.dtype == np.float16}
        names = {n.input[1] for n in graph.node if n.op_type in ('Conv', 'Gemm')}
        assert names
        assert names <= halved


def test_geometry_and_scores_stay_in_float(fp16_bundle: Path) -> None:
    delicate = {'GridSample', 'Log', 'Sigmoid', 'Softmax', 'TopK'}
    seen = set[str]()
    for file in fp16_bundle.glob('*.onnx'):
        model = onnx.load(file)
        onnx.checker.check_model(model)
        graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
        types = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
        for node in (node for node in graph.node if node.op_type in delicate):
            assert types[node.output[0]] == TensorProto.FLOAT, node.name
            seen.add(node.op_type)
    assert seen == delicate


def test_what_gives_a_result_of_the_graph_keeps_its_type() -> None:
    nodes = [
        helper.make_node('MatMul', ['x', 'weight'], ['product'], 'product'),
        helper.make_node('Add', ['product', 'weight'], ['half'], 'half'),
        helper.make_node('Add', ['half', 'x'], ['mixed'], 'mixed'),
        helper.make_node('Relu', ['half'], ['y'], 'result'),
    ]
    x, y, mixed = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2])
        for name in ('x', 'y', 'mixed')
    )
    weight = numpy_helper.from_array(np.eye(2, dtype=np.float32), 'weight')
    graph = helper.make_graph(nodes, 'graph', [x], [y, mixed], [weight])
    names = nodes_to_shrink(graph, FP16_SEEDS)
    assert names == ['product', 'half']
    halve(graph, names)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 20)])
    onnx.checker.check_model(model, full_check=True)
    assert list(weights(graph)) == ['weight.fp16']


def test_command_spreads_a_few_pictures_over_the_folder(
    float_bundle: Path, folder_of_seven: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pavenet_core.cli.quantise import _spread
    from pavenet_core.video import open_sources

    used = list(_spread(open_sources(folder_of_seven), 3))
    expected = [pictures(7)[index] for index in (0, 3, 6)]
    np.testing.assert_array_equal(used, expected)
    out = tmp_path / 'int8'
    words = ['quantise', float_bundle, '--images', folder_of_seven, '--pictures', 3, '--out', out]
    assert main(list(map(str, words))) == 0
    assert 'tiny in int8' in capsys.readouterr().out
    assert load_bundle(out).metadata.precision == 'int8'


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        ([], 'give some with --images DIR'),
        (['--images', '{pictures}', '--pictures', '0'], '--pictures must be 1 or more, got 0'),
        (['--images', '{empty}'], 'has no pictures'),
        (['--images', '{pictures}', '--precision', 'fp16'], 'leave out --images'),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    words: list[str],
    reason: str,
    stand_in: Path,
    folder_of_seven: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / 'empty').mkdir()
    filled = [word.format(pictures=folder_of_seven, empty=tmp_path / 'empty') for word in words]
    assert main(['quantise', str(stand_in), '--out', str(tmp_path / 'new'), *filled]) == 1
    error = capsys.readouterr().err
    assert reason in error
    assert error.count('\n') == 1
    assert not (tmp_path / 'new').exists()


def test_a_bundle_is_quantised_once_and_elsewhere(
    float_bundle: Path, int8_bundle: Path, stand_in: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match='is int8 already; give the float32 bundle'):
        calibrate(int8_bundle, pictures(1), tmp_path / 'new')
    with pytest.raises(ValueError, match='is the bundle itself'):
        convert_to_fp16(load_bundle(float_bundle), float_bundle)
    with pytest.raises(ValueError, match='or in it; write the new one into another folder'):
        convert_to_fp16(load_bundle(float_bundle), float_bundle / 'half')
    assert not (float_bundle / 'half').exists()
    with pytest.raises(ValueError, match='has no convolution'):
        calibrate(stand_in, pictures(1), tmp_path / 'new')
    assert not (tmp_path / 'new').exists()
