"""`pavenet info --system`: what this machine has, what it lacks, and how to get that."""

import argparse
import ctypes.util
import importlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path

from pavenet_core.machine import JETPACKS, TENSORRT_CACHE, Machine

MISSING = 'missing'
GIB = 2**30
CUDA_LIBRARIES = ('cudart', 'cublas', 'cudnn')
JETSON_INDEX = 'https://pypi.jetson-ai-lab.io/jp6/cu126'
NEITHER = 'pip uninstall -y onnxruntime onnxruntime-gpu'
WITH_CUDA = "pip install 'onnxruntime-gpu[cuda,cudnn]'"
TENSORRT_PAGE = 'https://onnxruntime.ai/docs/execution-providers/TensorRT-ExecutionProvider.html'


@dataclass(frozen=True)
class Fact:
    """
    One line of the report.

    remedy  the command that gets what is missing; nothing if all is well
    """

    name: str
    found: str
    remedy: str = ''


def import_module(name: str) -> tuple[str, str]:
    """Return a Python module's version, and the trouble with it: missing, or why it is broken."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        return '', MISSING if error.name == name else f'broken ({error})'
    except (ImportError, AttributeError, SystemError) as error:
        return '', f'broken ({str(error).splitlines()[0]})'
    return str(getattr(module, '__version__', 'there')), ''


def is_installed(package: str) -> bool:
    """Return whether pip knows a package of this name."""
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def find_library(name: str) -> str | None:
    """Return where a shared library would be loaded from: the system, or pip's packages."""
    places = [Path(place) for place in os.environ.get('LD_LIBRARY_PATH', '').split(':') if place]
    for folder in map(Path, sys.path):
        places += [*sorted(folder.glob('nvidia/*/lib')), folder / 'tensorrt_libs']
    files = (path for place in places for path in sorted(place.glob(f'lib{name}.so*')))
    found = next(files, None)
    return str(found) if found else ctypes.util.find_library(name)


def available_providers() -> list[str]:
    """Return the devices that the installed onnxruntime was built for."""
    import onnxruntime as ort

    return list(ort.get_available_providers())


def started_providers() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the shipped model really runs on here, and what did not start."""
    from pavenet_core.runtime import PoseModel

    model = PoseModel(device='auto')
    return model.providers, model.not_started


def free_bytes(folder: Path) -> int:
    """Return the free space where a folder is, or would be."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Lookups:
    """Where the facts come from."""

    machine: Machine = field(default_factory=Machine)
    environment: Mapping[str, str] = field(default_factory=lambda: os.environ)
    module: Callable[[str], tuple[str, str]] = import_module
    package: Callable[[str], bool] = is_installed
    library: Callable[[str], str | None] = find_library
    providers: Callable[[], list[str]] = available_providers
    started: Callable[[], tuple[tuple[str, ...], tuple[str, ...]]] = started_providers
    free_bytes: Callable[[Path], int] = free_bytes

    @property
    def has_gpu(self) -> bool:
        """Return whether there is something for CUDA to run on."""
        return bool(self.machine.jetson or self.machine.gpus)


def run(args: argparse.Namespace) -> None:
    """Print one line for each thing, the remedy after an arrow."""
    facts = system_facts(Lookups())
    if args.json:
        print(json.dumps({'system': [asdict(fact) for fact in facts]}, indent=1))
        return
    for fact in facts:
        print(f'{fact.name:<14}{fact.found}' + (f' -> {fact.remedy}' if fact.remedy else ''))


def system_facts(look: Lookups) -> list[Fact]:
    """Return all that matters here for running, recording and measuring poses."""
    return [
        Fact('machine', look.machine.describe()),
        Fact('Python', f'{platform.python_version()}, {platform.machine()}, {sys.executable}'),
        _module(look, 'numpy', 'numpy', 'pip install numpy'),
        _module(look, 'OpenCV', 'cv2', 'pip install opencv-python-headless'),
        *_onnxruntime(look),
        _jetson(look),
        Fact('GPU', ', '.join(look.machine.gpus) or ('on board' if look.has_gpu else 'none')),
        *(_library(look, name) for name in (*CUDA_LIBRARIES, 'nvinfer')),
        _ros(look),
        _cv_bridge(look),
        _module(look, 'rosbags', 'rosbags', 'to read bags without ROS: pip install rosbags'),
        _disk(look),
    ]


def _module(look: Lookups, label: str, name: str, remedy: str) -> Fact:
    version, trouble = look.module(name)
    return Fact(label, trouble or version, remedy if trouble else '')


