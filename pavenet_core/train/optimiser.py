"""What learns how fast: frozen parts, AdamW's groups, and the schedule."""

import math

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from pavenet_core.model import PaveNet
from pavenet_core.train.criterion import Criterion
from pavenet_core.train.recipe import Recipe

# Of a ResNet trunk, by timm's names.
FROZEN_STAGES = ('conv1', 'bn1', 'layer1')


def freeze(model: PaveNet, frozen: str) -> None:
    """Take the gradient from what a recipe leaves as it is; see `Recipe.frozen`."""
    for name, parameter in model.named_parameters():
        if name.startswith(model.trunk_parts):
            parameter.requires_grad_(frozen != 'trunk')
    if frozen != 'authors' or not model.config.backbone.startswith('resnet'):
        return
    for stage in FROZEN_STAGES:
        model.backbone.trunk.get_submodule(stage).requires_grad_(False)
    for layer in model.backbone.modules():
        if isinstance(layer, _BatchNorm):
            layer.requires_grad_(False)


def to_training(model: PaveNet, frozen: str) -> None:
    """Turn dropout on, but not in a frozen trunk; its batch norms keep their statistics."""
    model.train()
    if frozen == 'trunk':
        model.backbone.eval()
    for layer in model.backbone.modules():
        if isinstance(layer, _BatchNorm):
            layer.eval()


def build_optimiser(model: PaveNet, criterion: Criterion, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW over all that learns; nothing is exempt from weight decay."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in (*model.named_parameters(), *criterion.named_parameters()):
        if parameter.requires_grad:
            factor = rate_factor(name, recipe, model.trunk_parts)
            groups.setdefault(factor, []).append(parameter)
    return torch.optim.AdamW(
        [{'params': params, 'lr': recipe.rate, 'factor': f} for f, params in groups.items()],
        weight_decay=recipe.weight_decay,
    )


def rate_factor(name: str, recipe: Recipe, trunk_parts: tuple[str, ...]) -> float:
    """Return the factor on the learning rate for a parameter, by its name."""
    if name.startswith(trunk_parts):
        return recipe.backbone_rate
    return recipe.offset_rate if 'sampling_offsets' in name else 1.0


def learning_rate(step: int, recipe: Recipe, steps_per_epoch: int) -> float:
    """Return the rate of update `step`, counted from 0."""
    total = num_steps(recipe, steps_per_epoch)
    warmup = min(recipe.warmup_steps, total // 10)
    if step < warmup:
        return recipe.rate * (step + 1) / warmup
    if recipe.schedule == 'step':
        passed = sum(step >= epoch * steps_per_epoch for epoch in recipe.decay_epochs)
        return recipe.rate * 0.1**passed
    progress = (step - warmup) / max(1, total - warmup)
    final = min(recipe.final_rate, recipe.rate)
    return final + (recipe.rate - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


def num_steps(recipe: Recipe, steps_per_epoch: int) -> int:
    """Return how many updates the recipe has."""
    return recipe.steps or recipe.epochs * steps_per_epoch
