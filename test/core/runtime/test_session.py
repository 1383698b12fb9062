import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest

from pavenet_core.bundle import BundleError
from pavenet_core.runtime.session import (
    OnnxGraph,
    SessionConfig,
    _load_cuda,
    choose_providers,
    tensorrt_options,
)

CPU, CUDA, TENSORRT = (f'{name}ExecutionProvider' for name in ('CPU', 'CUDA', 'Tensorrt'))


def joint_decoder_names() -> tuple[list[str], list[str]]:
    values = [f'frame{t}.joint_value.0.{level}' for t in range(3) for level in range(2)]
    return ['poses', 'valid_ratios', *values], ['keypoints', 'sigmas']


def open_joint_decoder(bundle: Path, config: SessionConfig | None = None) -> OnnxGraph:
    inputs, outputs = joint_decoder_names()
    path = bundle / 'joint_decoder.onnx'
    return OnnxGraph(path, inputs=inputs, outputs=outputs, config=config or SessionConfig())


def test_outputs_come_by_name_in_any_order(stand_in: Path) -> None:
    inputs, outputs = joint_decoder_names()
    graph = OnnxGraph(
        stand_in / 'joint_decoder.onnx',
        inputs=inputs,
        outputs=outputs[::-1],
        config=SessionConfig(num_threads=1, spinning=False),
    )
    tensors = {name: np.ones([1] * 5, np.float32) for name in inputs[2:]}
    tensors |= {'poses': np.zeros((1, 3, 2, 17, 2), np.float32)}
    tensors |= {'valid_ratios': np.ones((1, 2, 2), np.float32)}
    found = graph(tensors)
    assert set(found) == {'keypoints', 'sigmas'}
    assert found['keypoints'].numpy().shape == (1, 2, 17, 2)
    assert graph.providers == (CPU,)


@pytest.mark.parametrize('content', [b'', b'not a graph at all'])
def test_a_damaged_file_is_one_sentence(
    content: bytes, tmp_path: Path, write_bundle: Callable[..., Path]
) -> None:
    (write_bundle(tmp_path) / 'joint_decoder.onnx').write_bytes(content)
    with pytest.raises(BundleError, match=r'joint_decoder\.onnx is not a graph'):
        open_joint_decoder(tmp_path)


def test_a_truncated_file_is_one_sentence(
    tmp_path: Path, write_bundle: Callable[..., Path]
) -> None:
    path = write_bundle(tmp_path) / 'joint_decoder.onnx'
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BundleError, match=r'joint_decoder\.onnx'):
        open_joint_decoder(tmp_path)


def test_a_damaged_name_is_one_sentence(tmp_path: Path, write_bundle: Callable[..., Path]) -> None:
    path = write_bundle(tmp_path) / 'joint_decoder.onnx'
    path.write_bytes(path.read_bytes().replace(b'constant0', b'\xf0onstant0', 1))
    with pytest.raises(BundleError, match=r'joint_decoder\.onnx is not a graph'):
        open_joint_decoder(tmp_path)


def test_a_graph_with_other_names_is_refused_with_the_names(stand_in: Path) -> None:
    inputs, outputs = joint_decoder_names()
    path = stand_in / 'joint_decoder.onnx'
    with pytest.raises(BundleError, match=r"inputs .*missing \['more'\], unknown \['poses'\]"):
        OnnxGraph(path, inputs=['more', *inputs[1:]], outputs=outputs, config=SessionConfig())
    with pytest.raises(BundleError, match=r"outputs .*missing \[\], unknown \['sigmas'\]"):
        OnnxGraph(path, inputs=inputs, outputs=['keypoints'], config=SessionConfig())


def test_an_output_of_another_size_is_refused(stand_in: Path) -> None:
    graph = open_joint_decoder(stand_in)
    graph.check_size('keypoints', axis=1, size=5)  # as many people as one likes
    graph.check_size('keypoints', axis=2, size=17)
    with pytest.raises(BundleError, match='says 15 on axis 2'):
        graph.check_size('keypoints', axis=2, size=15)
    with pytest.raises(BundleError, match='axis 4'):
        graph.check_size('keypoints', axis=4, size=17)


def test_inputs_that_do_not_fit_are_one_sentence(stand_in: Path) -> None:
    inputs, _ = joint_decoder_names()
    wrong_type = {name: np.zeros([1] * 5) for name in inputs}
    with pytest.raises(BundleError, match='does not fit the other graphs'):
        open_joint_decoder(stand_in)(wrong_type)


def test_auto_takes_the_best_there_is_and_falls_back_to_the_cpu() -> None:
    assert choose_providers('auto', ['Other', CPU]) == [CPU]
    assert choose_providers('auto', [CPU, CUDA, TENSORRT]) == [TENSORRT, CUDA, CPU]
    assert choose_providers('tensorrt', [CPU, CUDA, TENSORRT]) == [TENSORRT, CUDA, CPU]
    assert choose_providers('cuda', [TENSORRT, CUDA, CPU]) == [CUDA, CPU]
    assert choose_providers('cpu', [TENSORRT, CUDA, CPU]) == [CPU]


def test_an_absent_device_is_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=rf"'cuda' is not there: .*\['{CPU}'\]"):
        choose_providers('cuda', [CPU])


def test_nonsense_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'gpu'"):
        SessionConfig(device='gpu')
    for number in (-1, 257, 1.5):
        with pytest.raises(ValueError, match=f'got {number}'):
            SessionConfig(num_threads=number)  # type: ignore[arg-type]


