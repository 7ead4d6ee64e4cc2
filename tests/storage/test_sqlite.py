"""What is particular to SQLite: the file, its schema, and what it does when the disk is full."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from actors.storage.ports import Job, Output, Query, StorageFull, StorageUnavailable
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.test_contract import ANY, OUTPUT, Each, new_job


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "calotype.db"


@pytest.fixture
def catalogue(path):
    opened = SqliteCatalogue(path)
    yield opened
    opened.close()


@pytest.fixture
def look(path):
    """Look into the file as a person would, with a connection of one's own."""

    def query(sql: str) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return query


def fill(catalogue) -> None:
    """Leave no room for another page."""
    (pages,) = catalogue._db.execute("pragma page_count").fetchone()
    catalogue._db.execute(f"pragma max_page_count = {pages}").fetchall()


def make_room(catalogue) -> None:
    catalogue._db.execute("pragma max_page_count = 1000000").fetchall()


def large(name: str):
    """Return a job that does not fit into what is left of a page."""
    return new_job(name, operation="x" * 20_000)


def test_reopening_keeps_everything(path):
    first = SqliteCatalogue(path)
    each = Each(first)
    for name in ("a", "b", "c", "d"):
        each.add(new_job(name), NOON)
    each.claim([ANY, ANY], NOON)
    each.complete("a", 1, OUTPUT, NOON)
    each.cancel("c", NOON)
    jobs, tally = each.page(Query(limit=9)).jobs, each.tally()
    first.close()

    second = SqliteCatalogue(path)
    again = Each(second)

    assert again.page(Query(limit=9)).jobs == jobs
    assert again.tally() == tally
    assert [job.id for job in again.processing()] == ["b"]
    second.close()


def test_the_order_of_the_queue_survives_a_reopening(path):
    first = SqliteCatalogue(path)
    each = Each(first)
    for name in "abc":
        each.add(new_job(name), NOON)
    each.cancel("a", NOON)
    each.retry("a", 3, NOON)
    first.close()

    second = SqliteCatalogue(path)
    claimed = Each(second).claim([ANY] * 3, NOON)
    second.close()

    assert [job.id for job in claimed] == ["b", "c", "a"]


def test_a_person_can_read_the_jobs(catalogue, look):
    each = Each(catalogue)
    each.add(new_job("a", "high", "thumbnail"), NOON)
    each.claim([ANY], NOON + timedelta(seconds=1, microseconds=5))
    each.complete(
        "a",
        1,
        Output(
            key="ab/a-1.png", media_type="image/png", width=2, height=1, size_bytes=9, sha256="5f"
        ),
        NOON + timedelta(seconds=2),
    )

    rows = look(
        "select id, status, priority, operation, attempts, output_key, output_type, output_width, "
        "created_at, started_at, updated_at from jobs"
    )

    assert rows == [
        (
            *("a", "completed", "high", "thumbnail", 1, "ab/a-1.png", "image/png", 2),
            "2026-03-01T12:00:00.000000Z",
            "2026-03-01T12:00:01.000005Z",
            "2026-03-01T12:00:02.000000Z",
        )
    ]


def test_a_person_can_read_the_tallies(catalogue, look):
    each = Each(catalogue)
    each.add(new_job("a", "high"), NOON)
    each.add(new_job("b", "high"), NOON)
    each.claim([ANY], NOON)

    rows = look("select status, priority, jobs from tallies where jobs > 0 order by status")

    assert rows == [("pending", "high", 1), ("processing", "high", 1)]
    assert look("select count(*) from tallies") == [(15,)]


def test_times_are_kept_in_utc_wherever_they_come_from(catalogue, look):
    moment = datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))

    job = Each(catalogue).add(new_job("a"), moment)

    assert look("select created_at from jobs") == [("2026-03-01T12:00:00.000000Z",)]
    assert job.created_at == moment
    assert job.created_at.tzinfo == UTC


def test_a_commit_is_durable_and_does_not_stop_readers(catalogue, look):
    (synchronous,) = catalogue._db.execute("pragma synchronous").fetchone()

    assert look("pragma journal_mode") == [("wal",)]
    assert synchronous == 2  # FULL: every commit is synced to the disk.


def test_what_a_batch_has_not_committed_nobody_else_sees(catalogue, look):
    seen = []

    catalogue.batch(
        [
            lambda it: it.add(new_job("a"), NOON),
            lambda _: seen.extend(look("select count(*) from jobs")),
        ]
    )

    assert seen == [(0,)]
    assert look("select count(*) from jobs") == [(1,)]


def test_the_steps_of_the_schema_are_recorded_and_taken_once(path, catalogue, look):
    applied = look("select migration_set, name, applied_at from _sqlite_migrations")
    SqliteCatalogue(path).close()

    assert [row[1] for row in applied] == ["0001_jobs", "0002_spared"]
    assert look("select migration_set, name, applied_at from _sqlite_migrations") == applied


