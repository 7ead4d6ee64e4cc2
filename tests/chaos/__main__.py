"""Run a campaign: `python -m tests.chaos --seed 7 --seconds 60`."""

import argparse
import sys
import tempfile
from pathlib import Path

import trio

from tests.chaos.campaign import run_campaign
from tests.chaos.model import check
from tests.chaos.plan import Plan
from tests.chaos.report import tell


def main() -> None:
    """Run it, report, and end with 1 if a promise was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=60, help="how long faults are thrown")
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pace", type=float, default=1.0, help="2: twice as much in a second")
    said = parser.parse_args()
    plan = Plan(said.seed, said.seconds, said.clients, said.pace)
    directory = Path(tempfile.mkdtemp(prefix="calotype-chaos-"))
    sys.stdout.write(f"seed        {plan.seed}; the log of the service is in {directory}\n")
    sys.stdout.flush()
    history = trio.run(run_campaign, plan, directory)
    violations = check(history)
    sys.stdout.writelines(f"{line}\n" for line in tell(history, violations))
    sys.exit(1 if violations else 0)


if __name__ == "__main__":
    main()
