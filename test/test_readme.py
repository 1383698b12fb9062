"""What the README says is run as it stands."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
CLIP = REPOSITORY / 'test' / 'ros' / 'data' / 'walk.mp4'


def test_its_python_finds_people_in_a_video(capsys: pytest.CaptureFixture[str]) -> None:
    [code] = re.findall(r'```python\n(.*?)```', (REPOSITORY / 'README.md').read_text(), re.S)
    assert 'VideoCapture(0)' in code
    exec(code.replace('VideoCapture(0)', f'VideoCapture({str(CLIP)!r})'), {})
    assert capsys.readouterr().out.startswith('[[[')
