from dataclasses import replace

import pytest
import torch
from torch import nn

from pavenet_core.model import PaveNet
from pavenet_core.presets import PRESETS
from pavenet_core.train.criterion import Criterion
from pavenet_core.train.optimiser import build_optimiser, freeze, learning_rate, to_training
from pavenet_core.train.recipe import Recipe

PEAK_HEADS = ('centre', 'guess', 'keypoint', 'offset')


def frozen_count(model: PaveNet) -> int:
    return sum(p.numel() for p in model.parameters() if not p.requires_grad)


def small(name: str) -> PaveNet:
    """Build a preset with its own trunk and little else."""
    return PaveNet(
        replace(PRESETS[name], encoder_layers=1, pose_layers=1, joint_layers=1, num_queries=10)
    )


def test_of_resnet_50_as_much_is_frozen_as_in_the_authors_code() -> None:
    model = small('r50')
    freeze(model, 'authors')
    assert frozen_count(model) == 275_520
    freeze(model, 'trunk')
    assert frozen_count(model) == 23_508_032
    to_training(model, 'authors')
    norms = [m for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert model.training and len(norms) == 53 and not any(m.training for m in norms)


def test_of_other_trunks_nothing_is_frozen() -> None:
    model = small('hrnet_w48')
    freeze(model, 'authors')
    assert frozen_count(model) == 0
    to_training(model, 'authors')
    norms = [m for m in model.backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and not any(m.training for m in norms)


def test_trunk_and_offsets_learn_a_tenth_as_fast_and_all_weights_decay() -> None:
    model = small('r50')
    criterion = Criterion(model.config.skeleton)
    freeze(model, 'authors')
    optimiser = build_optimiser(model, criterion, Recipe())
    names = {id(p): n for n, p in (*model.named_parameters(), *criterion.named_parameters())}
    factors = {names[id(p)]: g['factor'] for g in optimiser.param_groups for p in g['params']}
    assert factors.keys() == {
        n for n, p in (*model.named_parameters(), *criterion.named_parameters()) if p.requires_grad
    }
    for name, factor in factors.items():
        slow = name.startswith('backbone.') or 'sampling_offsets' in name
        assert factor == (0.1 if slow else 1.0), name
    assert {g['weight_decay'] for g in optimiser.param_groups} == {1e-4}


def test_a_frozen_pyramid_leaves_the_decoders_and_the_queries_content_to_learn() -> None:
    with torch.device('meta'):
        model = PaveNet(PRESETS['compact'])
    given = ('backbone.', 'neck.', *(f'query_selection.{head}_head.' for head in PEAK_HEADS))
    freeze(model, 'trunk')
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {name for name, _ in model.named_parameters() if name.startswith(given)}
    assert 'pose_decoder.keypoint_heads.0.1.6.weight' not in frozen
    freeze(model, 'nothing')
    assert all(p.requires_grad for p in model.parameters())
    optimiser = build_optimiser(model, Criterion(model.config.skeleton), Recipe(backbone_rate=0.5))
    slow = {id(p) for g in optimiser.param_groups if g['factor'] == 0.5 for p in g['params']}
    assert {name for name, p in model.named_parameters() if id(p) in slow} == frozen


def test_the_rate_falls_after_epochs() -> None:
    recipe = Recipe(epochs=30, decay_epochs=(20, 25))
    rates = [learning_rate(step, recipe, steps_per_epoch=4) for step in (0, 79, 80, 99, 100, 119)]
    assert rates == pytest.approx([2e-5, 2e-5, 2e-6, 2e-6, 2e-7, 2e-7])


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    recipe = Recipe(schedule='cosine', steps=100, warmup_steps=10, rate=1.0, final_rate=0.1)
    rates = [learning_rate(step, recipe, 1) for step in range(101)]
    assert rates[9] == 1.0 == max(rates)
    assert rates[100] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_rate_below_the_cosine_s_end_does_not_rise_to_it() -> None:
    recipe = Recipe(schedule='cosine', steps=10, rate=1e-7, final_rate=1e-6)
    assert {learning_rate(step, recipe, 1) for step in range(11)} == {1e-7}


def test_a_parameter_without_gradient_decays_like_one_with_zero() -> None:
    from pavenet_core.train.distributed import average_gradients

    unused = nn.Parameter(torch.ones(3))
    average_gradients([unused])
    assert unused.grad is not None and not unused.grad.any()
