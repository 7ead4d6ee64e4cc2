"""The commands `calotype keys …`, without a service; and the key of a client."""

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner, Result

from actors.storage.opening import view_catalogue
from web.commands.keys import keys
from web.tokens import read_token

ACME = ("--tenant", "acme", "--scope", "jobs:read")


@pytest.fixture(autouse=True)
def catalogue(tmp_path, monkeypatch):
    """The place of the catalogue that the commands change."""
    path = tmp_path / "new" / "calotype.db"
    monkeypatch.setenv("DB_PATH", str(path))
    return path


@pytest.fixture(autouse=True)
def logged(monkeypatch):
    """What the commands log."""
    events = []

    class Log:
        def info(self, event, **said):
            events.append((event, said))

    monkeypatch.setattr("web.commands.keys.log", Log())
    monkeypatch.setattr("web.commands.keys.configure_logs", lambda *_: None)
    return events


def run(*words: str) -> Result:
    return CliRunner().invoke(keys, words, catch_exceptions=False)


def made(*words: str) -> str:
    """Make a key, and return it."""
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout.strip()


def listed() -> list[dict[str, Any]]:
    result = run("list", "--json")
    assert result.exit_code == 0, result.output
    told: list[dict[str, Any]] = json.loads(result.stdout)
    return told


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_a_key_is_printed_alone_and_kept_as_a_digest(catalogue):
    result = run("create", *ACME)

    token = read_token(result.stdout.removesuffix("\n"))
    with view_catalogue(catalogue) as opened:
        (key,) = opened.keys.list_all()
    assert result.exit_code == 0
    assert token is not None
    assert (key.id, key.tenant, key.scopes) == (token.key_id, "acme", ("jobs:read",))
    assert key.digest == hashlib.sha256(token.secret.encode()).hexdigest()
    for file in catalogue.parent.iterdir():
        assert token.secret.encode() not in file.read_bytes()


def test_what_is_known_of_a_key_can_be_listed_and_is_not_the_key():
    token = made("create", *ACME, "--scope", "admin", "--name", "the tower", "--expires", "30d")

    (key,) = listed()
    text = run("list").stdout

    assert moment(key["expires_at"]) - moment(key["created_at"]) == timedelta(days=30)
    assert abs(datetime.now(UTC) - moment(key["created_at"])) < timedelta(minutes=1)
    assert {**key, "created_at": "", "expires_at": ""} == {
        "key_id": token.split("_")[1],
        "tenant": "acme",
        "scopes": ["jobs:read", "admin"],
        "name": "the tower",
        "limits": {},
        "created_at": "",
        "expires_at": "",
        "revoked_at": None,
        "state": "good",
    }
    for word in (key["key_id"], "acme", "jobs:read", "the tower", "good"):
        assert word in text
    for told in (text, json.dumps(key)):
        assert token.split("_", 2)[2] not in told


def test_a_key_can_open_what_was_made_without_a_key():
    made("create", "--no-tenant", "--scope", "jobs:read")

    assert listed()[0]["tenant"] == ""


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--tenant", "acme"),
        ("--scope", "jobs:read"),
        (*ACME, "--no-tenant"),
        (*ACME, "--scope", "jobs:delete"),
        *[("--scope", "admin", "--tenant", name) for name in ("", "Acme", "a b", "-a", "a" * 33)],
        ("--scope", "admin", "--tenant", "acme\n"),
        *[(*ACME, "--expires", span) for span in ("", "30", "d", "0d", "-1d", "1y", "1.5h", "٣d")],
        (*ACME, "--expires", "999999999w"),
        (*ACME, "--name", "a\x1b[2J"),
        (*ACME, "--name", "a" * 101),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(catalogue, words):
    result = run("create", *words)

    assert result.exit_code == 2
    assert not catalogue.exists()


@pytest.mark.parametrize(
    ("span", "seconds"), [("45s", 45), ("15m", 900), ("1h", 3600), ("2w", 1_209_600)]
)
def test_spans_of_time_can_be_said_in_several_units(span, seconds):
    made("create", *ACME, "--expires", span)

    (key,) = listed()
    assert moment(key["expires_at"]) - moment(key["created_at"]) == timedelta(seconds=seconds)


def test_a_revoked_key_stays_in_the_list():
    key_id = made("create", *ACME).split("_")[1]

    results = [run("revoke", key_id) for _ in range(2)]

    assert [result.exit_code for result in results] == [0, 0]
    assert [(key["key_id"], key["state"]) for key in listed()] == [(key_id, "revoked")]


