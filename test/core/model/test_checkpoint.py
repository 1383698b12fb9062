from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import load_checkpoint, read_tensors


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


def test_weights_are_read_back(tmp_path: Path) -> None:
    path = tmp_path / 'weights.pt'
    torch.save({'average': {'a': torch.ones(2)}, 'step': 3}, path)
    data = read_tensors(path)
    assert data['step'] == 3
    assert data['average']['a'].tolist() == [1, 1]


@pytest.mark.parametrize(
    ('content', 'reason'),
    [
        (None, 'cannot be read: No such file'),
        (b'', 'no file of weights'),
        (b'just some words', 'no file of weights'),
        (b'\x80\x02not quite a pickle', 'no file of weights'),
        ([1, 2], 'holds a list'),
        (Path('.'), 'no file of weights .* more than tensors'),
    ],
)
def test_anything_else_is_one_sentence(tmp_path: Path, content: object, reason: str) -> None:
    path = tmp_path / 'other.pt'
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(ValueError, match=reason) as e:
        read_tensors(path)
    assert '\n' not in str(e.value)
    with pytest.raises(ValueError, match=r'other.pt: it '):
        load_checkpoint(path)


def test_a_file_that_is_cut_short_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / 'short.pt'
    torch.save({'a': torch.ones(999)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ValueError, match='is damaged'):
        read_tensors(path)
