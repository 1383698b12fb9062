"""
Make the ROS 2 wheels usable for building packages on this machine.

The CMake files in them name the folders of the machine that built the wheels; this writes the
folders of this interpreter instead.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

PYTHON_HEADERS = re.compile(r'/opt/python/[^/;"]+/include/python3\.\d+')
NUMPY_HEADERS = re.compile(r'/opt/python/[^;"]*/numpy/_?core/include')


def main() -> None:
    """Rewrite every CMake export below the environment's share folder."""
    headers = sysconfig.get_paths()['include']
    if not Path(headers, 'Python.h').is_file():
        sys.exit(
            f'{headers}/Python.h is missing: install the headers of this Python '
            f'(Debian, Ubuntu: apt install python3-dev)'
        )
    changed = sum(
        _rewrite(path, headers) for path in Path(sys.prefix, 'share').glob('*/cmake/*.cmake')
    )
    print(f'paths of {changed} CMake files now point at this machine')


def _rewrite(path: Path, headers: str) -> bool:
    text = path.read_text(encoding='utf-8')
    fixed = PYTHON_HEADERS.sub(headers, NUMPY_HEADERS.sub(numpy.get_include(), text))
    if fixed != text:
        path.write_text(fixed, encoding='utf-8')
    return fixed != text


main()
