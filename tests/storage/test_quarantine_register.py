"""What every quarantine must do, whatever its catalogue is made of."""

from datetime import timedelta

import pytest

from actors.storage.keeping import TRIMMED, Keeping
from actors.storage.quarantine import Suspect
from actors.storage.sqlite import SqliteCatalogue
from tests.storage.catalogues import Each, minute

YEAR = Keeping(most=100, age=timedelta(days=365))
NOW, THEN = "Pillow 13", "Pillow 12"


@pytest.fixture
def quarantine(catalogue):
    return Each(catalogue, "quarantine")


def note(quarantine, sha256="a1", tenant="acme", made_with=NOW, at=0, bounds=YEAR):
    return quarantine.note(tenant, sha256, made_with, "3f", minute(at), bounds)


def test_each_death_of_an_image_is_counted(quarantine):
    assert [note(quarantine, at=at) for at in range(3)] == [1, 2, 3]
    assert quarantine.deaths("acme", "a1", NOW) == 3


def test_of_an_image_that_has_done_nothing_there_are_none(quarantine):
    note(quarantine)

    assert quarantine.deaths("acme", "b2", NOW) == 0


def test_what_an_image_has_done_to_one_tenant_counts_for_no_other(quarantine):
    note(quarantine)

    assert quarantine.deaths("other", "a1", NOW) == 0
    assert note(quarantine, tenant="other") == 1


def test_with_other_versions_the_count_begins_anew(quarantine):
    note(quarantine, made_with=THEN)
    note(quarantine, made_with=THEN)

    assert quarantine.deaths("acme", "a1", NOW) == 0
    assert quarantine.newest(NOW, 10) == []
    assert note(quarantine) == 1
    assert quarantine.deaths("acme", "a1", THEN) == 0


def test_the_suspects_are_listed_with_the_last_death_first(quarantine):
    note(quarantine, "a1", at=0)
    note(quarantine, "b2", at=1)
    note(quarantine, "a1", at=2)

    def suspect(sha256, deaths, at):
        return Suspect(tenant="acme", sha256=sha256, deaths=deaths, job_id="3f", last_at=minute(at))

    assert quarantine.newest(NOW, 10) == [suspect("a1", 2, 2), suspect("b2", 1, 1)]
    assert [each.sha256 for each in quarantine.newest(NOW, 1)] == ["a1"]


def test_who_is_released_has_done_nothing_to_any_tenant(quarantine):
    note(quarantine)
    note(quarantine, tenant="other")
    note(quarantine, "b2")

    assert (quarantine.release("a1"), quarantine.release("a1")) == (2, 0)
    assert quarantine.deaths("acme", "a1", NOW) == 0
    assert quarantine.deaths("acme", "b2", NOW) == 1


def test_the_oldest_go_when_there_are_too_many(quarantine):
    for number in range(4):
        note(quarantine, f"{number}", at=number, bounds=Keeping(2, timedelta(days=1)))

    assert [each.sha256 for each in quarantine.newest(NOW, 10)] == ["3", "2"]


def test_the_old_go_when_others_come(quarantine):
    hour = Keeping(100, timedelta(hours=1))
    for number in range(TRIMMED):
        note(quarantine, f"{number}", bounds=hour)

    note(quarantine, "new", at=61, bounds=hour)

    assert [each.sha256 for each in quarantine.newest(NOW, 100)] == ["new"]


def test_a_quarantine_in_sqlite_survives_a_reopening(tmp_path):
    path = tmp_path / "jobs.db"
    catalogue = SqliteCatalogue(path)
    note(Each(catalogue, "quarantine"))
    catalogue.close()

    again = SqliteCatalogue(path)

    assert again.quarantine.deaths("acme", "a1", NOW) == 1
    again.close()
