"""What must not be imported where; import-linter holds the rest (pyproject.toml)."""

import subprocess
import sys

import pytest

LEAVES = ('config', 'skeleton', 'poses', 'bundle', 'metrics', 'drawing')


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that are loaded once a fresh Python has run the code."""
    listing = '; import sys; print(*{name.split(".")[0] for name in sys.modules})'
    run = subprocess.run(
        [sys.executable, '-c', code + listing], check=True, capture_output=True, text=True
    )
    return set(run.stdout.split())


def test_the_runtime_needs_no_torch_and_no_ros() -> None:
    loaded = modules_after('import pavenet_core.runtime')
    assert 'onnxruntime' in loaded
    assert not loaded & {'torch', 'torchvision', 'timm', 'onnx', 'rclpy'}


@pytest.mark.parametrize('leaf', LEAVES)
def test_leaves_need_neither_torch_nor_onnxruntime(leaf: str) -> None:
    loaded = modules_after(f'import pavenet_core.{leaf}')
    assert not loaded & {'torch', 'onnxruntime', 'onnx', 'rclpy'}


def test_the_network_needs_neither_onnxruntime_nor_ros() -> None:
    pytest.importorskip('torch', reason='needs torch')
    loaded = modules_after('import pavenet_core.model')
    assert not loaded & {'onnxruntime', 'onnx', 'rclpy'}


def test_the_image_codec_and_the_mailbox_need_no_ros() -> None:
    loaded = modules_after('import pavenet_core.compressed_codec, pavenet_ros.newest_frame')
    assert not loaded & {'rclpy', 'sensor_msgs', 'torch', 'onnxruntime'}


def test_bags_need_no_ros_and_their_detection_nothing() -> None:
    loaded = modules_after('import pavenet_core.bag.read, pavenet_core.bag.write')
    assert 'rosbags' in loaded
    assert not loaded & {'rclpy', 'sensor_msgs', 'rosbag2_py', 'torch', 'onnxruntime'}
    assert not modules_after('import pavenet_core.bag.detect') & {'rosbags', 'numpy'}


def test_the_node_needs_no_torch() -> None:
    pytest.importorskip('rclpy', reason='needs ROS 2')
    loaded = modules_after('import pavenet_ros.node')
    assert 'rclpy' in loaded
    assert not loaded & {'torch', 'torchvision', 'timm', 'onnx'}


def test_the_command_starts_without_heavy_imports() -> None:
    loaded = modules_after('import pavenet_core.cli')
    assert not loaded & {'torch', 'onnxruntime', 'cv2', 'rclpy'}
