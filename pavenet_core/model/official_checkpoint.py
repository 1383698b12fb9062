"""The authors' parameter names, turned into ours; the only file that spells `pre_` and `next_`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pavenet_core.config import ModelConfig
from pavenet_core.model.checkpoint import read_tensors
from pavenet_core.model.official_backbone import backbone_state, neck_state
from pavenet_core.model.official_config import HEAD, official_config

FRAME_PREFIXES = {
    1: ('',),
    3: ('pre_', '', 'next_'),
    5: ('pre_pre_', 'pre_', '', 'next_', 'next_next_'),
}
# What no forward pass of theirs reads: an unused heat map, its encoder, and constants.
UNUSED = re.compile(
    r'bbox_head\.(fc_hm\.|transformer\.hm_encoder\.|(enc_|dec_)?flow\.mask$)'
    r'|.*\.num_batches_tracked$'
)
# What PAVE-Net has and the image model PETR has not.
NOT_IN_PETR = re.compile(
    r'(dec_fc_sigma|refine_fc_sigma)_branches\.|(enc_|dec_)?flow\.|.*\.num_batches_tracked$'
)
MAY_LACK = re.compile(r'.*\.num_batches_tracked$')

Read = Callable[[str], Tensor]


@dataclass(frozen=True)
class OfficialModel:
    """
    An official checkpoint in our words.

    network  state of `PaveNet(config)`, all of it but, of a PETR, the sigma heads
    flows    state of the criterion's flows; of a PETR nothing
    ignored  official tensors without a place here, by name
    """

    config: ModelConfig
    network: dict[str, Tensor]
    flows: dict[str, Tensor]
    ignored: list[str]


class _Tensors:
    """Hand out official tensors by name, and remember which were asked for."""

    def __init__(self, tensors: Mapping[str, Tensor], may_lack: re.Pattern[str]) -> None:
        self.tensors, self.may_lack = tensors, may_lack
        self.used: set[str] = set()
        self.missing: list[str] = []

    def under(self, prefix: str) -> Read:
        """Return a reader of the names under a prefix; what is not there reads as empty."""

        def read(name: str) -> Tensor:
            tensor = self.tensors.get(prefix + name)
            if tensor is None:
                if not self.may_lack.match(name):
                    self.missing.append(prefix + name)
                return torch.empty(0, 4)  # splits as any of theirs does
            self.used.add(prefix + name)
            return tensor

        return read


def read_official(path: Path, *, tie_joint_offsets: bool = False) -> OfficialModel:
    """
    Read an official mmcv checkpoint file; raise `ValueError` if it is none.

    See `from_official`.
    """
    try:
        tensors = tensors_in(read_tensors(path))
        return from_official(tensors, tie_joint_offsets=tie_joint_offsets)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


def from_official(
    official: Mapping[str, Tensor], *, tie_joint_offsets: bool = False
) -> OfficialModel:
    """
    Take over a state of the authors: PAVE-Net of any trunk and number of frames, or PETR.

    tie_joint_offsets  give all frames the last one's sampling biases in the joint decoder, as
                       the authors' stand-alone test script does by sharing their storage

    Raise `ValueError` if it is neither or lacks tensors, naming them.
    """
    config = official_config(official)
    tensors = _Tensors(official, NOT_IN_PETR if config.num_frames == 1 else MAY_LACK)
    network = backbone_state(tensors.under('backbone.'), config)
    network |= neck_state(tensors.under('neck.'), config)
    network |= head_state(tensors.under(HEAD), config)
    flows = flow_state(tensors.under(HEAD))
    if tensors.missing:
        raise ValueError(
            f'{len(tensors.missing)} tensors are not there: {", ".join(tensors.missing[:9])}'
        )
    network = {name: tensor for name, tensor in network.items() if tensor.numel()}
    if tie_joint_offsets:
        tie_offset_biases(network, config)
    left = [n for n in official if n not in tensors.used and not UNUSED.match(n)]
    flows = {name: tensor for name, tensor in flows.items() if tensor.numel()}
    return OfficialModel(config, network, flows, left)


def tie_offset_biases(network: dict[str, Tensor], config: ModelConfig) -> None:
    """Give the joint decoder's frames the last one's biases of the sampling offsets."""
    for layer in range(config.joint_layers):
        name = f'joint_decoder.layers.{layer}.attention.sampling_offsets.bias'
        last = network[name].chunk(config.num_frames)[-1]
        network[name] = last.repeat(config.num_frames)


def tensors_in(data: dict[str, Any]) -> dict[str, Tensor]:
    """Return the tensors of an mmcv checkpoint, or of a bare state; else raise `ValueError`."""
    state = data.get('state_dict', data)
    if not isinstance(state, dict):
        raise ValueError('its state_dict is no dictionary of weights')
    return {
        str(name).removeprefix('module.'): tensor
        for name, tensor in state.items()
        if isinstance(tensor, Tensor)
    }


def head_state(official: Mapping[str, Tensor] | Read, config: ModelConfig) -> dict[str, Tensor]:
    """
    Return our state of everything after the neck.

    official  the authors' tensors by their name without `bbox_head.`, as a mapping or a function
    """
    read = official if callable(official) else official.__getitem__
    state: dict[str, Tensor] = {}
    state['spatial_encoder.level_embedding'] = read('transformer.level_embeds')
    for i in range(config.encoder_layers):
        _encoder_layer(
            state, f'spatial_encoder.layers.{i}', f'transformer.encoder.layers.{i}', read
        )
    _query_selection(state, read, config)
    _pose_decoder(state, read, config)
    _joint_decoder(state, read, config)
    return state


def flow_state(official: Mapping[str, Tensor] | Read) -> dict[str, Tensor]:
    """Return the state of the criterion's three flows, the masks left out."""
    read = official if callable(official) else official.__getitem__
    names = {'proposal_flow': 'enc_flow', 'pose_flow': 'dec_flow', 'joint_flow': 'flow'}
    return {
        f'{ours}.{leaf}': read(f'{theirs}.{leaf}')
        for ours, theirs in names.items()
        for net in 'st'
        for i in range(6)
        for layer in (0, 2, 4)
        for leaf in (f'{net}.{i}.{layer}.weight', f'{net}.{i}.{layer}.bias')
    }