def test_a_list_by_status_and_operation_is_read_through_an_index(catalogue, look):
    plan = look(
        "explain query plan select * from jobs where status = 'failed' and operation = 'resize' "
        "order by number desc limit 20"
    )

    # And not sorted: that would be a second line.
    assert [row[3] for row in plan] == [
        "SEARCH jobs USING INDEX idx_jobs_status_operation_number (status=? AND operation=?)"
    ]


def test_times_before_the_year_1000_sort_as_well(catalogue):
    each = Each(catalogue)
    each.add(new_job("a"), NOON)

    page = each.page(Query(limit=9, created_after=datetime(999, 1, 1, tzinfo=UTC)))

    assert [job.id for job in page.jobs] == ["a"]


def test_the_queue_is_read_through_an_index(catalogue, look):
    plan = look(
        "explain query plan select number from jobs where status = 'pending' and priority = 'low' "
        "order by position limit 1"
    )

    # And not sorted: that would be a second line.
    assert [row[3].replace("COVERING ", "") for row in plan] == [
        "SEARCH jobs USING INDEX idx_jobs_queue (priority=?)"
    ]


def test_a_full_disk_loses_the_whole_batch_and_says_so(catalogue):
    each = Each(catalogue)
    each.add(new_job("a"), NOON)
    before = each.page(Query(limit=9)), each.tally()
    fill(catalogue)

    with pytest.raises(StorageFull):
        catalogue.batch(
            [
                lambda it: it.claim([ANY], NOON),
                lambda it: it.add(large("b"), NOON),
                lambda it: it.add(new_job("c"), NOON),
            ]
        )

    assert (each.page(Query(limit=9)), each.tally()) == before


def test_a_catalogue_works_again_when_there_is_room_again(catalogue):
    each = Each(catalogue)
    fill(catalogue)
    with pytest.raises(StorageFull):
        each.add(large("a"), NOON)

    make_room(catalogue)

    assert isinstance(each.add(large("a"), NOON), Job)
    assert each.pending() == 1


def test_a_bug_in_a_call_loses_the_whole_batch(catalogue):
    each = Each(catalogue)

    with pytest.raises(ZeroDivisionError):
        catalogue.batch([lambda it: it.add(new_job("a"), NOON), lambda _: 1 // 0])

    assert each.pending() == 0
    assert isinstance(each.add(new_job("a"), NOON), Job)


def test_a_catalogue_that_somebody_else_has_locked_is_unavailable_for_now(path, catalogue):
    each = Each(catalogue)
    catalogue._db.execute("pragma busy_timeout = 0").fetchall()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("begin immediate")

    with pytest.raises(StorageUnavailable, match="locked"):
        each.add(new_job("a"), NOON)
    other.execute("rollback")
    other.close()

    assert each.add(new_job("a"), NOON).status == "pending"


def test_a_place_that_is_no_directory_is_unavailable(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StorageUnavailable):
        SqliteCatalogue(tmp_path / "file" / "calotype.db")


def test_a_file_that_is_no_catalogue_is_unavailable_and_stays_as_it_is(tmp_path):
    letter = tmp_path / "calotype.db"
    letter.write_bytes(b"Dear diary, " * 1_000)

    with pytest.raises(StorageUnavailable):
        SqliteCatalogue(letter)

    assert letter.read_bytes() == b"Dear diary, " * 1_000


def test_a_text_that_is_damaged_is_unavailable(catalogue):
    each = Each(catalogue)
    each.add(new_job("a"), NOON)
    catalogue._db.execute("update jobs set recipe = cast(x'ff' as text)")

    # An error of Python's own, which has no code of SQLite's.
    with pytest.raises(StorageUnavailable, match="decode"):
        each.find("a")


def test_any_thread_may_use_it_though_one_at_a_time(catalogue):
    each = Each(catalogue)
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        one.submit(each.add, new_job("a"), NOON).result()
        other.submit(each.add, new_job("b"), NOON).result()

    assert each.pending() == 2


def test_a_catalogue_of_a_newer_version_is_unavailable(path):
    catalogue = SqliteCatalogue(path)
    catalogue._db.execute(
        "insert into _sqlite_migrations (migration_set, name, applied_at) "
        "values ('calotype', '9999_telepathy', '2036-01-01T00:00:00Z')"
    )
    catalogue.close()

    with pytest.raises(StorageUnavailable, match="newer version"):
        SqliteCatalogue(path)


def test_each_catalogue_has_a_name_of_its_own_and_keeps_it(path, tmp_path):
    first, other = SqliteCatalogue(path), SqliteCatalogue(tmp_path / "other.db")
    names = first.identity, other.identity
    first.close()
    other.close()

    again = SqliteCatalogue(path)

    assert again.identity == names[0] != names[1]
    again.close()
