"""What every audit must do, whatever its catalogue is made of."""

from datetime import timedelta

from actors.storage.audit import Act, Entry
from actors.storage.keeping import TRIMMED, Keeping
from actors.storage.ports import JobNotFound
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import minute
from tests.storage.memory.catalogue import MemoryCatalogue

YEAR = Keeping(most=100, age=timedelta(days=365))


def act(subject: str, **changes) -> Act:
    return Act(**{"action": "job_deleted", "subject": subject, "tenant": "acme", **changes})


def note(catalogue, bounds, *acts, at=0):
    catalogue.batch(
        [lambda it, each=each: it.audit.note(each, minute(at), bounds) for each in acts]
    )


def newest(catalogue, limit=100):
    (entries,) = catalogue.batch([lambda it: it.audit.newest(limit)])
    return entries


def test_an_act_is_listed_as_it_was_noted_and_the_newest_first(catalogue):
    note(catalogue, YEAR, act("a", key_id="5f"))
    note(catalogue, YEAR, act("b", user="größer", details={"name": "🖼 '\"; --"}), at=1)

    assert newest(catalogue) == [
        Entry(
            action="job_deleted",
            subject="b",
            tenant="acme",
            user="größer",
            details={"name": "🖼 '\"; --"},
            number=2,
            at=minute(1),
        ),
        Entry(
            action="job_deleted", subject="a", tenant="acme", key_id="5f", number=1, at=minute(0)
        ),
    ]
    assert [entry.subject for entry in newest(catalogue, 1)] == ["b"]


def test_the_oldest_go_when_there_are_too_many(catalogue):
    note(catalogue, Keeping(2, timedelta(days=1)), act("a"), act("b"), act("c"))

    assert [(entry.number, entry.subject) for entry in newest(catalogue)] == [(3, "c"), (2, "b")]


def test_the_old_go_when_others_come(catalogue):
    hour = Keeping(100, timedelta(hours=1))
    note(catalogue, hour, *(act(str(number)) for number in range(TRIMMED)))

    note(catalogue, hour, act("new"), at=61)

    assert [entry.subject for entry in newest(catalogue)] == ["new"]


def test_an_act_and_its_entry_share_a_transaction(catalogue):
    def delete_nothing(it):
        it.audit.note(act("a"), minute(0), YEAR)
        it.delete("a", NOON)

    (result,) = catalogue.batch([delete_nothing])

    assert type(result) is JobNotFound
    assert newest(catalogue) == []


def test_an_audit_in_sqlite_survives_a_reopening(tmp_path):
    catalogue = SqliteCatalogue(tmp_path / "calotype.db")
    note(catalogue, YEAR, act("a"))
    catalogue.close()

    again = SqliteCatalogue(tmp_path / "calotype.db")

    assert [entry.subject for entry in again.audit.newest(1)] == ["a"]
    again.close()


def test_a_copy_of_an_audit_in_memory_changes_on_its_own():
    audit = MemoryCatalogue().audit
    copy = audit.copy()

    audit.note(act("a"), minute(0), YEAR)

    assert copy.newest(1) == []
