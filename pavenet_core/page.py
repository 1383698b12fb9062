"""One HTML file that needs nothing beside it and no network: its frame, tables and pictures."""

import base64
import importlib.metadata
import io
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from html import escape
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pavenet_core import __version__
from pavenet_core.drawing import draw_poses
from pavenet_core.poses import Poses
from pavenet_core.skeleton import Skeleton

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Image = NDArray[np.uint8]

LONG_SIDE, JPEG_QUALITY = 520, 75  # of a drawn picture, in pixels and percent
PACKAGES = ('numpy', 'onnxruntime', 'opencv-python-headless', 'pycocotools')
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1f24; max-width: 68rem; margin: 2rem auto;
       padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; margin: .6rem 0 }
th, td { text-align: right; padding: .2rem .7rem; border-bottom: 1px solid #d8dee4 }
th { font-weight: 600; background: #f3f5f7 } th:first-child, td:first-child { text-align: left }
th.bar, td.bar { text-align: left; min-width: 12rem }
td.bar i { display: inline-block; height: .7rem; background: #3b82c4; vertical-align: middle;
       margin-right: .4rem }
.note { color: #57606a; max-width: 52rem } .facts td { text-align: left }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); gap: .8rem }
.grid figure { margin: 0 } figcaption { color: #57606a }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; margin: .8rem 0 1.4rem }
.pair figcaption { grid-column: 1 / 3; color: #57606a } img, svg { max-width: 100%; height: auto }
.wide { overflow-x: auto } .wide svg { min-width: 40rem } .facts td { overflow-wrap: anywhere }
"""


def write_page(title: str, parts: Sequence[str]) -> str:
    """Put parts of a page, which are HTML, into one."""
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)}</title><style>{STYLE}</style>'
    )
    body = '\n'.join(parts)
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'
    )


def facts(rows: Mapping[str, str]) -> str:
    """Lay out what a reader needs to do it again; the date and the software are added."""
    versions = [f'{name} {_version(name)}' for name in PACKAGES]
    rows = {
        **rows,
        'date': datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
        'software': ', '.join(
            [f'pavenet {__version__}', f'Python {platform.python_version()}', *versions]
        ),
    }
    cells = ''.join(
        f'<tr><th>{key}</th><td>{escape(text)}</td></tr>' for key, text in rows.items()
    )
    return f'<table class="facts">{cells}</table>'


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Lay out cells; one with a bar in it is HTML already."""
    bars = {i for line in lines for i, cell in enumerate(line) if cell.startswith('<i')}
    head = ''.join(
        f'<th class="bar">{escape(name)}</th>' if i in bars else f'<th>{escape(name)}</th>'
        for i, name in enumerate(heads)
    )
    rows = (
        ''.join(
            f'<td class="bar">{cell}</td>' if i in bars else f'<td>{escape(cell)}</td>'
            for i, cell in enumerate(line)
        )
        for line in lines
    )
    body = ''.join(f'<tr>{row}</tr>' for row in rows)
    return _wide(f'<table><tr>{head}</tr>{body}</table>')


@contextmanager
def plotting() -> Iterator[None]:
    """Let matplotlib keep text as text, and give the same names from run to run."""
    from matplotlib import rc_context

    with rc_context({'svg.fonttype': 'none', 'svg.hashsalt': 'pavenet', 'font.size': 9}):
        yield


def svg(figure: 'Figure') -> str:
    """Return a figure of matplotlib as a part of a page; to be called while `plotting`."""
    text = io.StringIO()
    figure.savefig(text, format='svg', metadata={'Date': None})
    return _wide(text.getvalue()[text.getvalue().index('<svg') :])


def drawn(
    image: Image,
    poses: Poses,
    skeleton: Skeleton,
    *,
    keypoint_threshold: float = 0.3,
    tags: bool = True,
) -> str:
    """Draw people on a small copy of a picture; return it as the address of an `img`."""
    scale = min(1.0, LONG_SIDE / max(image.shape[:2]))
    small = np.asarray(
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )
    points = (poses.keypoints_px * scale).astype(np.float32)
    scaled = Poses(0, points, poses.keypoint_scores, poses.scores, ids=poses.ids)
    picture = draw_poses(small, scaled, skeleton, keypoint_threshold=keypoint_threshold, tags=tags)
    _, data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return 'data:image/jpeg;base64,' + base64.b64encode(data.tobytes()).decode()


def _wide(part: str) -> str:
    """Let a part that stays readable at its own width only be moved on a narrow screen."""
    return f'<div class="wide">{part}</div>'


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return 'of unknown version'
