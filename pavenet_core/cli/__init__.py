"""The command `pavenet`: one verb, one file of this folder."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from pavenet_core import __version__

VERBS = {
    'predict': 'find the people in videos and pictures',
    'evaluate': 'measure the accuracy on labelled pictures',
    'train': 'train a model',
    'export': 'turn a trained model into a bundle',
    'quantise': 'make a bundle of fewer bits',
    'import-official': "take in the authors' checkpoint",
    'benchmark': 'measure the speed on this machine, by stage',
    'info': 'say what is known of a model, or of this machine',
}

# What each verb needs beside the runtime's packages: the extras of pyproject.toml, by name. A
# package that colcon built has no extras, so pip could not find them there.
TRAIN = 'matplotlib pycocotools safetensors scipy tensorboard timm torch torchvision'
EXPORT = 'onnx onnxscript timm torch torchvision'
REPORT = 'matplotlib pycocotools'
PACKAGES = {
    **{'predict': REPORT, 'evaluate': REPORT, 'export': EXPORT, 'quantise': EXPORT},
    **{'train': TRAIN, 'import-official': TRAIN, 'info': 'timm torch torchvision'},
}
BROKEN_PIPE = 128 + 13  # as the shell tells of a command that SIGPIPE ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; a user's error becomes one sentence and a non-zero exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    verb = _parse_verb(words[:1])
    # FFmpeg and OpenCV would add lines of their own to the one sentence on an unreadable file.
    os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')
    os.environ.setdefault('OPENCV_LOG_LEVEL', 'SILENT')
    module = importlib.import_module(f'pavenet_core.cli.{verb.replace("-", "_")}')
    args = _verb_parser(verb, module).parse_args(words[1:])
    try:
        module.run(args)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        return _fail(
            f'{verb} needs the Python package {error.name}, which is not installed; '
            f'get it with: pip install {_packages(verb, error.name or "")}'
        )
    except BrokenPipeError:
        # Whoever read has gone; Python would try once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except OSError as error:
        named = error.filename is not None and error.strerror
        return _fail(f'{error.filename}: {error.strerror}' if named else str(error))
    except ValueError as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def _parse_verb(words: Sequence[str]) -> str:
    verbs = '\n'.join(f'  {verb:<17}{meaning}' for verb, meaning in VERBS.items())
    parser = argparse.ArgumentParser(
        prog='pavenet',
        usage='pavenet VERB ...',
        description="People's poses in video.",
        epilog=f'verbs:\n{verbs}\n\nexample:\n  pavenet predict walk.mp4 --video poses.mp4',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'pavenet {__version__}')
    parser.add_argument('verb', metavar='VERB', choices=VERBS, help='what to do; see below')
    return str(parser.parse_args(words).verb)


def _verb_parser(verb: str, module: ModuleType) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f'pavenet {verb}',
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    return parser


def _packages(verb: str, module: str) -> str:
    """Return what to install for a module: all that the verb may need, if it is among that."""
    package = 'opencv-python-headless' if module == 'cv2' else module
    wanted = PACKAGES.get(verb, '')
    return wanted if package in wanted.split() else package


def _fail(sentence: str) -> int:
    print(f'pavenet: {sentence}', file=sys.stderr)
    return 1
