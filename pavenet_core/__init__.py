"""PAVE-Net: end-to-end multi-person pose from video."""

__version__ = '0.1.0'
