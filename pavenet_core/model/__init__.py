"""The network; needs torch."""

from pavenet_core.model.pavenet import PaveNet

__all__ = ['PaveNet']
