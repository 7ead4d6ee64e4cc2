"""The command `calotype audit`, and what `calotype keys` leaves there."""

import getpass
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from actors.storage.audit import Act
from actors.storage.keeping import Keeping
from actors.storage.opening import open_beside
from actors.storage.ports import Catalogue
from tests.storage.test_audit_register import YEAR
from web.commands.audit import audit
from web.commands.keys import keys

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def catalogue(tmp_path, monkeypatch):
    """The place of the catalogue."""
    path = tmp_path / "calotype.db"
    monkeypatch.setenv("DB_PATH", str(path))
    monkeypatch.setattr("web.commands.keys.configure_logs", lambda *_: None)
    return path


def run(command, *words: str) -> Result:
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def told(*words: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads(run(audit, "list", "--json", *words).stdout)
    return entries


def note(path, *acts: Act, bounds: Keeping = YEAR) -> None:
    def note_all(it: Catalogue) -> None:
        for act in acts:
            it.audit.note(act, NOON, bounds)

    with open_beside(path) as opened:
        opened.batch([note_all])


def test_every_change_of_keys_is_in_the_audit_and_no_secret_is():
    key = run(keys, "create", "--tenant", "acme", "--scope", "admin", "--name", "größer").stdout
    key_id = key.split("_")[1]
    new = run(keys, "rotate", key_id, "--grace", "15m").stdout
    new_id = new.split("_")[1]
    run(keys, "revoke", new_id)
    run(keys, "revoke-links")

    entries = told()

    assert [(each["action"], each["subject"], each["tenant"]) for each in entries] == [
        ("links_revoked", "links", ""),
        ("key_revoked", new_id, "acme"),
        ("key_rotated", new_id, "acme"),
        ("key_created", key_id, "acme"),
    ]
    assert {each["user"] for each in entries} == {getpass.getuser()}
    assert entries[2]["details"] == {
        "scopes": "admin",
        "name": "größer",
        "replaced": key_id,
        "grace": "900s",
    }
    assert key.split("_")[2].strip() not in json.dumps(entries)
    assert new.split("_")[2].strip() not in json.dumps(entries)


def test_a_changed_limit_is_in_the_audit():
    key_id = run(keys, "create", "--tenant", "acme", "--scope", "admin").stdout.split("_")[1]
    run(keys, "limit", key_id, "--limit", "jobs=7")

    changed = told()[0]

    assert (changed["action"], changed["subject"]) == ("key_limited", key_id)
    assert "7" in changed["details"]["limits"]


def test_what_was_not_done_is_not_in_the_audit():
    run(keys, "create", "--tenant", "acme", "--scope", "admin")

    CliRunner().invoke(keys, ["revoke", "nowhere"])

    assert [each["action"] for each in told()] == ["key_created"]


def test_the_audit_is_as_long_as_the_settings_say(monkeypatch):
    monkeypatch.setenv("MAX_AUDIT", "2")
    for name in "abc":
        run(keys, "create", "--tenant", name, "--scope", "admin")

    assert [each["tenant"] for each in told()] == ["c", "b"]


def test_entries_are_told_in_lines_of_who_and_what(catalogue):
    scopes = {"scopes": "admin"}
    note(
        catalogue,
        Act(action="key_created", subject="4f", tenant="acme", user="root", details=scopes),
        Act(action="job_deleted", subject="4f", tenant="acme", key_id="5f"),
        Act(action="image_deleted", subject="6f", tenant=""),
    )

    lines = [line.split() for line in run(audit, "list").stdout.splitlines()]

    assert lines == [
        ["2026-03-01", "12:00:00Z", "image_deleted", "6f", "-", "without", "a", "key"],
        ["2026-03-01", "12:00:00Z", "job_deleted", "4f", "acme", "key", "5f"],
        ["2026-03-01", "12:00:00Z", "key_created", "4f", "acme", "user", "root", "scopes=admin"],
    ]
    assert [each["subject"] for each in told("--limit", "1")] == ["6f"]


def test_without_a_catalogue_it_says_so():
    result = CliRunner().invoke(audit, ["list"])

    assert result.exit_code == 1
    assert result.stderr.startswith("calotype: the catalogue cannot be opened: ")
