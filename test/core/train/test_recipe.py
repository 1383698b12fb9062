import json
from dataclasses import replace

import pytest

from pavenet_core.presets import PRESETS
from pavenet_core.train.recipe import COMPACT, RECIPES, Recipe


@pytest.mark.parametrize(
    ('preset', 'coco', 'posetrack'),
    [
        ('official_r50', (10, (7,), 8, 'official_large'), (20, (10,), 8, 'official')),
        ('official_r50_t5', (10, (7,), 16, 'official_t5'), (20, (15,), 16, 'official_t5')),
        ('official_swin_l', (10, (7,), 16, 'official_large'), (20, (15,), 16, 'official')),
    ],
)
def test_the_official_recipes_are_those_of_the_released_configurations(
    preset: str, coco: tuple, posetrack: tuple
) -> None:
    stages = RECIPES['official'](PRESETS[preset])
    told = [(s.epochs, s.decay_epochs, s.update_windows, s.augmentation) for s in stages]
    assert told == [coco, posetrack]
    assert [s.class_weight for s in stages] == [2.0, 0.5]


def test_the_paper_s_recipe() -> None:
    coco, posetrack = RECIPES['paper'](PRESETS['r50'])
    assert (coco.data, coco.class_weight) == ('coco', 2.0)
    assert (posetrack.epochs, posetrack.decay_epochs) == (30, (20, 25))
    for stage in (coco, posetrack):
        assert (stage.rate, stage.weight_decay, stage.clip_norm) == (2e-5, 1e-4, 0.1)
        assert (stage.backbone_rate, stage.offset_rate, stage.warmup_steps) == (0.1, 0.1, 0)
        assert (stage.average, stage.precision, stage.frozen) == (0.0, 'float32', 'authors')
        assert (stage.match_costs.keypoint, stage.oks_weight) == (70.0, 0.0)


@pytest.mark.parametrize('name', RECIPES)
def test_recipes_survive_json(name: str) -> None:
    for stage in RECIPES[name](PRESETS['compact']):
        assert Recipe.from_json(json.loads(json.dumps(stage.to_json()))) == stage


def test_an_update_is_shared_by_processes_and_batches() -> None:
    recipe = Recipe(update_windows=16, batch=2)
    assert [recipe.accumulation(count) for count in (1, 2, 8)] == [8, 4, 1]
    with pytest.raises(ValueError, match=r'16 windows cannot be shared by 3 processes'):
        recipe.accumulation(3)


@pytest.mark.parametrize(
    'change',
    [
        *({'rate': 0.0}, {'batch': 0}, {'precision': 'int8'}, {'average': 1.0}, {'epochs': 0}),
        *({'rate': float('nan')}, {'rate': float('inf')}, {'steps': -3}, {'seed': -1}),
        *({'workers': -1}, {'checkpoint_minutes': float('nan')}, {'longest': -20}, {'longest': 9}),
        {'shards': 2},  # of canvases, which these pictures are not
    ],
)
def test_impossible_values_are_named(change: dict[str, object]) -> None:
    ((name, value),) = change.items()
    with pytest.raises(ValueError, match=rf'{name}.*{value}'):
        replace(Recipe(), **change)


def test_canvases_have_sizes_of_their_own() -> None:
    with pytest.raises(ValueError, match='longest 512 has no meaning for recipe compact'):
        replace(COMPACT, longest=512)


def test_only_what_changes_learning_is_a_difference() -> None:
    recipe = Recipe()
    assert recipe.differences(replace(recipe, workers=4, recompute=True)) == []
    assert recipe.differences(replace(recipe, rate=1.0)) == ['rate 2e-05 instead of 1.0']
