from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import load_checkpoint


@pytest.mark.parametrize(
    ('changed', 'reason'),
    [
        ({'joint_layers': 1}, 'Unexpected key.* "joint_decoder.layers.1'),
        ({'num_queries': 5}, 'size mismatch for '),
        ({'backbone': 'no_such_trunk'}, 'no_such_trunk'),
    ],
)
def test_weights_that_do_not_fit_their_network_are_one_sentence(
    make_tiny_model: Callable[..., PaveNet],
    tmp_path: Path,
    changed: dict[str, object],
    reason: str,
) -> None:
    model, path = make_tiny_model(), tmp_path / 'old.pt'
    config = model.config.to_json() | changed
    torch.save({'config': config, 'average': model.state_dict()}, path)
    with pytest.raises(
        ValueError, match=rf'old.pt is of a network .* trained it \(.*{reason}'
    ) as e:
        load_checkpoint(path)
    assert '\n' not in str(e.value)
