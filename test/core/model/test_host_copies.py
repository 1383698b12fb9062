"""A decoder's call sends nothing from the host that it must wait for."""

import pytest

torch = pytest.importorskip('torch', reason='needs torch')
pytest.importorskip('timm', reason='needs timm')

from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class WaitsForHost(TorchDispatchMode):
    """Notes operators that take a tensor of the host's to the GPU, which then waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.operators: list[str] = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        leaves = tree_leaves((args, kwargs or {}))
        from_host = any(
            isinstance(x, Tensor) and x.ndim and x.device.type == 'cpu' for x in leaves
        )
        to_gpu = any(isinstance(x, torch.device) and x.type == 'cuda' for x in leaves)
        if from_host and to_gpu and not (kwargs or {}).get('non_blocking'):
            self.operators.append(str(operator))
        return operator(*args, **(kwargs or {}))


def on_pretended_gpu(model: nn.Module) -> None:
    """Give a model tensors without data, on a GPU that need not be there."""
    for module in model.modules():
        for held in (module._parameters, module._buffers):
            for name, x in held.items():
                if x is not None:
                    fake = torch.empty_like(x, device='cuda')
                    held[name] = nn.Parameter(fake) if isinstance(x, nn.Parameter) else fake


@pytest.mark.parametrize('make', ['make_tiny_model', 'make_tiny_pyramid'])
def test_decoders_never_wait_for_the_host(make: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(make)()
    frames = model.config.num_frames
    with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        on_pretended_gpu(model)
        images = torch.empty(frames, 3, 64, 128, device='cuda')
        sizes = torch.empty(frames, 2, dtype=torch.int64, device='cuda')
        memory = model.encode_maps(model.backbone(images), sizes)
        with WaitsForHost() as waits:
            found = model.find_poses(memory)
            best = found.layers[-1].class_logits.topk(2, 1).indices
            model.find_joints(found, best)
    assert waits.operators == []
