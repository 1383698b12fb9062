"""
Our network against numbers of the authors' released one, on the same seeded weights and inputs.

test/golden/README.md tells where the numbers come from and how weights and inputs are made.
"""

from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pavenet_core.config import ModelConfig
from pavenet_core.model import PaveNet
from pavenet_core.model.official_checkpoint import flow_state, head_state
from pavenet_core.model.pavenet import PosesOfWindow
from pavenet_core.model.spatial_encoder import Memory
from pavenet_core.train.criterion import Criterion
from pavenet_core.train.step import window_losses
from pavenet_core.train.targets import Targets

GOLDEN = Path(__file__).parents[2] / 'golden'
CONFIG = ModelConfig(joint_layers=2, dropout=0.0)  # as the authors' released configurations
LEVELS = ((20, 28), (10, 14), (5, 7), (3, 4))
PADDED, VALID = (160, 224), (150, 200)


def official_tensor(name: str, shape: torch.Size) -> Tensor:
    """Make one of the authors' parameters from its name alone, as the golden recipe says."""
    rng = np.random.RandomState((crc32(name.encode()) + 7) & 0x7FFFFFFF)
    x = rng.standard_normal(tuple(shape)).astype(np.float32)
    if len(shape) > 1:
        x = x / np.sqrt(shape[-1])
    elif '.norms.' in name or 'norm.' in name:
        x = float(name.endswith('weight')) + 0.05 * x
    else:
        x = 0.1 * x
    return torch.from_numpy(x.astype(np.float32))


