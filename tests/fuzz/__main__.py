"""`python -m tests.fuzz` gives our parsers what they do not expect, and keeps what breaks them.

The same seed gives the same inputs. What broke a parser is written to `tests/fuzz/corpus`, where
the tests find it; nothing else is written.
"""

import sys
import time
import traceback
from collections import Counter, defaultdict
from itertools import count
from pathlib import Path

import click

from tests.fuzz.attempts import CORPUS, Finding, attempt, bound_memory, inputs
from tests.fuzz.targets import Target, targets

TURN = 20  # inputs for one parser, until it is the next one's turn


@click.command()
@click.option("--minutes", type=float, default=1, show_default=True, help="For how long.")
@click.option("--runs", type=int, help="For how many inputs of each parser, in place of minutes.")
@click.option("--seed", type=int, default=1, show_default=True, help="What chance begins with.")
@click.option("--only", multiple=True, help="A parser; all of them by default.")
@click.option("--corpus", type=Path, default=CORPUS, help="Where to keep what breaks a parser.")
def main(minutes: float, runs: int | None, seed: int, only: tuple[str, ...], corpus: Path) -> None:
    """Try every parser in turn, and tell what was found; exit with 1 if there was anything."""
    every = targets()
    if unknown := set(only) - every.keys():
        raise click.UsageError(f"There is no {', '.join(unknown)}; there are {', '.join(every)}.")
    chosen = {name: target for name, target in every.items() if not only or name in only}
    bound_memory()
    ends = time.monotonic() + 60 * minutes
    found = try_all(chosen, seed, runs, ends)
    for finding in found:
        path = finding.keep(corpus)
        click.echo(f"\n{finding.target} is broken by {path} ({len(finding.data)} bytes):")
        click.echo("".join(traceback.format_exception(finding.error)))
    sys.exit(1 if found else 0)


def try_all(chosen: dict[str, Target], seed: int, runs: int | None, ends: float) -> list[Finding]:
    """Return the first finding of each parser, which is not tried again after it."""
    streams = {name: inputs(target, seed) for name, target in chosen.items()}
    tried, taken, found = Counter[str](), Counter[str](), list[Finding]()
    spent: defaultdict[str, float] = defaultdict(float)
    for turn in count():
        if not streams or (turn * TURN >= runs if runs else time.monotonic() >= ends):
            break
        for name, stream in list(streams.items()):
            begun = time.process_time()
            for _ in range(TURN):
                tried[name] += 1
                outcome = attempt(name, chosen[name], next(stream))
                if isinstance(outcome, Finding):
                    found.append(outcome)
                    del streams[name]
                    break
                taken[name] += outcome
            spent[name] += time.process_time() - begun
    for name in chosen:
        said = "fine" if name in streams else "broken"
        share = f"{tried[name]:>11,} inputs, {taken[name] / max(1, tried[name]):>4.0%} taken"
        click.echo(f"{name:8} {share} {spent[name]:>7.1f} s  {said}")
    return found


if __name__ == "__main__":
    main()
