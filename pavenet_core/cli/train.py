"""
Train a model on labelled windows (docs/training.md has the format).

The trunk stays as it is given: what it says of many random pictures is computed once, kept in a
cache folder, and the rest of the network is trained on that. A stopped run goes on from its last
checkpoint when the same command is given again. Several processes share the work under torchrun.

example, the shipped model, an image model first and then three frames:
  pavenet train train.jsonl --trunk movenet.npz --frames 1 --out runs/image
  pavenet train train.jsonl --weights runs/image/checkpoint.pt --frames 3 --out runs/video
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.add_argument('windows', type=Path, help='labelled windows, one JSON object a line')
    parser.add_argument('--out', type=Path, required=True, help='folder of the checkpoints')
    parser.add_argument('--model', default='compact', help='configuration (default: compact)')
    parser.add_argument('--frames', type=int, default=3, help='frames of a window (default: 3)')
    parser.add_argument('--trunk', type=Path, help="MoveNet MultiPose's weights for the trunk")
    parser.add_argument('--weights', type=Path, help='checkpoint to begin from; may have 1 frame')
    parser.add_argument('--cache', type=Path, help='folder of the cache (default: OUT/cache)')
    parser.add_argument('--shards', type=int, default=40, help='of 256 pictures (default: 40)')
    parser.add_argument('--steps', type=int, default=2500, help='updates (default: 2500)')
    parser.add_argument('--batch', type=int, default=16, help='windows an update and process')
    parser.add_argument('--rate', type=float, default=4e-4, help='learning rate (default: 4e-4)')


def run(args: argparse.Namespace) -> None:
    """Fill the cache, then train."""
    import logging
    import os

    from torch import distributed

    from pavenet_core.train.canvas import CanvasMaker
    from pavenet_core.train.feature_cache import cached_batches, fill_cache
    from pavenet_core.train.loop import TrainConfig, Trainer
    from pavenet_core.train.start import start_model
    from pavenet_core.train.windows import read_windows

    rank, processes = int(os.environ.get('RANK', 0)), int(os.environ.get('WORLD_SIZE', 1))
    if processes > 1:
        distributed.init_process_group('gloo')
    logging.basicConfig(level=logging.WARNING if rank else logging.INFO, format='%(message)s')
    model = start_model(args.model, args.frames, trunk=args.trunk, checkpoint=args.weights)
    windows = read_windows(args.windows, len(model.config.skeleton))
    maker = CanvasMaker(windows, model.config.skeleton, args.frames)
    cache = args.cache or args.out / 'cache'
    for path in fill_cache(cache, model, maker, range(rank, args.shards, processes)):
        logging.info('cached %s', path)
    if processes > 1:
        distributed.barrier()
    trainer = Trainer(
        model, TrainConfig(steps=args.steps, batch=args.batch, learning_rate=args.rate)
    )
    if args.weights:
        trainer.take_losses(args.weights)
    checkpoint = args.out / 'checkpoint.pt'
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    seed = trainer.step * processes + rank
    trainer.run(cached_batches(cache, model.config, args.batch, seed), args.out)