class Reader:
    """Answer the converter's question for an official tensor; its shape comes from ours."""

    def __init__(self, model: nn.Module, convert: object) -> None:
        self.names: list[str] = []
        shapes = {k: v.shape for k, v in model.state_dict().items()}
        self.shapes: dict[str, torch.Size] = {}
        probe = convert(self._probe)
        for ours, tensor in probe.items():
            marks = tensor.flatten().long()
            for mark in marks.tolist():
                self._learn(self.names[mark], ours, shapes[ours], len(marks))

    def _probe(self, name: str) -> Tensor:
        self.names.append(name)
        width = 2 if 'embedding' in name else 1
        return torch.full((1, width), float(len(self.names) - 1))

    def _learn(self, name: str, ours: str, shape: torch.Size, parts: int) -> None:
        if 'embedding' in name:
            shape = torch.Size((shape[0], 2 * shape[1]))
        elif parts > 1:
            shape = torch.Size((shape[0] // parts, *shape[1:]))
        self.shapes[name] = shape

    def __call__(self, name: str) -> Tensor:
        return official_tensor(name, self.shapes[name])


@pytest.fixture(scope='module')
def model() -> PaveNet:
    """Build the released R50 network with the recipe's weights after the neck."""
    net = PaveNet(CONFIG).eval()
    state = head_state(Reader(net, lambda read: head_state(read, CONFIG)), CONFIG)
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected
    assert all(name.startswith(('backbone.', 'neck.')) for name in missing)
    return net


def encode(net: PaveNet, images: int, seed: int) -> Memory:
    """Run the spatial encoder on the recipe's neck features."""
    levels = [
        torch.from_numpy(
            np.random.RandomState(seed + index + 7)
            .standard_normal((images, 256, *shape))
            .astype(np.float32)
        )
        for index, shape in enumerate(LEVELS)
    ]
    return net.spatial_encoder(levels, torch.tensor([VALID] * images), PADDED)


@pytest.fixture(scope='module')
def found(model: PaveNet) -> PosesOfWindow:
    """Decode the recipe's window up to the joint decoder."""
    with torch.no_grad():
        return model.find_poses(encode(model, 3, 1000))


@pytest.fixture(scope='module')
def golden() -> dict[str, np.ndarray]:
    """Load the authors' numbers."""
    return dict(np.load(GOLDEN / 'head_t3_k15.npz'))


def assert_close(ours: Tensor, theirs: np.ndarray) -> None:
    """Allow 1e-5 of the tensor's own scale."""
    ours = ours.detach().numpy().reshape(theirs.shape)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5 * max(1, np.abs(theirs).max()))


def test_memory_of_valid_tokens(found: PosesOfWindow, golden: dict[str, np.ndarray]) -> None:
    valid = ~found.memory.padding_mask[0]
    rows = golden['memory_rows']
    assert valid[rows].all()
    assert_close(found.memory.tokens[:, rows], golden['memory'])


def test_proposals(found: PosesOfWindow, golden: dict[str, np.ndarray]) -> None:
    assert_close(found.proposals.class_logits, golden['enc_cls'])
    assert_close(found.proposals.poses, golden['enc_kpt'])
    assert_close(found.proposals.sigmas, golden['enc_sigma'])


def test_every_pose_decoder_layer(found: PosesOfWindow, golden: dict[str, np.ndarray]) -> None:
    for index, layer in enumerate(found.layers):
        assert_close(layer.class_logits, golden['cls'][index])
        assert_close(layer.poses, golden['kpt'][index])
        assert_close(layer.sigmas, golden['sigma'][index])


def test_poses_in_the_other_frames(found: PosesOfWindow, golden: dict[str, np.ndarray]) -> None:
    assert_close(found.poses[:, 0], golden['pose_prev'])
    assert_close(found.poses[:, 2], golden['pose_next'])


def test_joint_decoder(
    model: PaveNet, found: PosesOfWindow, golden: dict[str, np.ndarray]
) -> None:
    people = found.layers[-1].class_logits.topk(20, 1).indices
    assert people[0].tolist() == golden['topk_idx'].tolist()
    with torch.no_grad():
        joints = model.find_joints(found, people)
    for index, layer in enumerate(joints):
        assert_close(layer.keypoints, golden['refine_kpt'][index])
        assert_close(layer.sigmas, golden['refine_sigma'][index])


def test_losses_and_gradients(model: PaveNet) -> None:
    golden = np.load(GOLDEN / 'loss_t3_k15.npz')
    criterion = Criterion(CONFIG.skeleton)
    state = flow_state(Reader(criterion, flow_state))
    assert all('mask' in name for name in criterion.load_state_dict(state, strict=False)[0])
    targets = []
    for image in range(2):
        persons = torch.from_numpy(golden[f'gt_kpts_{image}'])
        targets.append(
            Targets(
                keypoints=persons[..., :2] / torch.tensor([VALID[1], VALID[0]]),
                visible=persons[..., 2] > 0,
                areas=torch.from_numpy(golden[f'gt_areas_{image}']),
                image_size=VALID,
                ignore_boxes=torch.zeros(0, 4),
            )
        )
    losses = window_losses(model, criterion, encode(model, 6, 2000), targets)
    for name, value in losses.items():
        assert value.item() == pytest.approx(float(golden[f'loss/{name}']), rel=2e-5), name
    assert {f'loss/{n}' for n in losses} == {n for n in golden.files if n.startswith('loss/')}
    model.zero_grad()
    sum(losses.values()).backward()
    assert model.spatial_encoder.level_embedding.grad.norm().item() == pytest.approx(
        float(golden['gradnorm/transformer.level_embeds']), rel=1e-3
    )
    value = model.spatial_encoder.layers[0].attention.value_proj.weight.grad.norm().item()
    assert value == pytest.approx(
        float(golden['gradnorm/transformer.encoder.layers.0.attentions.0.value_proj.weight']),
        rel=1e-3,
    )
    # The last layer's poses in other frames only start the joint decoder, behind a stop-gradient.
    head = model.pose_decoder.keypoint_heads
    first, last = head[0][0][-1].weight.grad, head[-1][0][-1].weight.grad
    assert first.norm().item() == pytest.approx(
        float(golden['gradnorm/pre_kpt_branches.0.6.weight']), rel=1e-3
    )
    assert last is None or not last.any()
