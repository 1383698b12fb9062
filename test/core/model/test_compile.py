"""torch.export and torch.compile take the network as it is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from pavenet_core.model import PaveNet

MakeModel = Callable[..., PaveNet]


class KeypointsOf(nn.Module):
    """The network with its number of people fixed, as the exporter wants it."""

    def __init__(self, model: PaveNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor, valid_sizes: Tensor) -> Tensor:
        return self.model(images, valid_sizes, 5)[1].keypoints


def windows(batch: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    noise = torch.Generator().manual_seed(batch)
    images = torch.randn(batch, 3, 3, height, width, generator=noise)
    return images, torch.tensor([[height, width]] * batch)


def test_the_whole_network_exports_with_free_sizes(make_tiny_model: MakeModel) -> None:
    network = KeypointsOf(make_tiny_model())
    height, width = 32 * Dim('rows', min=3, max=64), 32 * Dim('columns', min=3, max=64)
    batch = Dim('batch', min=1)
    free = ({0: batch, 3: height, 4: width}, {0: batch})
    program = torch.export.export(network, windows(2, 128, 160), dynamic_shapes=free)
    for example in (windows(2, 128, 160), windows(3, 96, 192)):
        with torch.inference_mode():
            torch.testing.assert_close(program.module()(*example), network(*example))


@pytest.mark.filterwarnings('ignore')  # of the compiler's own imports
def test_the_compiled_network_gives_the_same_forward_and_backward(
    make_tiny_model: MakeModel,
) -> None:
    """Capture, autograd and decompositions; what a code generator makes of it is its affair."""
    network = KeypointsOf(make_tiny_model())
    compiled = torch.compile(network, backend='aot_eager')
    weight = network.model.spatial_encoder.layers[0].attention.value_proj.weight
    for example in (windows(1, 96, 128), windows(2, 128, 96)):
        results = []
        for run in (network, compiled):
            keypoints = run(*example)
            (grad,) = torch.autograd.grad(keypoints.square().sum(), weight)
            results.append((keypoints, grad))
        torch.testing.assert_close(*results, rtol=1e-4, atol=1e-5)
