"""`python -m benchmarks [--only NAME ...] [--rounds N] [--all] [--json FILE]`: one table of measurements."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from .calling import calling
from .checking import checking
from .clearing import clearing
from .foreign import foreign
from .recording import keying, recording
from .sharing import sharing
from .starting import importing, starting
from .stepping import stepping
from .table import as_json, as_line, as_text
from .timing import Row, machine_line
from .tracing import tracing
from .work import Settings

BENCHMARKS: dict[str, Callable[[Settings], Iterator[Row]]] = {
    "import": importing, "record": recording, "key": keying, "call": calling, "foreign": foreign, "share": sharing,
    "trace": tracing, "start": starting, "step": stepping, "check": checking,
    "clear": clearing}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the chosen benchmarks and print the table."""
    options = _parser().parse_args(arguments)
    settings = Settings(slow_peers=options.all)
    if options.rounds is not None:
        settings = dataclasses.replace(settings, rounds=options.rounds, slow_rounds=options.rounds)
    machine = machine_line()
    rows = list(run(options.only or list(BENCHMARKS), settings))
    print(f"{machine}\nmedians of {settings.rounds} interleaved rounds ({settings.slow_rounds} of process starts); "
          "ratio: flambeau's time over the peer's\n")
    print(as_text(rows))
    if options.json is not None:
        options.json.write_text(as_json(rows, machine), encoding="utf-8")
    return 0


def run(names: Sequence[str], settings: Settings) -> Iterator[Row]:
    """The rows of the named benchmarks; progress goes to stderr."""
    for name in names:
        for row in BENCHMARKS[name](settings):
            print(as_line(row), file=sys.stderr, flush=True)
            yield row


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Flambeau measured beside its peers.")
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), metavar="NAME",
                        help=f"some of: {', '.join(BENCHMARKS)}")
    parser.add_argument("--rounds", type=_positive, metavar="N", help="rounds of every benchmark")
    parser.add_argument("--all", action="store_true", help="also torch.compile, which takes minutes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there too")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
