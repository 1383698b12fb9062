import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pavenet_core.cli import main
from pavenet_core.cli.info_system import (
    Fact,
    Lookups,
    import_module,
    is_installed,
    system_facts,
)
from pavenet_core.machine import Machine

CPU, CUDA = 'CPUExecutionProvider', 'CUDAExecutionProvider'
THERE = {
    'numpy': ('1.26.4', ''),
    'cv2': ('4.10.0', ''),
    'onnxruntime': ('1.23.2', ''),
    'cv_bridge': ('4.1.0', ''),
    'rclpy': ('there', ''),
    'rosbags': ('0.11', ''),
}


def facts_of(
    root: Path,
    *,
    environment: Mapping[str, str] | None = None,
    modules: Mapping[str, tuple[str, str]] | None = None,
    packages: tuple[str, ...] = ('onnxruntime',),
    libraries: tuple[str, ...] = (),
    providers: tuple[str, ...] = (CPU,),
    not_started: tuple[str, ...] = (),
    free: int = 2**40,
) -> dict[str, Fact]:
    known = {**THERE, **(modules or {})}
    facts = system_facts(
        Lookups(
            machine=Machine(root),
            environment=environment or {},
            module=lambda name: known[name],
            package=lambda name: name in packages,
            library=lambda name: f'lib{name}.so' if name in libraries else None,
            providers=lambda: list(providers),
            started=lambda: (
                tuple(name for name in providers if name not in not_started),
                not_started,
            ),
            free_bytes=lambda _: free,
        )
    )
    return {fact.name: fact for fact in facts}


def write(root: Path, path: str, text: str = '') -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def plug_in_a_gpu(root: Path) -> None:
    write(root, 'proc/driver/nvidia/gpus/0000:01:00.0/information', 'Model: NVIDIA RTX 4090\n')


def make_a_jetson(root: Path, release: str) -> None:
    write(root, 'proc/device-tree/model', 'NVIDIA Jetson Orin Nano\0')
    major, revision = release.split('.', 1)
    text = f'# R{major} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n'
    write(root, 'etc/nv_tegra_release', text)


def test_a_machine_that_has_all_it_can_use_gets_no_advice(tmp_path: Path) -> None:
    facts = facts_of(tmp_path, environment={'ROS_DISTRO': 'jazzy'})
    assert {name for name, fact in facts.items() if fact.remedy} == set()
    assert facts['ROS 2'].found == 'jazzy, sourced'
    assert facts['numpy'].found == '1.26.4'
    assert facts['Jetson'].found == 'no'
    assert facts['CUDA cudnn'].found == 'missing, and no use without a GPU'


def test_a_missing_module_comes_with_the_command_that_gets_it(tmp_path: Path) -> None:
    facts = facts_of(
        tmp_path, modules={'cv2': ('', 'missing'), 'onnxruntime': ('', 'broken (no libc)')}
    )
    assert facts['OpenCV'] == Fact('OpenCV', 'missing', 'pip install opencv-python-headless')
    assert facts['onnxruntime'].found == 'broken (no libc)'
    assert facts['onnxruntime'].remedy.endswith('&& pip install onnxruntime')
    assert 'providers' not in facts


def test_both_onnxruntimes_are_a_clash(tmp_path: Path) -> None:
    both = ('onnxruntime', 'onnxruntime-gpu')
    clash = facts_of(tmp_path, packages=both)['onnxruntime']
    assert 'both onnxruntime and onnxruntime-gpu' in clash.found
    assert clash.remedy.startswith('pip uninstall -y onnxruntime onnxruntime-gpu && ')
    assert facts_of(tmp_path, packages=both[1:])['onnxruntime'].remedy == ''


def test_an_idle_gpu_is_seen(tmp_path: Path) -> None:
    plug_in_a_gpu(tmp_path)
    facts = facts_of(tmp_path, libraries=('cudart',))
    assert facts['GPU'].found == 'NVIDIA RTX 4090'
    assert facts['providers'].remedy.endswith("&& pip install 'onnxruntime-gpu[cuda,cudnn]'")
    assert facts['CUDA cudart'] == Fact('CUDA cudart', 'libcudart.so')
    assert facts['CUDA cudnn'].remedy == "pip install 'onnxruntime-gpu[cuda,cudnn]'"
    assert 'TensorRT-ExecutionProvider' in facts['TensorRT'].remedy
    assert facts_of(tmp_path, providers=(CUDA, CPU))['providers'].remedy == ''