def _onnxruntime(look: Lookups) -> list[Fact]:
    version, trouble = look.module('onnxruntime')
    wanted = _best_onnxruntime(look)
    if trouble:
        return [Fact('onnxruntime', trouble, wanted)]
    facts = [Fact('onnxruntime', version)]
    if look.package('onnxruntime') and look.package('onnxruntime-gpu'):
        clash = 'onnxruntime and onnxruntime-gpu, whose files overwrite each other'
        facts = [Fact('onnxruntime', f'{version}; installed are both {clash}', wanted)]
    providers = look.providers()
    idle = look.has_gpu and 'CUDAExecutionProvider' not in providers
    facts.append(Fact('providers', ', '.join(providers), wanted if idle else ''))
    return [*facts, _device(look)]


def _device(look: Lookups) -> Fact:
    """Start the best device there is: what onnxruntime was built for says little."""
    try:
        providers, missed = look.started()
    except ValueError as error:
        return Fact('device', f'the model can not be opened: {error}')
    found = f'auto runs on {", ".join(providers)}'
    if not missed:
        return Fact('device', found)
    remedy = 'the lines on CUDA and TensorRT below say what is missing' if look.has_gpu else ''
    return Fact('device', f'{found}; {" and ".join(missed)} did not start', remedy)


def _best_onnxruntime(look: Lookups) -> str:
    if look.machine.jetson and _jetpack(look) != '6':
        return 'no wheel for the GPU of this JetPack is known, see docs/jetson.md'
    best = WITH_CUDA if look.has_gpu else 'pip install onnxruntime'
    if look.machine.jetson:
        best = f'pip install onnxruntime-gpu --index-url {JETSON_INDEX}'
    return f'{NEITHER} && {best}'


def _jetpack(look: Lookups) -> str:
    version = look.machine.jetson_linux
    return JETPACKS.get(version[0], '') if version else ''


def _jetson(look: Lookups) -> Fact:
    if not look.machine.jetson:
        return Fact('Jetson', 'no')
    version, jetpack = look.machine.jetson_linux, _jetpack(look) or 'unknown'
    linux = f' (Jetson Linux {version[1]})' if version else ''
    old = jetpack in ('4', '5')
    return Fact(
        'Jetson',
        f'{look.machine.jetson}, JetPack {jetpack}{linux}',
        'JetPack 6 or newer is needed, for its Python 3.10' if old else '',
    )


def _library(look: Lookups, name: str) -> Fact:
    label = 'TensorRT' if name == 'nvinfer' else f'CUDA {name}'
    path = look.library(name)
    if path or not look.has_gpu:
        return Fact(label, path or f'{MISSING}, and no use without a GPU')
    if look.machine.jetson:
        return Fact(label, MISSING, 'sudo apt install nvidia-jetpack')
    remedy = f'see {TENSORRT_PAGE}' if name == 'nvinfer' else WITH_CUDA
    return Fact(label, MISSING, remedy)


def _ros(look: Lookups) -> Fact:
    sourced, installed = look.environment.get('ROS_DISTRO'), look.machine.ros_distributions
    if sourced:
        return Fact('ROS 2', f'{sourced}, sourced')
    if installed:
        remedy = f'. /opt/ros/{installed[-1]}/setup.bash'
        return Fact('ROS 2', f'{", ".join(installed)}, not sourced', remedy)
    if not look.module('rclpy')[1]:
        return Fact('ROS 2', 'of Python packages, without the command ros2')
    return Fact('ROS 2', MISSING, 'for the node: https://docs.ros.org/en/jazzy/Installation.html')


def _cv_bridge(look: Lookups) -> Fact:
    version, trouble = look.module('cv_bridge')
    use = 'only for 16-bit, float and big-endian images'
    distribution = look.environment.get('ROS_DISTRO')
    if not trouble or not (distribution or trouble != MISSING):
        return Fact('cv_bridge', f'{version or trouble}, {use}')
    broken = f"{use}: pip install 'numpy<2'"
    missing = f'{use}: sudo apt install ros-{distribution}-cv-bridge'
    return Fact('cv_bridge', trouble, missing if trouble == MISSING else broken)


def _disk(look: Lookups) -> Fact:
    folder = Path(TENSORRT_CACHE).expanduser()
    free = look.free_bytes(folder)
    remedy = 'keep TensorRT engines on another disk: --tensorrt-cache DIR' if free < GIB else ''
    return Fact('disk', f'{free / GIB:.1f} GiB free in {folder}, for TensorRT engines', remedy)
