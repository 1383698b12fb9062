"""The network with the kernel in it equals the network with the torch form."""

from collections.abc import Callable

import pytest

torch = pytest.importorskip('torch', reason='needs torch')
pytest.importorskip('timm', reason='needs timm')

from pavenet_core.model import PaveNet
from pavenet_core.model.deformable_attention import TokenValues
from pavenet_core.ops import attention

SIZES = torch.tensor([[64, 96], [50, 70]])
SYSTEMS = {
    'paper': {},
    'one frame': {'num_frames': 1},
    'spatiotemporal encoder': {'spatiotemporal_encoder': True},
    'pose decoder of one frame': {'temporal_pose_decoder': False},
}


@pytest.fixture
def forced(simulated_gpu: None, monkeypatch: pytest.MonkeyPatch):
    """Return a switch that sends CPU tensors to the kernel of the simulated GPU, or not."""

    def switch(on: bool) -> None:
        monkeypatch.setattr(attention, 'is_on_gpu', lambda tensor: on)
        monkeypatch.setattr(attention, 'is_available', lambda: True)

    return switch


@pytest.mark.parametrize('system', SYSTEMS)
def test_results_and_gradients_are_the_same(
    forced, make_tiny_model: Callable[..., PaveNet], system: str
) -> None:
    model = make_tiny_model(**SYSTEMS[system])
    images = torch.randn(2, model.config.num_frames, 3, 64, 96)
    found, gradients = [], []
    for on in (True, False):
        forced(on)
        model.zero_grad()
        poses, joints = model(images, SIZES, 3)
        found.append([*poses, *joints])
        sum(x.square().sum() for x in found[-1]).backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    assert gradients[0].keys() == gradients[1].keys()
    most = max(float(gradient.abs().max()) for gradient in gradients[1].values())
    for name, gradient in gradients[0].items():
        scale = float(gradients[1][name].abs().max())
        # A bias before a norm has a gradient of rounding alone.
        close = {'rtol': 1e-3, 'atol': 1e-4 * scale + 1e-7 * most}
        torch.testing.assert_close(gradient, gradients[1][name], **close)


def test_the_kernel_is_really_asked(forced, make_tiny_model: Callable[..., PaveNet]) -> None:
    model = make_tiny_model().eval()
    forced(True)
    memory = model.encode(torch.randn(2, 3, 64, 96), SIZES)
    values = model.frame_values(model.pose_decoder, memory)
    assert all(isinstance(x, TokenValues) for x in values)
    assert values[0].tokens.data_ptr() == values[0].tokens.contiguous().data_ptr()


@pytest.mark.filterwarnings('ignore')  # of the compiler's own imports
@pytest.mark.parametrize('system', ['paper', 'one frame'])
def test_it_compiles_into_one_graph(
    forced, make_tiny_model: Callable[..., PaveNet], system: str
) -> None:
    model = make_tiny_model(**SYSTEMS[system]).requires_grad_(False)
    forced(True)
    # `encode` reads the sizes on the host, which is a break of its own.
    model.encode = lambda images, sizes: model.encode_maps(model.backbone(images), sizes)
    given = torch.randn(2, model.config.num_frames, 3, 64, 96), SIZES, 3
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    with torch.inference_mode():
        for ours, theirs in zip(compiled(*given), model(*given), strict=True):
            torch.testing.assert_close([*ours], [*theirs], rtol=1e-4, atol=1e-5)