def test_a_device_that_was_built_in_but_does_not_start_is_seen(tmp_path: Path) -> None:
    assert facts_of(tmp_path)['device'] == Fact('device', f'auto runs on {CPU}')
    built_in = {'providers': (CUDA, CPU), 'not_started': (CUDA,)}
    fact = facts_of(tmp_path, **built_in)['device']
    assert fact == Fact('device', f'auto runs on {CPU}; {CUDA} did not start')
    plug_in_a_gpu(tmp_path)
    assert 'CUDA and TensorRT below' in facts_of(tmp_path, **built_in)['device'].remedy


def test_a_jetson_is_told_of_its_own_wheels(tmp_path: Path) -> None:
    make_a_jetson(tmp_path, '36.4.3')
    facts = facts_of(tmp_path)
    jetson = 'NVIDIA Jetson Orin Nano, JetPack 6 (Jetson Linux 36.4.3)'
    assert facts['Jetson'] == Fact('Jetson', jetson)
    assert facts['providers'].remedy.endswith('https://pypi.jetson-ai-lab.io/jp6/cu126')
    assert facts['TensorRT'].remedy == 'sudo apt install nvidia-jetpack'
    assert facts['GPU'].found == 'on board'


def test_other_jetpacks_are_told_what_is_so(tmp_path: Path) -> None:
    make_a_jetson(tmp_path, '38.2.1')
    facts = facts_of(tmp_path)
    assert 'JetPack 7' in facts['Jetson'].found
    assert facts['providers'].remedy.startswith('no wheel for the GPU of this JetPack')
    make_a_jetson(tmp_path, '35.4.1')
    assert facts_of(tmp_path)['Jetson'].remedy.startswith('JetPack 6 or newer')


def test_ros_that_is_installed_but_not_sourced(tmp_path: Path) -> None:
    write(tmp_path, 'opt/ros/humble/setup.bash')
    fact = facts_of(tmp_path)['ROS 2']
    assert fact == Fact('ROS 2', 'humble, not sourced', '. /opt/ros/humble/setup.bash')


def test_ros_from_python_packages_or_not_at_all(tmp_path: Path) -> None:
    assert 'Python packages' in facts_of(tmp_path)['ROS 2'].found
    missing = facts_of(tmp_path, modules={'rclpy': ('', 'missing')})['ROS 2']
    assert 'docs.ros.org' in missing.remedy


def test_cv_bridge_missing_or_broken_by_numpy(tmp_path: Path) -> None:
    def bridge(trouble: str) -> Fact:
        sourced = {'ROS_DISTRO': 'humble'}
        modules = {'cv_bridge': ('', trouble)}
        return facts_of(tmp_path, environment=sourced, modules=modules)['cv_bridge']

    assert bridge('missing').remedy.endswith('sudo apt install ros-humble-cv-bridge')
    assert bridge('broken (_ARRAY_API not found)').remedy.endswith("pip install 'numpy<2'")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    assert '--tensorrt-cache' in facts_of(tmp_path, free=2**20)['disk'].remedy
    assert facts_of(tmp_path, free=2**31)['disk'].found.startswith('2.0 GiB free')


def test_a_module_is_there_missing_or_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    write(tmp_path, 'whole_one.py', '__version__ = "3.2"')
    write(tmp_path, 'broken_one.py', 'raise ImportError("numpy.core failed\\nlong story")')
    write(tmp_path, 'needy_one.py', 'import not_there_at_all')
    assert import_module('whole_one') == ('3.2', '')
    assert import_module('not_there_at_all') == ('', 'missing')
    assert import_module('broken_one') == ('', 'broken (numpy.core failed)')
    assert import_module('needy_one')[1].startswith('broken (No module named')
    assert is_installed('numpy')
    assert not is_installed('not-there-at-all')


def test_this_machine_in_lines_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['info', '--system', '--json']) == 0
    names = [fact['name'] for fact in json.loads(capsys.readouterr().out)['system']]
    assert main(['info', '--system']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:14].strip() for line in lines] == names
    assert CPU in next(line for line in lines if line.startswith('providers'))
    assert CPU in next(line for line in lines if line.startswith('device'))


def test_it_runs_without_torch(run_pavenet: Callable[..., object], tmp_path: Path) -> None:
    (tmp_path / 'torch.py').write_text('raise RuntimeError("torch was imported")')
    result = run_pavenet('info', '--system', python_path=str(tmp_path))
    assert result.returncode == 0, result.stderr
