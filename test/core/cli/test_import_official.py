from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pavenet_core.cli import main
from pavenet_core.model import PaveNet
from pavenet_core.model.checkpoint import load_checkpoint
from pavenet_core.model.official_checkpoint import FRAME_PREFIXES
from pavenet_core.presets import PRESETS

HEAD = 'bbox_head.transformer.decoder.layers'
WriteOfficial = Callable[[int], tuple[Path, dict[str, torch.Tensor]]]


@pytest.fixture
def write_official(
    tmp_path: Path, official_shapes: dict[str, dict[str, tuple[int, ...]]]
) -> WriteOfficial:
    """Give the writer of a checkpoint of the authors, of 3 frames or of 1, with random numbers."""

    def write(frames: int) -> tuple[Path, dict[str, torch.Tensor]]:
        noise = torch.Generator().manual_seed(0)
        state = {
            name: torch.rand(shape, generator=noise)
            for name, shape in official_shapes['official_r50'].items()
            if frames == 3 or not is_video(name)
        }
        path = tmp_path / 'epoch_20.pth'
        torch.save({'meta': {'epoch': 20}, 'state_dict': state, 'optimizer': {}}, path)
        return path, state

    return write


def is_video(name: str) -> bool:
    return any(word in name for word in (*FRAME_PREFIXES[3][::2], 'sigma', 'flow'))


def test_an_official_file_becomes_a_checkpoint_of_ours(
    write_official: WriteOfficial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, state = write_official(3)
    out = tmp_path / 'runs' / 'official.pt'
    assert main(['import-official', str(path), '--out', str(out)]) == 0
    said = capsys.readouterr().out
    assert '3 frames, 15 keypoints, 3 pose and 2 joint decoder layers' in said
    assert 'left out' not in said and 'start values' not in said
    model = load_checkpoint(out)
    assert model.config == PRESETS['official_r50']
    theirs = state[
        'bbox_head.transformer.decoder.layers.2.attentions.1.next_attention_weights.bias'
    ]
    ours = model.pose_decoder.layers[2].attention.attention_weights.bias.chunk(3)[2]
    assert torch.equal(ours, theirs)
    theirs = state['backbone.layer3.5.conv3.weight']
    assert torch.equal(model.backbone.trunk.layer3[5].conv3.weight, theirs)
    flow = torch.load(out, weights_only=True)['criterion']['pose_flow.s.3.2.weight']
    assert torch.equal(flow, state['bbox_head.dec_flow.s.3.2.weight'])


def test_a_petr_file_is_widened_and_says_what_is_new(
    write_official: WriteOfficial, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, state = write_official(1)
    out = tmp_path / 'start.pt'
    words = ['import-official', str(path), '--out', str(out), '--frames', '3']
    assert main(words) == 0
    said = capsys.readouterr().out
    assert 'petr_r50, 3 frames' in said
    assert 'at their start values' in said and 'sigma_head' in said
    model: PaveNet = load_checkpoint(out)
    theirs = state[f'{HEAD}.0.attentions.1.sampling_offsets.bias']
    for ours in model.pose_decoder.layers[0].attention.sampling_offsets.bias.chunk(3):
        assert torch.equal(ours, theirs)


def test_what_is_no_checkpoint_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'words.pth'
    path.write_text('no weights')
    assert main(['import-official', str(path), '--out', str(tmp_path / 'out.pt')]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f'pavenet: {path}: ')
    assert not (tmp_path / 'out.pt').exists()
