import json
from pathlib import Path

import pytest

from pavenet_core.cli import main


def test_info_says_what_the_bundle_is(stand_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['info', str(stand_in)]) == 0
    text = capsys.readouterr().out
    for fact in ('stand-in', 'coco17, 17 keypoints: nose', 'num_frames', 'images', str(stand_in)):
        assert fact in text


def test_info_gives_the_metadata_as_json(
    stand_in: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(['info', str(stand_in), '--json']) == 0
    written = json.loads((stand_in / 'metadata.json').read_text())
    assert json.loads(capsys.readouterr().out) == written
