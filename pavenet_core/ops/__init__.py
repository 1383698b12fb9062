"""The network's one operator as a CUDA kernel."""

from pavenet_core.ops.attention import by_torch, deformable_attention, uses_kernel
from pavenet_core.ops.kernel import NoKernelError, build, is_available

__all__ = [
    'NoKernelError',
    'build',
    'by_torch',
    'deformable_attention',
    'is_available',
    'uses_kernel',
]
