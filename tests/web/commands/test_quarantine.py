"""The command `calotype quarantine`."""

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from actors.imaging.receipt import made_with
from actors.storage.opening import open_beside
from actors.storage.quarantine import SUSPECTS
from web.commands.quarantine import quarantine

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ONE, OTHER = 64 * "a", 64 * "b"


@pytest.fixture(autouse=True)
def catalogue(tmp_path, monkeypatch):
    """The place of a catalogue in which one image has ended three processes, and another one."""
    path = tmp_path / "calotype.db"
    monkeypatch.setenv("DB_PATH", str(path))
    monkeypatch.setattr("web.commands.quarantine.configure_logs", lambda *_: None)

    def note(it):
        for sha256 in (ONE, ONE, ONE, OTHER):
            it.quarantine.note("acme", sha256, made_with(), "3f", NOON, SUSPECTS)

    with open_beside(path) as opened:
        opened.batch([note])
    return path


def run(*words, code=0):
    result = CliRunner().invoke(quarantine, words, catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result.output


def test_suspects_are_listed_with_what_becomes_of_them():
    assert run("list").splitlines() == [
        f"2026-03-01 12:00:00Z  {OTHER}    1  suspected  acme      job 3f",
        f"2026-03-01 12:00:00Z  {ONE}    3  held       acme      job 3f",
    ]


def test_suspects_are_listed_for_programs():
    (last,) = json.loads(run("list", "--json", "--limit", "1"))

    assert (last["sha256"], last["deaths"], last["tenant"]) == (OTHER, 1, "acme")


def test_an_image_that_is_released_is_gone_and_the_audit_knows(catalogue):
    run("release", ONE)

    with open_beside(catalogue) as opened:
        (entry,) = opened.audit.newest(10)
        assert [each.sha256 for each in opened.quarantine.newest(made_with(), 10)] == [OTHER]
    assert (entry.action, entry.subject) == ("image_released", ONE)


def test_the_audit_is_kept_as_the_operator_says(catalogue, monkeypatch):
    monkeypatch.setenv("MAX_AUDIT", "1")
    run("release", ONE)
    run("release", OTHER)

    with open_beside(catalogue) as opened:
        assert [entry.subject for entry in opened.audit.newest(10)] == [OTHER]


def test_what_is_not_there_cannot_be_released(catalogue):
    assert "there is no image" in run("release", 64 * "c", code=1)

    with open_beside(catalogue) as opened:
        assert opened.audit.newest(10) == []


@pytest.mark.parametrize("word", ["", "abc", 64 * "g", 64 * "A", f"{ONE}\n"])
def test_what_is_no_digest_is_refused(word):
    assert "no SHA-256" in run("release", word, code=2)
