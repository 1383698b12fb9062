"""How to train: everything but the network and the data, as one frozen dataclass."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from math import inf
from typing import Any

from pavenet_core.config import ModelConfig
from pavenet_core.train.matcher import MatchCosts

# Fields of one choice among a few words.
WORDS = {
    'schedule': ('step', 'cosine'),
    'frozen': ('authors', 'trunk', 'nothing'),
    'precision': ('float32', 'bfloat16', 'float16'),
}
# Fields that may differ when a stopped run goes on: they do not change what is learned.
FREE = ('workers', 'checkpoint_minutes', 'recompute')
LEAST = {
    **dict.fromkeys(('batch', 'update_windows', 'proposals_per_person'), 1),
    **dict.fromkeys(('steps', 'seed', 'workers', 'shards', 'checkpoint_minutes'), 0),
}
LEAST_LONGEST = 32  # pixels; the coarsest map of a smaller picture is one cell


@dataclass(frozen=True)
class Recipe:
    """
    One stage of training; the defaults are the paper's on PoseTrack.

    name, data       of the stage, and which of the command's data sets it takes
    epochs, steps    its length; `steps` counts updates and, where it is not 0, stands for epochs
    rate             learning rate of AdamW; `schedule` is
                     'step': times 0.1 after each of `decay_epochs`, or
                     'cosine': falls to `final_rate`; both rise linearly over `warmup_steps`
                     first, at most a tenth of all updates
    backbone_rate, offset_rate  factors on it for the trunk and for sampling offsets
    clip_norm        longest gradient of an update
    update_windows   windows of an update, over all processes; what does not fit in
                     `batch` windows a process is accumulated
    average          decay of the weights' moving average, which is what is kept; 0 has none
    frozen           what of the trunk stays as given: 'authors' (of a ResNet the stem, the first
                     stage and all batch norms' weights; of others nothing), 'trunk' (all of it,
                     with a pyramid also that and its peaks' heads) or 'nothing'.
                     Batch norms of a trunk always keep their statistics
    class_weight, keypoint_weight, oks_weight, quality, proposals_per_person, match_costs
                     as `Criterion` takes them
    augmentation     preset of `train/augmentation.py`, its sizes fitted to a longer side of
                     `longest` pixels at run time, if that is not 0; or 'canvas': composed
                     pictures, drawn anew for each step, or with `shards` the frozen trunk's
                     maps of `shards` x 256 of them, made once, for CPUs
    precision        of linear layers and convolutions; geometry and losses stay in float32
    recompute        forget activations of trunk and encoder, and compute them again for the
                     gradient: a third slower, several times smaller
    deterministic    ask torch for operators that repeat to the bit, also on a GPU
    workers          processes that load pictures, of each training process
    """

    name: str = 'posetrack'
    data: str = 'posetrack'
    epochs: int = 30
    steps: int = 0
    rate: float = 2e-5
    schedule: str = 'step'
    decay_epochs: tuple[int, ...] = (20, 25)
    final_rate: float = 0.0
    warmup_steps: int = 0
    backbone_rate: float = 0.1
    offset_rate: float = 0.1
    weight_decay: float = 1e-4
    clip_norm: float = 0.1
    update_windows: int = 16
    batch: int = 1
    average: float = 0.0
    frozen: str = 'authors'
    class_weight: float = 0.5
    keypoint_weight: float = 1.0
    oks_weight: float = 0.0
    quality: bool = False
    proposals_per_person: int = 1
    match_costs: MatchCosts = field(default=MatchCosts())
    augmentation: str = 'paper'
    longest: int = 0
    shards: int = 0
    precision: str = 'float32'
    recompute: bool = False
    deterministic: bool = False
    seed: int = 0
    workers: int = 0
    checkpoint_minutes: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, naming the value."""
        for name, words in WORDS.items():
            if getattr(self, name) not in words:
                raise ValueError(f'{name} must be one of {words}, got {getattr(self, name)!r}')
        for name, least in LEAST.items():
            if not getattr(self, name) >= least:
                raise ValueError(f'{name} must be at least {least}, got {getattr(self, name)}')
        if not (0 < self.rate < inf and 0 < self.clip_norm < inf):
            raise ValueError(
                f'rate {self.rate} and clip_norm {self.clip_norm} must be above 0 and finite'
            )
        self._check_pictures()
        if self.epochs < 1 and self.steps < 1:
            raise ValueError(f'epochs must be at least 1, got {self.epochs}')
        if not 0 <= self.average < 1:
            raise ValueError(f'average must be in [0, 1), got {self.average}')

    def _check_pictures(self) -> None:
        if self.longest != 0 and self.longest < LEAST_LONGEST:
            raise ValueError(f'longest must be {LEAST_LONGEST} or more, got {self.longest}')
        useless = 'longest' if self.augmentation == 'canvas' else 'shards'
        if getattr(self, useless):
            sizes = 'composed at sizes of their own' if useless == 'longest' else 'not composed'
            raise ValueError(
                f'{useless} {getattr(self, useless)} has no meaning for recipe {self.name}, whose '
                f'pictures are {sizes}; leave it out'
            )

    def accumulation(self, processes: int) -> int:
        """Return how many batches a process sums up for an update; `ValueError` if not a whole."""
        together = self.batch * processes
        if self.update_windows % together:
            raise ValueError(
                f'an update of {self.update_windows} windows cannot be shared by {processes} '
                f'processes with batches of {self.batch}; choose another --batch or --update'
            )
        return self.update_windows // together

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> 'Recipe':
        """Read what `to_json` wrote."""
        values = dict(data, match_costs=MatchCosts(**data['match_costs']))
        return cls(**dict(values, decay_epochs=tuple(data['decay_epochs'])))

    def differences(self, other: 'Recipe') -> list[str]:
        """Say in what another recipe would learn something else."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return [
            f'{name} {ours} instead of {theirs}'
            for name, (ours, theirs) in pairs.items()
            if ours != theirs and name not in FREE
        ]


def paper(config: ModelConfig) -> tuple[Recipe, ...]:
    """Return the paper's stages: stills that turn into videos, then PoseTrack."""
    coco = Recipe(name='coco', data='coco', epochs=10, decay_epochs=(7,), class_weight=2.0)
    return coco, Recipe()


def official(config: ModelConfig) -> tuple[Recipe, ...]:
    """Return the stages of the authors' released configurations of this network."""
    small = config.backbone == 'resnet50' and config.num_frames == 3
    coco = Recipe(
        name='coco',
        data='coco',
        epochs=10,
        decay_epochs=(7,),
        class_weight=2.0,
        update_windows=8 if small else 16,
        augmentation='official_large' if config.num_frames == 3 else 'official_t5',
    )
    posetrack = replace(
        coco,
        name='posetrack',
        data='posetrack',
        epochs=20,
        decay_epochs=(10,) if small else (15,),
        class_weight=0.5,
        augmentation='official' if config.num_frames == 3 else 'official_t5',
    )
    return coco, posetrack


def finetune(config: ModelConfig) -> tuple[Recipe, ...]:
    """Return the stage for some thousand pictures of one's own, from trained weights."""
    stage = replace(
        COMPACT,
        name='finetune',
        data='images',
        epochs=20,
        steps=0,
        rate=5e-5,
        final_rate=1e-6,
        warmup_steps=100,
        clip_norm=0.5,
        update_windows=16,
        batch=4,
        average=0.998,
        # The heads on a pyramid are not trained, and would not know it again.
        frozen='trunk' if config.pyramid else 'nothing',
        offset_rate=0.1,
        weight_decay=1e-4,
        class_weight=2.0,
        keypoint_weight=1.0,
        oks_weight=2.0,
        quality=False,
        proposals_per_person=4,
        augmentation='finetune',
        longest=config.input_long_side,
        shards=0,
        precision='float32',
    )
    return (stage,)


def compact(config: ModelConfig) -> tuple[Recipe, ...]:
    """Return the stage of the shipped models' decoder, on the frozen rest."""
    return (COMPACT,)


# The authors' matching costs 2, 70, 7 let the better pose win a person; among near-equal queries
# that is chance, and all end with the same score. These let the higher score win, and grow.
COMPACT = Recipe(
    name='compact',
    data='images',
    steps=4000,
    rate=1e-3,
    schedule='cosine',
    decay_epochs=(),
    final_rate=2e-5,
    offset_rate=0.3,
    weight_decay=0.02,
    warmup_steps=100,
    clip_norm=5.0,
    update_windows=16,
    batch=16,
    average=0.997,
    frozen='trunk',
    # It learns who is how well seen. Moves of keypoints that were learned from some thousand
    # pictures did not hold elsewhere (benchmarks/LOG.md): those stay zero.
    class_weight=1.0,
    keypoint_weight=0.0,
    oks_weight=0.0,
    quality=True,
    match_costs=MatchCosts(classification=3.0, keypoint=10.0, oks=4.0),
    augmentation='canvas',
)

RECIPES = {stages.__name__: stages for stages in (paper, official, finetune, compact)}
