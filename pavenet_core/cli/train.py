"""
Train a network by a recipe, or go on with a run: the same command again.

Recipes: 'finetune' improves trained weights on pictures of your own; 'paper' and 'official' are
those of PAVE-Net's paper and of its released code, COCO first where --coco is given, then
PoseTrack; 'compact' made the shipped model, on cached features of a frozen trunk. Start it with
torchrun to share the work among GPUs or machines; docs/training.md tells all.

examples:
  pavenet train --recipe finetune --images photos --annotations train.json \
--weights models/compact.pt --out runs/mine
  pavenet train --recipe paper --coco coco --posetrack posetrack18 \
--weights petr_r50_16x2_100e_coco.pth --model r50 --out runs/paper
  torchrun --nproc-per-node 8 -m pavenet_core.cli train --recipe paper --posetrack posetrack18 \
--weights coco.pt --out runs/posetrack
"""

import argparse
from pathlib import Path
from typing import Any

# Options that replace a field of the recipe, in every stage.
CHANGES = ('epochs', 'steps', 'rate', 'batch', 'precision', 'seed', 'workers')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the verb takes."""
    parser.add_argument('--recipe', required=True, help='finetune, paper, official or compact')
    parser.add_argument('--out', type=Path, required=True, help='folder of the run')
    data = parser.add_argument_group('data')
    data.add_argument('--images', type=Path, help='finetune: folder of the pictures')
    data.add_argument('--annotations', type=Path, help='finetune: their labels')
    data.add_argument('--val-images', type=Path, help='pictures to measure on (--images)')
    data.add_argument('--val-annotations', type=Path, help='their labels')
    data.add_argument('--coco', type=Path, help='paper, official: folder of COCO 2017')
    data.add_argument('--posetrack', type=Path, help='paper, official: folder of PoseTrack')
    data.add_argument('--windows', type=Path, help='compact: labelled windows, a JSON a line')
    data.add_argument('--cache', type=Path, help='compact: folder of the cache (OUT/cache)')
    data.add_argument('--shards', type=int, default=40, help='compact: of 256 pictures (40)')
    network = parser.add_argument_group('network')
    network.add_argument('--weights', type=Path, help="ours, or the authors' PETR or PAVE-Net")
    network.add_argument('--model', help='configuration (that of the weights, else r50)')
    network.add_argument('--frames', type=int, help='of a window (those of the model)')
    network.add_argument(
        '--trunk',
        default='imagenet',
        help="without --weights: imagenet, random or a file of MoveNet's weights (imagenet)",
    )
    change = parser.add_argument_group("changes to the recipe's every stage")
    change.add_argument('--epochs', type=int)
    change.add_argument('--steps', type=int, help='updates, instead of epochs')
    change.add_argument('--rate', type=float, help='learning rate')
    change.add_argument('--update', type=int, help='windows of an update, over all processes')
    change.add_argument('--batch', type=int, help='of these at a time in a process')
    change.add_argument('--precision', help='float32, bfloat16 or float16')
    change.add_argument('--seed', type=int)
    change.add_argument('--workers', type=int, help='processes that load pictures')
    change.add_argument('--recompute', action='store_true', help='less memory, a third slower')
    change.add_argument('--deterministic', action='store_true', help='repeatable also on a GPU')
    parser.add_argument('--device', default='auto', help='cpu, cuda or auto (auto)')
    parser.add_argument('--dry-run', action='store_true', help='say what would be done, and stop')


def run(args: argparse.Namespace) -> None:
    """Read the data, then train the stages."""
    import logging

    from pavenet_core.train.distributed import join, leave

    processes = join(args.device)
    level = logging.INFO if processes.first else logging.WARNING
    logging.basicConfig(level=level, format='%(message)s')
    try:
        finished = _train(args, processes)
    finally:
        leave()
    if not finished:
        if processes.first:
            print(f'stopped and saved; the same command goes on from {args.out}')
        raise KeyboardInterrupt
    if processes.first and not args.dry_run:
        print(f'{args.out / "checkpoint.pt"}; next: pavenet export {args.out}/checkpoint.pt')


def _train(args: argparse.Namespace, processes: Any) -> bool:
    import torch

    from pavenet_core.train.recipe import RECIPES
    from pavenet_core.train.stages import describe, make_trainer, run_stages, stage_folder
    from pavenet_core.train.start import Wanted, read_any_weights, wanted_config

    if args.recipe not in RECIPES:
        raise ValueError(f'no recipe {args.recipe!r}; there are {sorted(RECIPES)}')
    weights = read_any_weights(args.weights) if args.weights else None
    if args.recipe == 'finetune' and weights is None:
        raise ValueError('finetune begins with trained weights; give --weights')
    default = 'compact' if args.recipe == 'compact' else 'r50'
    config = wanted_config(Wanted(args.model, args.frames), weights, default)
    data = _read_data(args, config)
    recipes = [_changed(r, args) for r in RECIPES[args.recipe](config) if r.data in data]
    if recipes[0].deterministic:
        # What has no repeatable form, such as sampling's backward on CUDA, warns and goes on.
        torch.use_deterministic_algorithms(True, warn_only=True)
    if not args.dry_run:
        return run_stages(recipes, data, config, weights, args.trunk, args.out, processes)
    for index, recipe in enumerate(recipes):
        folder = stage_folder(args.out, recipes, index)
        stage = data[recipe.data]
        trainer = make_trainer(recipe, stage, config, None, 'random', folder, processes)
        print(describe(trainer, stage))
    return True


def _changed(recipe: Any, args: argparse.Namespace) -> Any:
    """Return the recipe with what the command asks for instead."""
    from dataclasses import replace

    changes = {name: getattr(args, name) for name in CHANGES}
    changes |= {'update_windows': args.update, 'recompute': args.recompute or None}
    changes['deterministic'] = args.deterministic or None
    if args.epochs is not None:
        changes['steps'] = args.steps or 0
    return replace(recipe, **{k: v for k, v in changes.items() if v is not None})
