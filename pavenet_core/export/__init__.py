"""From a trained network to a bundle: its graphs, each proven against torch."""

from pavenet_core.export.write import export_bundle

__all__ = ['export_bundle']
