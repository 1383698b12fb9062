"""Whole checkpoints of the authors, by the names and shapes of test/golden/state_dict.tsv.gz."""

import re
from collections.abc import Callable

import pytest
import torch
from timm.models.swin_transformer import get_relative_position_index
from torch import Tensor

from pavenet_core.model import PaveNet
from pavenet_core.model.official_checkpoint import OfficialModel, from_official
from pavenet_core.presets import PRESETS
from pavenet_core.skeleton import COCO17
from pavenet_core.train.criterion import Criterion

RELEASES = (
    *('official_r50', 'official_r50_t5', 'official_swin_l', 'official_swin_l_t5'),
    'official_hrnet_w48',
)
State = dict[str, Tensor]
Release = Callable[..., State]


@pytest.fixture
def release(official_shapes: dict[str, dict[str, tuple[int, ...]]]) -> Release:
    """Give the maker of a state of the right names and shapes that takes no memory."""

    def make(preset: str = 'official_r50') -> State:
        return {
            name: get_relative_position_index(7, 7)
            if name.endswith('relative_position_index')
            else torch.zeros(()).expand(shape)
            for name, shape in official_shapes[preset].items()
        }

    return make


def shapes(state: State) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}


def fills(model: OfficialModel) -> None:
    """Assert that network and flows are filled, each tensor with one of its shape."""
    with torch.device('meta'):
        network, criterion = PaveNet(model.config), Criterion(model.config.skeleton)
    assert shapes(model.network) == shapes(network.state_dict())
    flows = shapes(criterion.state_dict())
    assert shapes(model.flows) == {k: v for k, v in flows.items() if 'mask' not in k}


@pytest.mark.parametrize('preset', RELEASES)
def test_every_tensor_of_a_release_finds_its_place(release: Release, preset: str) -> None:
    model = from_official(release(preset))
    assert model.config == PRESETS[preset]
    assert model.ignored == []
    fills(model)


def with_17_keypoints(state: State) -> State:
    """Widen what depends on the keypoints, as in the authors' COCO stage."""
    sizes = {960: 1088, 480: 544, 30: 34}
    pose = re.compile(
        r'bbox_head\.(transformer\.decoder\..*(offsets|attention_weights)|\w*branches)'
    )
    wide = {}
    for name, tensor in state.items():
        shape = list(tensor.shape)
        if pose.match(name) and shape:
            shape[0] = sizes.get(shape[0], shape[0])
        elif 'refine_query_embedding' in name or 'fc_hm' in name:
            shape[0] = 17
        wide[name] = torch.zeros(()).expand(shape)
    return wide


def with_three_joint_layers(state: State) -> State:
    """Add a third layer like the second."""
    second = re.compile(
        r'(.*(?:refine_decoder\.layers|refine_kpt_branches|refine_fc_sigma_branches))\.1\.'
    )
    more = {second.sub(r'\1.2.', n): t for n, t in state.items() if second.match(n)}
    return state | more


def test_keypoints_and_layers_are_read_from_the_shapes(release: Release) -> None:
    model = from_official(with_three_joint_layers(with_17_keypoints(release())))
    assert model.config.skeleton == COCO17
    assert model.config.joint_layers == 3
    fills(model)


def petr(state: State) -> State:
    """Keep what the image model has, and give it the heat-map encoder that it also has."""
    video = re.compile(r'.*(pre_|next_|sigma|flow)')
    image = {name: tensor for name, tensor in state.items() if not video.match(name)}
    return image | {'bbox_head.transformer.hm_encoder.layers.0.norms.0.weight': torch.zeros(256)}


def test_petr_is_an_image_model_that_lacks_spreads(release: Release) -> None:
    model = from_official(petr(with_17_keypoints(release())))
    assert (model.config.name, model.config.num_frames) == ('petr_r50', 1)
    assert model.ignored == [] and model.flows == {}
    with torch.device('meta'):
        network = PaveNet(model.config)
    fresh = network.load_state_dict(model.network, strict=False, assign=True).missing_keys
    assert fresh and all('sigma_head' in name for name in fresh)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (lambda s: s.pop('bbox_head.transformer.level_embeds'), 'neither PAVE-Net nor PETR'),
        (lambda s: s.pop('neck.convs.1.gn.bias'), '1 tensors are not there: neck.convs.1.gn.bias'),
        (lambda s: s.pop('backbone.layer3.5.conv3.weight'), r'residual blocks \(3, 4, 5, 3\)'),
        (
            lambda s: s.update({'bbox_head.kpt_branches.0.6.weight': torch.zeros(28, 512)}),
            'has 14 keypoints',
        ),
    ],
)
def test_what_is_no_release_is_refused_by_name(
    release: Release, change: Callable[[State], object], sentence: str
) -> None:
    state = release()
    change(state)
    with pytest.raises(ValueError, match=sentence):
        from_official(state)


def test_a_tensor_without_a_place_is_named(release: Release) -> None:
    state = release() | {'bbox_head.novelty.weight': torch.zeros(3)}
    assert from_official(state).ignored == ['bbox_head.novelty.weight']


def test_tied_offsets_are_the_last_frames(release: Release) -> None:
    state = release('official_r50_t5')
    name = 'bbox_head.transformer.refine_decoder.layers.1.attentions.1.{}sampling_offsets.bias'
    for value, prefix in enumerate(('pre_pre_', 'pre_', '', 'next_', 'next_next_')):
        state[name.format(prefix)] = torch.full((256,), float(value))
    ours = 'joint_decoder.layers.1.attention.sampling_offsets.bias'
    untied = from_official(state).network[ours].view(5, -1)
    assert untied[:, 0].tolist() == [0, 1, 2, 3, 4]
    tied = from_official(state, tie_joint_offsets=True).network[ours]
    assert tied.unique().tolist() == [4]
