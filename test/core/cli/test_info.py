import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pavenet_core.bundle import load_bundle, save_metadata
from pavenet_core.cli import info, main
from pavenet_core.presets import PRESETS

POSE_PARAMETERS = 1_153_433  # of the compact network with three frames


@pytest.fixture
def compact_like(write_bundle: Callable[..., Path], tmp_path: Path) -> Path:
    """Make a bundle that says it is the compact network, with five frames of another size."""
    from dataclasses import replace

    path = write_bundle(tmp_path / 'bundle', num_joint_layers=0)
    metadata = replace(
        load_bundle(path).metadata,
        name='compact',
        num_frames=5,
        input_long_side=320,
        input_alignment=64,
        num_levels=8,
        num_pose_layers=1,
        max_people=60,
    )
    save_metadata(path, metadata)
    return path


def printed(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(['info', *map(str, words)]) == 0
    return capsys.readouterr().out


def test_info_says_what_the_bundle_is(stand_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, stand_in)
    for fact in ('stand-in', 'coco17, 17 keypoints: nose', 'num_frames', 'images', str(stand_in)):
        assert fact in text
    assert 'licence                 unknown' in text
    assert '  images                0' in text
    assert text.endswith(f'{info.NO_PRESET}\n')


def test_info_gives_the_metadata_as_json(
    stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = json.loads((stand_in / 'metadata.json').read_text())
    assert json.loads(printed(capsys, stand_in, '--json')) == {'bundle': written, 'network': None}


def test_a_shipped_bundle_of_a_presets_name_has_both(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('timm', reason='needs torch and timm')
    facts, table = printed(capsys, 'compact').split('\n\n')
    assert 'folder' in facts
    assert table.startswith('compact: T=3, pictures of 384x512, 60 queries, 20 people\n')
    assert f'pose decoder (STPD)     {POSE_PARAMETERS:,}' in table


def test_the_table_is_of_the_bundles_frames_and_pictures(
    compact_like: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('timm', reason='needs torch and timm')
    text = printed(capsys, compact_like)
    assert 'compact: T=5, pictures of 240x320 padded to 256x320' in text


def test_a_bundle_that_contradicts_its_preset_has_no_table(
    compact_like: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = json.loads((compact_like / 'metadata.json').read_text())
    (compact_like / 'metadata.json').write_text(json.dumps({**metadata, 'max_people': 61}))
    assert info.NO_PRESET in printed(capsys, compact_like)


def test_without_torch_a_bundle_still_has_its_facts(
    compact_like: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(info, 'find_spec', lambda _name: None)
    facts, rest = printed(capsys, compact_like).split('\n\n')
    assert 'num_frames' in facts
    assert rest == f'{info.NO_TORCH}\n'


def test_a_preset_is_a_table_of_modules(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('timm', reason='needs torch and timm')
    words = ('official_r50', '--size', '512x512', '--people', '7')
    lines = printed(capsys, *words).splitlines()
    assert lines[0] == 'official_r50: T=3, pictures of 512x512, 300 queries, 7 people'
    rows = {line[:21].strip(): line[21:].split() for line in lines[3:10]}
    assert rows['backbone'][:2] == ['23,508,032', '46.3%']
    assert rows['total'][:2] == ['50,785,944', '100.0%']
    frame, window, stream, _ = map(float, rows['total'][2:])
    assert stream == pytest.approx(frame + window, abs=2e-3)
    assert max(map(len, lines)) < 100


def test_a_preset_as_json_has_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip('timm', reason='needs torch and timm')
    data = json.loads(printed(capsys, 'r50', '--size', '64x90', '--json'))
    network = data['network']
    assert data['bundle'] is None
    assert network['config'] == json.loads(json.dumps(PRESETS['r50'].to_json()))
    assert (network['size'], network['canvas']) == ([64, 90], [64, 96])
    for key in ('parameters', 'frame', 'window', 'stream', 'scratch'):
        values = [module[key] for module in network['modules'].values()]
        assert all(isinstance(value, int) for value in values)
        assert sum(values) == network['total'][key]
    assert sum(m['share'] for m in network['modules'].values()) == pytest.approx(1)


def test_a_checkpoint_says_what_network_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip('torch', reason='needs torch')
    pytest.importorskip('timm', reason='needs timm')
    from pavenet_core.model import PaveNet

    config = PRESETS['compact'].with_frames(1)
    path = tmp_path / 'checkpoint.pt'
    torch.save({'config': config.to_json(), 'average': PaveNet(config).state_dict()}, path)
    assert 'compact: T=1, pictures of 384x512' in printed(capsys, path)


def test_the_pose_decoder_is_as_large_as_the_table_says(
    compact_like: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('timm', reason='needs torch and timm')
    metadata = json.loads((compact_like / 'metadata.json').read_text())
    (compact_like / 'metadata.json').write_text(json.dumps({**metadata, 'num_frames': 3}))
    assert f'pose decoder (STPD)     {POSE_PARAMETERS:,}' in printed(capsys, compact_like)


def test_an_unknown_name_gets_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['info', 'resnet']) == 1
    message = capsys.readouterr().err
    assert message.count('\n') == 1
    assert "'compact'" in message
    assert all(repr(name) in message for name in PRESETS)


def test_a_broken_bundle_folder_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['info', str(tmp_path)]) == 1
    assert 'metadata.json is not a readable bundle' in capsys.readouterr().err


@pytest.mark.parametrize('size', ['800', '800x', 'ax5', '-1x5'])
def test_a_size_is_height_and_width(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(['info', 'r50', f'--size={size}'])
    assert end.value.code == 2
    assert 'such as 800x1333' in capsys.readouterr().err


@pytest.mark.parametrize('size', ['800x1333', '512x512'])
def test_the_page_on_parity_has_the_multiply_adds_that_are_printed(
    size: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip('timm', reason='needs torch and timm')
    total = json.loads(printed(capsys, 'r50', '--size', size, '--json'))['network']['total']
    columns = ('frame', 'window', 'stream', 'scratch')
    row = ' | '.join(f'**{total[name] / 1e9:.1f}**' for name in columns)
    page = (Path(__file__).parents[3] / 'docs' / 'parity.md').read_text()
    assert f'| **whole, {size}** | {row} |' in page