def _copy(state: dict[str, Tensor], ours: str, theirs: str, read: Read) -> None:
    """Copy one layer's weight and bias."""
    for leaf in ('weight', 'bias'):
        state[f'{ours}.{leaf}'] = read(f'{theirs}.{leaf}')


def _copy_mlp(
    state: dict[str, Tensor], ours: str, theirs: str, read: Read, layers: tuple[int, ...]
) -> None:
    for layer in layers:
        _copy(state, f'{ours}.{layer}', f'{theirs}.{layer}', read)


def _copy_sigma_head(state: dict[str, Tensor], ours: str, theirs: str, read: Read) -> None:
    for layer, name in enumerate(('0', '1', '2.linear')):
        _copy(state, f'{ours}.{layer}', f'{theirs}.{name}', read)


def _copy_feed_forward(state: dict[str, Tensor], ours: str, theirs: str, read: Read) -> None:
    _copy(state, f'{ours}.feed_forward.layers.0', f'{theirs}.ffns.0.layers.0.0', read)
    _copy(state, f'{ours}.feed_forward.layers.3', f'{theirs}.ffns.0.layers.1', read)


def _encoder_layer(state: dict[str, Tensor], ours: str, theirs: str, read: Read) -> None:
    for part in ('sampling_offsets', 'attention_weights', 'value_proj', 'output_proj'):
        _copy(state, f'{ours}.attention.{part}', f'{theirs}.attentions.0.{part}', read)
    _copy_feed_forward(state, ours, theirs, read)
    for i in range(2):
        _copy(state, f'{ours}.norm{i + 1}', f'{theirs}.norms.{i}', read)