@pytest.mark.skipif(CUDA in ort.get_available_providers(), reason='CUDA is there')
def test_a_model_is_not_opened_on_an_absent_device(stand_in: Path) -> None:
    with pytest.raises(ValueError, match="'cuda' is not there"):
        open_joint_decoder(stand_in, SessionConfig(device='cuda'))


def test_a_device_that_does_not_start_is_refused(stand_in: Path) -> None:
    graph = open_joint_decoder(stand_in)
    with pytest.raises(ValueError, match=rf"'cuda' could not be started, .*\['{CPU}'\]"):
        graph._check_device('cuda')
    graph._check_device('auto')


@pytest.mark.parametrize('is_silent', [False, True])
def test_auto_goes_on_with_what_starts_and_tells_what_did_not(
    is_silent: bool, stand_in: Path, broken_gpus: Callable[[bool], None]
) -> None:
    broken_gpus(is_silent)
    graph = open_joint_decoder(stand_in, SessionConfig(device='auto'))
    assert graph.providers == (CPU,)
    assert graph.not_started == (TENSORRT, CUDA)
    assert open_joint_decoder(stand_in).not_started == ()


@pytest.mark.parametrize(('is_silent', 'words'), [(False, rf'\({CUDA} fails\), '), (True, ', ')])
def test_a_named_device_that_does_not_start_is_refused_in_one_line(
    is_silent: bool, words: str, stand_in: Path, broken_gpus: Callable[[bool], None]
) -> None:
    broken_gpus(is_silent)
    sentence = rf"'cuda' could not be started ?{words}onnxruntime would run on \['{CPU}'\]"
    with pytest.raises(ValueError, match=sentence) as caught:
        open_joint_decoder(stand_in, SessionConfig(device='cuda'))
    assert '\n' not in str(caught.value)


def test_a_broken_file_is_told_from_a_broken_device(
    tmp_path: Path, write_bundle: Callable[..., Path], broken_gpus: Callable[[bool], None]
) -> None:
    broken_gpus(False)
    (write_bundle(tmp_path) / 'joint_decoder.onnx').write_bytes(b'')
    with pytest.raises(BundleError, match=r'joint_decoder\.onnx is not a graph'):
        open_joint_decoder(tmp_path, SessionConfig(device='auto'))


def test_each_graphs_tensorrt_engines_have_a_folder_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = tmp_path / 'pose_decoder.onnx'
    config = SessionConfig(tensorrt_cache=tmp_path / 'engines', tensorrt_fp16=True)
    folders = []
    for weights in (b'old', b'new', b'old', b'old'):
        graph.write_bytes(weights)
        if len(folders) == 3:
            monkeypatch.setattr(ort, '__version__', '9.9.9')
        options = tensorrt_options(graph, config)
        assert options.pop('trt_fp16_enable') == 'True'
        assert options.pop('trt_engine_cache_enable') == 'True'
        assert options.pop('trt_timing_cache_enable') == 'True'
        assert len(set(options.values())) == 1
        folders.append(Path(options['trt_engine_cache_path']))
    assert folders[0] == folders[2] != folders[1]
    assert folders[3] not in folders[:3]
    assert {folder.parent for folder in folders} == {tmp_path / 'engines'}


def test_without_a_folder_tensorrt_keeps_nothing(tmp_path: Path) -> None:
    options = tensorrt_options(tmp_path / 'pose_decoder.onnx', SessionConfig())
    assert options == {'trt_fp16_enable': 'False'}


def test_tensorrt_gets_its_options_and_its_folder(
    stand_in: Path, tmp_path: Path, pretended_gpus: list[dict[str, Any]]
) -> None:
    config = SessionConfig('tensorrt', tensorrt_cache=tmp_path / 'new' / 'engines')
    assert open_joint_decoder(stand_in, config).providers == (TENSORRT, CUDA, CPU)
    (opened,) = pretended_gpus
    assert opened['providers'] == [TENSORRT, CUDA, CPU]
    assert not opened['enable_fallback']  # onnxruntime's own knows neither options nor order
    options, *others = opened['provider_options']
    assert options == tensorrt_options(stand_in / 'joint_decoder.onnx', config)
    assert Path(options['trt_engine_cache_path']).is_dir()
    assert others == [{}, {}]


def test_an_impossible_folder_of_engines_is_one_sentence(
    stand_in: Path, tmp_path: Path, pretended_gpus: list[dict[str, Any]]
) -> None:
    (tmp_path / 'file').touch()
    config = SessionConfig('tensorrt', tensorrt_cache=tmp_path / 'file')
    with pytest.raises(ValueError, match=r"tensorrt_cache '.*file' is no folder to write to"):
        open_joint_decoder(stand_in, config)
    config = SessionConfig('cuda', tensorrt_cache=tmp_path / 'file')
    assert open_joint_decoder(stand_in, config).providers == (CUDA, CPU)


def test_models_opened_in_threads_leave_the_output_alone(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, seen = sys.stdout, set[Any]()
    start, both = ort.InferenceSession, Barrier(2)

    def overlap(*arguments: Any, **options: Any) -> ort.InferenceSession:
        both.wait()
        seen.add(sys.stdout)
        return start(*arguments, **options)

    monkeypatch.setattr(ort, 'InferenceSession', overlap)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(open_joint_decoder, [stand_in] * 2))
    assert seen == {sys.stdout} == {output}


def test_what_onnxruntime_prints_of_missing_libraries_is_no_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ort, 'preload_dlls', lambda: print('lacks libcudnn'), raising=False)
    _load_cuda.__wrapped__()
    assert capsys.readouterr() == ('', 'lacks libcudnn\n')
