"""Bundles that are not there, or not what their metadata says."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pavenet_core.bundle import BundleError
from pavenet_core.runtime import PoseModel

WriteBundle = Callable[..., Path]


def test_a_missing_model_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r'no model .*nowhere'):
        PoseModel(tmp_path / 'nowhere')


def test_a_folder_that_is_no_bundle_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r'no such file; give the folder of a bundle'):
        PoseModel(tmp_path)


def test_a_folder_of_a_shipped_name_is_opened_by_its_path(
    tmp_path: Path, write_bundle: WriteBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / 'nano')
    monkeypatch.chdir(tmp_path)
    assert PoseModel('./nano').metadata.name == 'stand-in'
    assert PoseModel('nano').metadata.name == 'nano'


def test_a_path_may_begin_at_home(
    tmp_path: Path, write_bundle: WriteBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    write_bundle(tmp_path / 'mine')
    assert PoseModel('~/mine').metadata.name == 'stand-in'
    with pytest.raises(BundleError, match="no model '~/other'"):
        PoseModel('~/other')


def test_a_missing_graph_is_named(tmp_path: Path, write_bundle: WriteBundle) -> None:
    (write_bundle(tmp_path) / 'pose_decoder.onnx').unlink()
    with pytest.raises(BundleError, match=r'lacks .*pose_decoder\.onnx'):
        PoseModel(tmp_path)


@pytest.mark.parametrize(
    ('fact', 'value', 'message'),
    [
        ('format', 99, 'format 99'),
        ('num_frames', 5, 'pose_decoder.onnx has other inputs'),
        ('num_joint_layers', 2, 'spatial_encoder.onnx has other outputs'),
        ('num_joint_layers', 0, 'spatial_encoder.onnx has other outputs'),
        ('num_frames', 2.5, 'num_frames must be an integer of 1 or more, got 2.5'),
        ('num_frames', 4, 'num_frames must be odd, got 4'),
        ('num_joint_layers', 'two', "num_joint_layers must be an integer of 0 or more, got 'two'"),
        ('postprocess', {'max_people': 2.5}, 'max_people must be an integer .* got 2.5'),
        ('postprocess', {'keypoint_score_scale': 'x'}, 'not a readable bundle'),
        ('postprocess', {'keypoint_score_scale': 2}, r'must be in \[0, 1\], got 2'),
    ],
)
def test_facts_that_the_graphs_contradict_are_refused(
    tmp_path: Path, write_bundle: WriteBundle, fact: str, value: int, message: str
) -> None:
    path = write_bundle(tmp_path) / 'metadata.json'
    path.write_text(json.dumps(json.loads(path.read_text()) | {fact: value}))
    with pytest.raises(BundleError, match=message):
        PoseModel(tmp_path)


def test_graphs_of_another_skeleton_are_refused(tmp_path: Path, write_bundle: WriteBundle) -> None:
    path = write_bundle(tmp_path) / 'metadata.json'
    facts = json.loads(path.read_text())
    skeleton = facts['skeleton']
    skeleton |= {'names': skeleton['names'][:15], 'sigmas': skeleton['sigmas'][:15]}
    skeleton |= {'edges': [], 'flip_pairs': []}
    path.write_text(json.dumps(facts))
    with pytest.raises(BundleError, match='says 15'):
        PoseModel(tmp_path)
