"""Who follows the events over all deaths of the service."""

from datetime import datetime
from typing import Any

import h11
import trio

from tests.chaos.history import Event, History
from tests.service.listening import Heard, listen
from tests.web.running import Server

PAUSE = 0.05


def event_of(heard: Heard) -> Event:
    """Return what was heard as the history has it."""
    told: dict[str, Any] = heard.data
    return Event(
        heard.number,
        heard.kind,
        told.get("job_id", ""),
        told.get("attempt", 0),
        told.get("reason"),
        told.get("error_code"),
        datetime.fromisoformat(told["time"]).timestamp() if "time" in told else 0.0,
    )


async def follow(server: Server, history: History) -> None:
    """Note every event from the first, and come again whenever the stream has ended."""
    last = "0"
    while True:
        try:
            async with listen(server, last=last) as listener:
                while listener.status == 200 and not listener.has_ended:
                    heard = await listener.more()
                    history.heard += [event_of(each) for each in heard]
                    last = listener.parser.last or last
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError):
            pass
        await trio.sleep(PAUSE)


async def replay(server: Server, until: int) -> list[Event]:
    """Return all events up to that number, as they are told to one who comes late."""
    events: list[Event] = []
    async with listen(server, last=0) as listener:
        while not events or events[-1].number < until:
            events += [event_of(each) for each in await listener.more()]
    return events
