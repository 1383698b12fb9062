"""Where a model runs: the options of every command that opens one."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pavenet_core.machine import TENSORRT_CACHE

if TYPE_CHECKING:
    from pavenet_core.runtime import PoseModel


def add_device_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `open_model` reads."""
    device = parser.add_argument_group('where the model runs')
    device.add_argument(
        '--device',
        default='cpu',
        help='cpu, cuda, tensorrt, or auto for the best that starts (cpu)',
    )
    device.add_argument('--threads', type=int, default=0, help='per graph; 0 is automatic (0)')
    device.add_argument(
        '--tensorrt-cache',
        type=Path,
        default=Path(TENSORRT_CACHE),
        metavar='DIR',
        help=f'keep the engines that TensorRT builds here ({TENSORRT_CACHE})',
    )
    device.add_argument(
        '--tensorrt-fp16', action='store_true', help='let TensorRT use half precision'
    )


def open_model(args: argparse.Namespace) -> 'PoseModel':
    """Return the model opened; warn if `auto` could not have what onnxruntime offers."""
    from pavenet_core.runtime import PoseModel

    model = PoseModel(
        args.model,
        device=args.device,
        num_threads=args.threads,
        tensorrt_cache=args.tensorrt_cache,
        tensorrt_fp16=args.tensorrt_fp16,
    )
    if model.fallback:
        print(f'pavenet: warning: {model.fallback}', file=sys.stderr)
    return model
