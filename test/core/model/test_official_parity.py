"""
Our network against numbers of the authors' released ones, on the same seeded weights and inputs.

test/golden/README.md tells where the numbers come from and how weights and inputs are made.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from torch import Tensor

from pavenet_core.model import PaveNet
from pavenet_core.model.official_checkpoint import flow_state, head_state
from pavenet_core.model.pavenet import PosesOfWindow
from pavenet_core.model.spatial_encoder import Memory
from pavenet_core.poses import Poses
from pavenet_core.presets import PRESETS
from pavenet_core.runtime.postprocess import select_people, to_poses
from pavenet_core.train.criterion import Criterion
from pavenet_core.train.step import window_losses
from pavenet_core.train.targets import Targets

GOLDEN = Path(__file__).parents[2] / 'golden'
Shapes = dict[str, tuple[int, ...]]
LEVELS = ((20, 28), (10, 14), (5, 7), (3, 4))
VALID = (150, 200)  # height and width, in 160 x 224


@dataclass(frozen=True)
class Release:
    """One of the authors' configurations and the seed of its golden numbers."""

    preset: str
    frames: int
    seed: int
    # Who is missing in the key frame's outputs: golden key by frame.
    other_poses: dict[int, str]

    def numbers(self, kind: str) -> dict[str, np.ndarray]:
        return dict(np.load(GOLDEN / f'{kind}_t{self.frames}_k15.npz'))

    def weights(self, shapes: Shapes) -> dict[str, Tensor]:
        """Make the authors' head from its parameters' names alone, as the recipe says."""
        names = {name.removeprefix('bbox_head.'): shape for name, shape in shapes.items()}
        return {name: self._tensor(name, shape) for name, shape in names.items()}

    def _tensor(self, name: str, sizes: tuple[int, ...]) -> Tensor:
        rng = np.random.RandomState((crc32(name.encode()) + self.seed) & 0x7FFFFFFF)
        x = rng.standard_normal(sizes).astype(np.float32)
        if len(sizes) > 1:
            x = x / np.sqrt(sizes[-1])
        elif '.norms.' in name or 'norm.' in name:
            x = float(name.endswith('weight')) + 0.05 * x
        else:
            x = 0.1 * x
        return torch.from_numpy(x.astype(np.float32))

    def encode(self, net: PaveNet, images: int, base: int) -> Memory:
        """Run the spatial encoder on the recipe's neck features."""
        levels = [
            torch.from_numpy(
                np.random.RandomState(base + index + self.seed)
                .standard_normal((images, 256, *shape))
                .astype(np.float32)
            )
            for index, shape in enumerate(LEVELS)
        ]
        return net.spatial_encoder(levels, torch.tensor([VALID] * images))


RELEASES = (
    Release('official_r50', 3, 7, {0: 'pose_prev', 2: 'pose_next'}),
    Release('official_r50_t5', 5, 19, {0: 'ppose', 1: 'pose_prev', 3: 'pose_next', 4: 'nnpose'}),
)


@dataclass(frozen=True)
class Run:
    """One network with the recipe's weights, and what it found in the recipe's window."""

    release: Release
    model: PaveNet
    found: PosesOfWindow
    golden: dict[str, np.ndarray]
    weights: dict[str, Tensor]

    def people(self) -> Tensor:
        return self.found.layers[-1].class_logits.topk(len(self.golden['topk_idx']), 1).indices


@pytest.fixture(scope='module', params=RELEASES, ids=lambda release: release.preset)
def run(request: pytest.FixtureRequest, official_shapes: dict[str, Shapes]) -> Iterator[Run]:
    """Decode the recipe's window up to the joint decoder."""
    release: Release = request.param
    config = replace(PRESETS[release.preset], dropout=0.0)
    net = PaveNet(config).eval()
    head = {
        name: shape
        for name, shape in official_shapes[release.preset].items()
        if name.startswith('bbox_head.')
    }
    weights = release.weights(head)
    missing, unexpected = net.load_state_dict(head_state(weights, config), strict=False)
    assert not unexpected
    assert all(name.startswith(('backbone.', 'neck.')) for name in missing)
    with torch.no_grad():
        found = net.find_poses(release.encode(net, release.frames, 1000))
    yield Run(release, net, found, release.numbers('head'), weights)


def assert_close(ours: Tensor, theirs: np.ndarray) -> None:
    """Allow 1e-5 of the tensor's own scale."""
    ours = ours.detach().numpy().reshape(theirs.shape)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * max(1, np.abs(theirs).max()))


def test_memory_of_valid_tokens(run: Run) -> None:
    rows = run.golden['memory_rows']
    assert not run.found.memory.padding_mask[0, rows].any()
    assert_close(run.found.memory.tokens[:, rows], run.golden['memory'])


