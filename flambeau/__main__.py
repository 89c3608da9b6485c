"""The command line: `flambeau run script.py`, `flambeau demo` and `flambeau info` (or `python -m flambeau ...`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from . import compat
from .demo.text import UserError
from .script import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. A wrong input is one line on stderr and code 2."""
    parser = argparse.ArgumentParser(prog="flambeau", description="PyTorch-style programs as whole-step XLA programs.")
    commands = parser.add_subparsers(dest="command", required=True)
    demo = commands.add_parser("demo", help="train a small GPT on real text with a compiled step")
    demo.add_argument("--steps", type=_positive, default=600, metavar="N", help="training steps (default: %(default)s)")
    demo.add_argument("--out", metavar="DIR", help="where the dumps, the curve and the model go (default: demo-out)")
    demo.add_argument("--data", metavar="FILE", help="a UTF-8 text to train on (default: Python's own documentation)")
    demo.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)")
    commands.add_parser("info", help="versions, devices, caches, flags: what to paste into a bug report")
    names = commands.add_parser("compat", help="what of torch's names is there, what differs, what is missing")
    names.add_argument("name", nargs="?", default="torch", metavar="NAME", help="a name, module or class (default: %(default)s)")
    names.add_argument("--page", action="store_true", help="print the text of COMPAT.md")
    script = commands.add_parser("run", help="run an unmodified PyTorch script: in it `import torch` means Flambeau",
                                 usage="%(prog)s [-m MODULE | SCRIPT] [ARGUMENT ...]")
    script.add_argument("-m", dest="module", action="store_true", help="run a module, as `python -m` does")
    script.add_argument("program", nargs=argparse.REMAINDER, metavar="SCRIPT ...", help="the script and its arguments")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "info":
            from .info import info  # noqa: PLC0415  (loads jaxlib)

            print(info())
            return 0
        if chosen.command == "compat":
            print(compat.page() if chosen.page else compat.report(chosen.name), end="" if chosen.page else "\n")
            return 0
        if chosen.command == "run":
            if not chosen.program:
                script.error("expected a script, or -m and a module")
            return run(chosen.program, module=chosen.module)
        from .demo.run import demo as train  # noqa: PLC0415  (loads the progress bar)

        return train(chosen.steps, chosen.out, chosen.data, chosen.seed)
    except UserError as error:
        print(f"flambeau {chosen.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nflambeau {chosen.command}: interrupted", file=sys.stderr)
        return 130


def run_and_exit() -> None:
    """What the console script calls."""
    sys.exit(main())


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
