"""One training step: memory in, losses out."""

from torch import Tensor

from pavenet_core.model import PaveNet
from pavenet_core.model.peak_selection import HeatMaps
from pavenet_core.model.pyramid import PyramidMemory
from pavenet_core.model.spatial_encoder import Memory
from pavenet_core.train.criterion import Criterion
from pavenet_core.train.heat_loss import heat_losses
from pavenet_core.train.matcher import Matches
from pavenet_core.train.targets import BatchTargets, Targets


def window_losses(
    model: PaveNet,
    criterion: Criterion,
    memory: Memory | PyramidMemory,
    targets: list[Targets],
) -> dict[str, Tensor]:
    """
    Return the weighted losses of a batch of windows, by the authors' names.

    Who was matched in the last pose decoder layer goes on to the joint decoder.
    """
    people = BatchTargets.of(targets, memory.valid_counts.device)
    found = model.find_poses(memory)
    heat: dict[str, Tensor] = {}
    proposals = found.proposals
    if isinstance(proposals, HeatMaps):
        key = memory.frame(model.config.key_frame, model.config.num_frames)
        heat = heat_losses(proposals, people, key.valid_counts[:, 0])
        proposals = None
    matches = criterion.match(proposals, found.layers, people)
    joints = model.find_joints(found, by_image(matches[-1], people))
    return heat | criterion(proposals, found.layers, joints, people, matches)


def by_image(matches: Matches, targets: BatchTargets) -> Tensor:
    """Lay matched candidates out as (B, P), filled up with 0; P is at least 1."""
    most = max(1, int(targets.counts.max()))
    rows = matches.candidates.new_zeros(len(targets.counts), most)
    return rows.index_put((matches.images, matches.slots), matches.candidates)
