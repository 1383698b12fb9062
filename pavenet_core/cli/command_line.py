"""The command that was given, to be given again."""

import argparse
import shlex
from collections.abc import Callable


def command_line(
    verb: str,
    args: argparse.Namespace,
    add_arguments: Callable[[argparse.ArgumentParser], None],
    to_word: Callable[[object], str] = str,
) -> str:
    """Return a verb's command, defaults left out; `inputs` are its words without an option."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ['pavenet', verb, *map(str, getattr(args, 'inputs', ()))]
    for name, value in vars(args).items():
        if name == 'inputs' or value == parser.get_default(name):
            continue
        words.append(f'--{name.replace("_", "-")}')
        values = value if isinstance(value, list) else [] if value is True else [value]
        words += [to_word(v) for v in values]
    return shlex.join(words)
