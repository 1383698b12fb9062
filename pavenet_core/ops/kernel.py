"""Compile the kernel for the GPU at hand, once; later processes find it in torch's cache."""

import functools
import logging
import os
import shutil
from pathlib import Path

import torch

SOURCES = Path(__file__).parent / 'csrc'
PARTS = ('bin/nvcc', 'include/cuda_runtime_api.h')
FILES = ('binding.cpp', 'cuda/forward.cu', 'cuda/backward.cu')
LOGGER = logging.getLogger(__name__)
# Set it to 0 to use the torch form on a GPU too.
SWITCH = 'PAVENET_CUDA_KERNEL'


class NoKernelError(RuntimeError):
    """Says in one sentence why the CUDA kernel cannot be had."""


def build() -> None:
    """Compile the kernel if need be (about a minute) and load it, or raise `NoKernelError`."""
    # Slow to import.
    from torch.utils import cpp_extension

    if torch.version.cuda is None:
        raise NoKernelError('this torch is built without CUDA')
    if not torch.cuda.is_available() and 'TORCH_CUDA_ARCH_LIST' not in os.environ:
        raise NoKernelError('no GPU to build it for; TORCH_CUDA_ARCH_LIST=8.7 would name one')
    home = _toolkit(cpp_extension.CUDA_HOME)
    if home is None:
        raise NoKernelError(
            f'no CUDA compiler: install the CUDA {torch.version.cuda} toolkit, '
            'or set CUDA_HOME to its folder'
        )
    # Torch takes the folder above `nvcc`, which may be a wrapper far from the toolkit.
    cpp_extension.CUDA_HOME = home
    if not shutil.which('ninja'):
        raise NoKernelError('no ninja: pip install ninja')
    try:
        cpp_extension.load(
            'pavenet_deformable_attention',
            [str(SOURCES / name) for name in FILES],
            extra_include_paths=[str(SOURCES), str(SOURCES / 'cuda')],
            extra_cflags=['-O2'],
            extra_cuda_cflags=['-O3'],
            is_python_module=False,
        )
    except (RuntimeError, OSError) as error:
        raise NoKernelError(f'the CUDA kernel did not compile: {error}') from error


@torch.compiler.assume_constant_result
def is_available() -> bool:
    """Return whether the kernel is loaded, trying once to build it; log a sentence if it isn't."""
    return _is_available()


@functools.cache
def _is_available() -> bool:
    if os.environ.get(SWITCH) == '0':
        return False
    try:
        build()
    except NoKernelError as error:
        LOGGER.warning('deformable attention runs without its CUDA kernel: %s', error)
        return False
    return True


def _toolkit(guess: str | None) -> str | None:
    for home in (guess, '/usr/local/cuda'):
        if home and all((Path(home) / part).is_file() for part in PARTS):
            return home
    return None