def _decoder_layer(
    state: dict[str, Tensor], ours: str, theirs: str, read: Read, config: ModelConfig
) -> None:
    """Copy one layer of either decoder, its per-frame linear layers joined frame by frame."""
    attention = f'{theirs}.attentions.0.attn'
    for leaf in ('in_proj_weight', 'in_proj_bias', 'out_proj.weight', 'out_proj.bias'):
        state[f'{ours}.self_attention.{leaf}'] = read(f'{attention}.{leaf}')
    for part in ('sampling_offsets', 'attention_weights'):
        for leaf in ('weight', 'bias'):
            frames = [
                read(f'{theirs}.attentions.1.{prefix}{part}.{leaf}')
                for prefix in FRAME_PREFIXES[config.num_frames]
            ]
            state[f'{ours}.attention.{part}.{leaf}'] = torch.cat(frames)
    for part in ('value_proj', 'output_proj'):
        _copy(state, f'{ours}.attention.{part}', f'{theirs}.attentions.1.{part}', read)
    _copy_feed_forward(state, ours, theirs, read)
    for i in range(3):
        _copy(state, f'{ours}.norm{i + 1}', f'{theirs}.norms.{i}', read)


def _query_selection(state: dict[str, Tensor], read: Read, config: ModelConfig) -> None:
    """Copy the proposal heads; the authors keep them as the clones after the decoder's."""
    last = config.pose_layers
    _copy(state, 'query_selection.output', 'transformer.enc_output', read)
    _copy(state, 'query_selection.norm', 'transformer.enc_output_norm', read)
    _copy(state, 'query_selection.class_head', f'cls_branches.{last}', read)
    _copy_mlp(state, 'query_selection.keypoint_head', f'kpt_branches.{last}', read, (0, 2, 4, 6))
    _copy_sigma_head(state, 'query_selection.sigma_head', f'dec_fc_sigma_branches.{last}', read)
    position, content = read('query_embedding.weight').chunk(2, 1)
    state['pose_decoder.query_pos'], state['query_selection.content'] = position, content


def _pose_decoder(state: dict[str, Tensor], read: Read, config: ModelConfig) -> None:
    for i in range(config.pose_layers):
        _decoder_layer(
            state, f'pose_decoder.layers.{i}', f'transformer.decoder.layers.{i}', read, config
        )
        _copy(state, f'pose_decoder.class_heads.{i}', f'cls_branches.{i}', read)
        _copy_sigma_head(
            state, f'pose_decoder.sigma_heads.{i}', f'dec_fc_sigma_branches.{i}', read
        )
        for frame, prefix in enumerate(FRAME_PREFIXES[config.num_frames]):
            _copy_mlp(
                state,
                f'pose_decoder.keypoint_heads.{i}.{frame}',
                f'{prefix}kpt_branches.{i}',
                read,
                (0, 2, 4, 6),
            )


def _joint_decoder(state: dict[str, Tensor], read: Read, config: ModelConfig) -> None:
    position, content = read('transformer.refine_query_embedding.weight').chunk(2, 1)
    state['joint_decoder.query_pos'], state['joint_decoder.content'] = position, content
    for i in range(config.joint_layers):
        _decoder_layer(
            state,
            f'joint_decoder.layers.{i}',
            f'transformer.refine_decoder.layers.{i}',
            read,
            config,
        )
        _copy_sigma_head(
            state, f'joint_decoder.sigma_heads.{i}', f'refine_fc_sigma_branches.{i}', read
        )
        for frame, prefix in enumerate(FRAME_PREFIXES[config.num_frames]):
            _copy_mlp(
                state,
                f'joint_decoder.keypoint_heads.{i}.{frame}',
                f'{prefix}refine_kpt_branches.{i}',
                read,
                (0, 2, 4),
            )
