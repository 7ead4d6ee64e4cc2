"""Those who guess: ids of others, and keys.

That another tenant's things are as if they were not there is in `tests/service/test_keys.py`, and
so is what a wrong key opens.
"""

import json
import statistics
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.service.attacks.witness import another_client
from tests.service.test_keys import make_key
from tests.web import running
from tests.web.raw import connect, head, read_answer, send
from web.gate import NEEDED

pytestmark = pytest.mark.service

SETTINGS = {"RATE_WRONG_KEYS": "off", "ALLOW_ANONYMOUS": 1}
WITH_ID = [route.split() for route in NEEDED if "_id>" in route]
TRIALS = 200


def guesses() -> list[str]:
    """Return ids as somebody would try them who knows what they look like, and some who do not."""
    one = uuid.UUID("550e8400-e29b-41d4-a716-446655440000")
    near = [str(uuid.UUID(int=one.int + each)) for each in range(1, 6)]
    spelt = [str(one).upper(), one.hex, f"{{{one}}}", f"urn:uuid:{one}", str(one)[:-1], f"{one} "]
    rubbish = ["0", "-1", "1 or 1=1", "'", "%", "_" * 36, "*", "null", "..", "\u0661", "a" * 2000]
    return [*near, *spelt, *rubbish, str(uuid.UUID(int=0)), str(uuid.UUID(int=2**128 - 1))]


def test_no_guess_at_an_id_is_told_from_another(attacked, photo):
    """All are 404, and the body says nothing of what was asked for."""
    with another_client(attacked, photo, "guessed ids"), connect(attacked.port) as connection:
        for method, path in WITH_ID:
            before, _, after = path.partition("<")
            rest = after.partition(">")[2]
            told = set()
            for guess in guesses():
                target = before + "".join(f"%{byte:02x}" for byte in guess.encode()) + rest
                body = b'{"expires_in":60}' if path.endswith("/links") else b""
                kind = ("Content-Type: application/json",) if body else ()
                request = head(f"{method} {target}", *kind, length=len(body) or None) + body
                send(connection, request)
                answer = read_answer(connection, method)
                if answer.headers.get("connection") == "close":
                    raise AssertionError((method, target, answer))
                told.add((answer.status, answer.code))
            assert told == {(404, "not_found")}, (method, path)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    settings = {"RATE_WRONG_KEYS": "off"}
    with running.start_server(tmp_path_factory.mktemp("guarded"), **settings) as server:
        yield server, make_key(server)


def seconds_of(connection, key: str) -> float:
    request = head("GET /jobs?limit=1", f"Authorization: Bearer {key}")
    begun = time.perf_counter()
    send(connection, request)
    answer = read_answer(connection)
    taken = time.perf_counter() - begun
    assert answer.status == 401
    assert answer.code == "unauthenticated"
    return taken


def changed(key: str, at: int) -> str:
    return key[:at] + ("a" if key[at] != "a" else "b") + key[at + 1 :]


def test_how_long_a_wrong_key_takes_does_not_tell_how_wrong_it_is(guarded):
    """What is compared are digests, in constant time: this would show a fault of the coarse kind.

    The attempts take turns, so that what the machine does besides meets both alike.
    """
    server, key = guarded
    time.sleep(1.1)  # until it is noticed that there are keys
    nearly = changed(key, len(key) - 2)
    far = key[:-43] + "".join("a" if each != "a" else "b" for each in key[-43:])
    times: dict[str, list[float]] = {nearly: [], far: []}
    with connect(server.port) as connection:
        for _ in range(TRIALS):
            for each, taken in times.items():
                taken.append(seconds_of(connection, each))
    medians = [statistics.median(each) for each in times.values()]
    print(f"nearly right {medians[0] * 1e3:.3f} ms, all wrong {medians[1] * 1e3:.3f}")  # noqa: T201

    assert max(medians) < 1.5 * min(medians)


def test_many_who_guess_keys_at_once_stop_nobody(guarded, photo):
    server, key = guarded
    wrong = [f"ck_{each:016x}_{'a' * 43}" for each in range(400)]

    def guess(some: list[str]) -> None:
        with connect(server.port) as connection:
            for each in some:
                seconds_of(connection, each)

    with another_client(server, photo, "wrong keys", key=key), ThreadPoolExecutor(4) as pool:
        list(pool.map(guess, [wrong[each::4] for each in range(4)]))
    assert json.dumps(key) not in server.log.read_text()
    assert key.rpartition("_")[2] not in server.log.read_text()
