"""
Turn a trained checkpoint into a bundle that the runtime opens.

Example:
  pavenet export runs/compact/checkpoint.pt --out bundles/compact

"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.add_argument('checkpoint', type=Path, help='checkpoint.pt of pavenet train')
    parser.add_argument('--out', type=Path, required=True, help='folder of the bundle')
    parser.add_argument('--frames', type=int, help='widen an image model to so many frames')
    parser.add_argument('--name', help='name of the model; default: that of its configuration')
    parser.add_argument('--long-side', type=int, help="pixels of the input's longer side")
    parser.add_argument(
        '--frame-interval',
        type=float,
        default=0.04,
        help='seconds between frames, in training (0.04)',
    )
    parser.add_argument('--card', type=Path, help='JSON with licence, training and accuracy')


def run(args: argparse.Namespace) -> None:
    """Load, export and check."""
    import json
    from dataclasses import replace

    from pavenet_core.export import export_bundle
    from pavenet_core.model.checkpoint import load_checkpoint

    model = load_checkpoint(args.checkpoint, args.frames)
    changes = {'name': args.name, 'input_long_side': args.long_side}
    model.config = replace(model.config, **{k: v for k, v in changes.items() if v is not None})
    facts = json.loads(args.card.read_text(encoding='utf-8')) if args.card else {}
    print(f'{args.checkpoint}: exporting and comparing with torch, a minute or two', flush=True)
    export_bundle(model, args.out, frame_interval_s=args.frame_interval, facts=facts)
    print(f'{args.out}: every graph is equal to torch within the tolerance')