def test_proposals(run: Run) -> None:
    assert_close(run.found.proposals.class_logits, run.golden['enc_cls'])
    assert_close(run.found.proposals.poses, run.golden['enc_kpt'])
    assert_close(run.found.proposals.sigmas, run.golden['enc_sigma'])


def test_every_pose_decoder_layer(run: Run) -> None:
    for index, layer in enumerate(run.found.layers):
        assert_close(layer.class_logits, run.golden['cls'][index])
        assert_close(layer.poses, run.golden['kpt'][index])
        assert_close(layer.sigmas, run.golden['sigma'][index])


def test_poses_in_the_other_frames(run: Run) -> None:
    """The last frame's of five come from the head of the frame before it, as theirs do."""
    for frame, key in run.release.other_poses.items():
        assert_close(run.found.poses[:, frame], run.golden[key])


def test_joint_decoder(run: Run) -> None:
    people = run.people()
    assert people[0].tolist() == run.golden['topk_idx'].tolist()
    with torch.no_grad():
        joints = run.model.find_joints(run.found, people)
    for index, layer in enumerate(joints):
        assert_close(layer.keypoints, run.golden['refine_kpt'][index])
        assert_close(layer.sigmas, run.golden['refine_sigma'][index])


def detections(run: Run) -> Poses:
    """Go from the network's numbers to people as the runtime does; the image was halved."""
    rules = run.model.config.postprocess
    scores = run.found.layers[-1].class_logits[0].sigmoid().numpy()
    people = select_people(scores, 0.0, rules.max_people)
    with torch.no_grad():
        last = run.model.find_joints(run.found, torch.from_numpy(people)[None])[-1]
    size = (2 * VALID[1], 2 * VALID[0])
    joints = (last.keypoints[0].numpy(), last.sigmas[0].numpy())
    return to_poses(0, size, scores[people], *joints, run.model.config.skeleton, rules)


def test_detections(run: Run) -> None:
    """Top-k, clipping, scores, shrinking and suppression of the `official` presets."""
    ours = detections(run)
    assert len(ours) == len(run.golden['det_kpt'])
    np.testing.assert_allclose(ours.keypoints_px, run.golden['det_kpt'][..., :2], atol=5e-4)
    np.testing.assert_allclose(ours.keypoint_scores, run.golden['det_kpt'][..., 2], atol=1e-5)
    np.testing.assert_allclose(ours.scores, run.golden['det_bbox'][:, 4], atol=1e-5)
    low, extent = np.split(ours.bboxes_px, 2, axis=1)
    theirs = run.golden['det_bbox'][:, :4]
    np.testing.assert_allclose(np.hstack([low, low + extent]), theirs, atol=5e-4)


def recipe_targets(golden: dict[str, np.ndarray]) -> list[Targets]:
    persons = [torch.from_numpy(golden[f'gt_kpts_{image}']) for image in range(2)]
    return [
        Targets(
            keypoints=keypoints[..., :2] / torch.tensor([VALID[1], VALID[0]]),
            visible=keypoints[..., 2] > 0,
            areas=torch.from_numpy(golden[f'gt_areas_{image}']),
            image_size=VALID,
            ignore_boxes=torch.zeros(0, 4),
        )
        for image, keypoints in enumerate(persons)
    ]


def test_losses_and_gradients(run: Run) -> None:
    golden, model, release = run.release.numbers('loss'), run.model, run.release
    criterion = Criterion(model.config.skeleton)
    missing, _ = criterion.load_state_dict(flow_state(run.weights), strict=False)
    assert all('mask' in name for name in missing)
    memory = release.encode(model, 2 * release.frames, 2000)
    losses = window_losses(model, criterion, memory, recipe_targets(golden))
    for name, value in losses.items():
        assert value.item() == pytest.approx(float(golden[f'loss/{name}']), rel=1e-5), name
    assert {f'loss/{n}' for n in losses} == {n for n in golden if n.startswith('loss/')}
    model.zero_grad()
    sum(losses.values()).backward()
    key = model.config.key_frame
    heads = model.pose_decoder.keypoint_heads
    value_proj = model.spatial_encoder.layers[0].attention.value_proj
    for ours, theirs in (
        (model.spatial_encoder.level_embedding, 'transformer.level_embeds'),
        (value_proj.weight, 'transformer.encoder.layers.0.attentions.0.value_proj.weight'),
        (heads[0][key - 1][-1].weight, 'pre_kpt_branches.0.6.weight'),
    ):
        # Float32 itself is no closer: gradients of bilinear sampling jump at pixel borders.
        expected = float(golden[f'gradnorm/{theirs}'])
        assert ours.grad.norm().item() == pytest.approx(expected, rel=2e-4), theirs
    # The last layer's poses in other frames only start the joint decoder, behind a stop-gradient.
    last = heads[-1][key - 1][-1].weight.grad
    assert last is None or not last.any()
