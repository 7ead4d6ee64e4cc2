"""Ask for one address again and again, from eight clients, for some seconds; print the rate."""

from __future__ import annotations

import argparse
from urllib.parse import urlsplit

import trio

from web.commands.lean import LeanConnection

CLIENTS = 8


async def measure(url: str, path: str, seconds: float) -> float:
    """Return the answers per second."""
    done = 0

    async def ask() -> None:
        nonlocal done
        connection = LeanConnection(target.hostname or "", target.port or 80)
        while True:
            answer = await connection.request("GET", path)
            if answer.status != 200:
                raise SystemExit(f"{path}: {answer.status}")
            done += 1

    target = urlsplit(url)
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for _ in range(CLIENTS):
                nursery.start_soon(ask)
    return done / seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("path")
    parser.add_argument("seconds", type=float)
    chosen = parser.parse_args()
    print(round(trio.run(measure, chosen.url, chosen.path, chosen.seconds), 1))