def test_a_rotated_key_has_an_heir_that_opens_the_same_and_expires_after_the_grace():
    old = made("create", *ACME, "--scope", "admin", "--name", "tower", "--expires", "30d")

    new = made("rotate", old.split("_")[1], "--grace", "5m")

    first, second = listed()
    same = ("tenant", "scopes", "name")
    now = datetime.now(UTC)
    assert new != old
    assert second["key_id"] == new.split("_")[1]
    assert {name: first[name] for name in same} == {name: second[name] for name in same}
    assert timedelta(minutes=4) < moment(first["expires_at"]) - now <= timedelta(minutes=5)
    assert moment(second["expires_at"]) - moment(second["created_at"]) == timedelta(days=30)


def test_the_heir_of_a_key_can_have_another_lifetime():
    old = made("create", *ACME)

    made("rotate", old.split("_")[1])
    made("rotate", old.split("_")[1], "--grace", "0s", "--expires", "1h")

    first, second, third = listed()
    assert first["state"] == "expired"
    assert second["expires_at"] is None
    assert moment(third["expires_at"]) - moment(third["created_at"]) == timedelta(hours=1)


def test_what_is_good_no_more_has_no_heir():
    key_id = made("create", *ACME).split("_")[1]
    run("revoke", key_id)

    result = run("rotate", key_id)

    assert result.exit_code == 1
    assert f"Key {key_id} is revoked" in result.stderr
    assert len(listed()) == 1


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_a_key_that_is_not_there_is_said_in_one_line(command):
    made("create", *ACME)

    result = run(command, "0123456789abcdef")

    assert result.exit_code == 1
    assert result.stderr == "calotype: there is no key 0123456789abcdef\n"


def test_a_list_makes_no_catalogue(catalogue):
    result = run("list")

    assert result.exit_code == 1
    assert re.fullmatch("calotype: the catalogue cannot be opened: .*\n", result.stderr)
    assert not catalogue.parent.exists()


def test_links_can_be_revoked_with_the_secret_that_signed_them(catalogue):
    made("create", *ACME)
    run("revoke-links")

    with view_catalogue(catalogue) as opened:
        assert opened.keys.count() == 1


def test_every_change_is_logged_and_no_secret(logged):
    first = made("create", *ACME, "--name", "tower")
    second = made("rotate", first.split("_")[1])
    run("revoke", second.split("_")[1])
    run("revoke-links")
    run("list")

    told = dict(logged)
    assert [event for event, _ in logged] == [
        *("key_created", "key_rotated", "key_revoked", "links_revoked")
    ]
    assert told["key_created"]["key_id"] == first.split("_")[1]
    assert told["key_rotated"]["replaced"] == first.split("_")[1]
    assert told["key_rotated"]["key_id"] == told["key_revoked"]["key_id"] == second.split("_")[1]
    assert (told["key_created"]["tenant"], told["key_created"]["name"]) == ("acme", "tower")
    for token in (first, second):
        assert token.split("_", 2)[2] not in repr(logged)
        assert hashlib.sha256(token.split("_", 2)[2].encode()).hexdigest() not in repr(logged)


# --- Limits ---------------------------------------------------------------------------------------


def test_a_key_can_be_made_with_limits_of_its_own_which_are_listed():
    made("create", *ACME, "--limit", "requests=100/1m", "--limit", "jobs=off")

    (key,) = listed()

    assert key["limits"] == {"requests": "100/1m", "jobs": "off"}
    text = run("list").stdout
    assert "requests=100/1m" in text
    assert "jobs=off" in text


def test_a_limit_is_changed_and_the_others_stay():
    key_id = made("create", *ACME, "--limit", "requests=100/1m", "--limit", "jobs=5").split("_")[1]

    run("limit", key_id, "--limit", "jobs=default", "--limit", "pixels=10G")
    assert listed()[0]["limits"] == {"requests": "100/1m", "pixels": "10G"}
    run("limit", key_id, "--limit", "requests=default", "--limit", "pixels=default")
    assert listed()[0]["limits"] == {}


def test_a_key_that_is_rotated_keeps_its_limits():
    key_id = made("create", *ACME, "--limit", "bytes=5M/1h").split("_")[1]

    run("rotate", key_id)

    assert [key["limits"] for key in listed()] == 2 * [{"bytes": "5M/1h"}]


@pytest.mark.parametrize(
    "limits",
    [
        *(["requests"], ["requests="], ["requests=100"], ["jobs=1/1m"], ["pixels=many"]),
        *(["Jobs=1"], ["=1"], ["jobs=1", "jobs=2"], []),
    ],
)
def test_what_is_no_limit_is_refused(limits):
    key_id = made("create", *ACME).split("_")[1]

    result = run("limit", key_id, *(word for each in limits for word in ("--limit", each)))

    assert result.exit_code == 2
    assert "--limit" in result.stderr
    assert listed()[0]["limits"] == {}


def test_nobody_can_limit_a_key_that_there_is_not():
    made("create", *ACME)

    result = run("limit", "0123456789abcdef", "--limit", "jobs=1")

    assert (result.exit_code, result.stderr) == (1, "calotype: there is no key 0123456789abcdef\n")
