"""
Other people's kernels, brought to a scratch folder for comparison; none of them is ours to ship.

    python benchmarks/kernel_peers.py DIR [--deformable-detr REPOSITORY]

fetches the sources of PyPI's torch-ms-deform-attn and Deformable DETR's own into DIR, for
`benchmarks/on_gpu.py --peer DIR`, which compiles them.
"""

import argparse
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from types import ModuleType

PYPI = 'torch-ms-deform-attn==0.1.1'
DEFORMABLE_DETR = 'https://github.com/fundamentalvision/Deformable-DETR'
COMMIT = '11169a60c33333af00a4849f1808023eba96a931'
# Names of 2020 that later versions of torch dropped; nothing else is changed.
TODAY = {
    'value.type().is_cuda()': 'value.is_cuda()',
    '.type().is_cuda()': '.is_cuda()',
    'AT_DISPATCH_FLOATING_TYPES(value.type()': 'AT_DISPATCH_FLOATING_TYPES(value.scalar_type()',
    '.data<': '.data_ptr<',
    'AT_ASSERTM': 'TORCH_CHECK',
    'AT_ERROR(': 'TORCH_CHECK(false, ',
}


def fetch_pypi(to: Path) -> None:
    """Unpack the source distribution's C++ folder."""
    with tempfile.TemporaryDirectory() as scratch:
        pip = [sys.executable, '-m', 'pip', 'download', '--no-deps', '--no-binary', ':all:']
        subprocess.run(
            [*pip, '--no-build-isolation', '--dest', scratch, PYPI], check=True, timeout=300
        )
        archive = next(Path(scratch).glob('*.tar.gz'))
        with tarfile.open(archive) as packed:
            packed.extractall(scratch, filter='data')
        shutil.copytree(next(Path(scratch).glob('*/csrc')), to / 'csrc')


def fetch_deformable_detr(repository: str, to: Path) -> None:
    """Take the operator's sources at a fixed commit and spell them for today's torch."""
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(['git', 'clone', '--quiet', repository, scratch], check=True, timeout=300)
        subprocess.run(['git', '-C', scratch, 'checkout', '--quiet', COMMIT], check=True)
        shutil.copytree(Path(scratch) / 'models' / 'ops' / 'src', to / 'src')
    for source in (to / 'src').rglob('*.*'):
        text = source.read_text()
        for old, new in TODAY.items():
            text = text.replace(old, new)
        source.write_text(text)


def load_peer(folder: Path) -> ModuleType:
    """Compile a fetched peer, or find it compiled; it has ms_deform_attn_forward and _backward."""
    from torch.utils import cpp_extension

    flags = ['-O3', '-DWITH_CUDA']
    last = [f'-idirafter{path}' for path in _pip_headers()]
    sources = folder / ('csrc' if (folder / 'csrc').is_dir() else 'src')
    files = [
        str(path)
        for path in sorted(sources.rglob('*.c*'))
        if path.suffix in ('.cpp', '.cu') and 'mps' not in path.parts
    ]
    module: ModuleType = cpp_extension.load(
        f'peer_{folder.name}',
        files,
        extra_include_paths=[str(folder), str(sources)],
        extra_cflags=[*flags, *last],
        extra_cuda_cflags=[*flags, *(x for path in last for x in ('-Xcompiler', path))],
    )
    return module


def _pip_headers() -> list[Path]:
    """Return where pip put the CUDA libraries' headers, which a bare toolkit lacks."""
    headers = (Path(folder) / 'nvidia' for folder in sys.path)
    return [
        path
        for packages in headers
        for path in packages.glob('*/include')
        if (path / 'cusparse.h').is_file()
    ]


def peers_in(folder: Path | None) -> list[Path]:
    """Return the folders of fetched peers."""
    if folder is None:
        return []
    return sorted(x for x in folder.iterdir() if (x / 'csrc').is_dir() or (x / 'src').is_dir())


def main() -> None:
    """Fetch both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', type=Path)
    parser.add_argument('--deformable-detr', default=DEFORMABLE_DETR, metavar='REPOSITORY')
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    fetch_pypi(options.folder / 'torch_ms_deform_attn')
    fetch_deformable_detr(options.deformable_detr, options.folder / 'deformable_detr')
    print(*peers_in(options.folder), sep='\n')


if __name__ == '__main__':
    main()
