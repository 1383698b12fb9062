"""The kernels compiled for a GPU that is simulated on the CPU (simulated/)."""

import shutil
from pathlib import Path

import pytest

pytest.importorskip('torch', reason='needs torch')

from pavenet_core.ops.kernel import SOURCES

SIMULATED = Path(__file__).parent / 'simulated'


@pytest.fixture(scope='session')
def simulated_gpu(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let torch.ops.pavenet run on CPU tensors: the real kernels, warp by warp."""
    if not (shutil.which('c++') and shutil.which('ninja')):
        pytest.skip('needs a C++ compiler and ninja to compile the kernels for the CPU')
    from torch.utils import cpp_extension

    cpp_extension.load(
        'pavenet_simulated',
        [str(SOURCES / 'binding.cpp'), str(SIMULATED / 'kernels.cpp')],
        extra_include_paths=[str(SIMULATED), str(SOURCES)],
        extra_cflags=['-O1', '-fno-strict-aliasing', '-Wno-unknown-pragmas'],
        is_python_module=False,
        build_directory=str(tmp_path_factory.mktemp('simulated')),
    )
