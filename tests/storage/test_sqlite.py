"""What is particular to SQLite: the file, its schema, and what it does when the disk is full."""

import itertools
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from functools import partial

import pytest
from sqlite_utils import Database

from actors.storage.migrations.steps import STEPS as SCHEMA
from actors.storage.migrations.steps import migrations
from actors.storage.outbox import NewDelivery, Room, Share
from actors.storage.ports import Dead, Job, Output, Query, StorageFull, StorageUnavailable
from actors.storage.rows import time_text
from actors.storage.sqlite import SqliteCatalogue
from tests.conftest import NOON
from tests.storage.catalogues import (
    ANY,
    OUTPUT,
    RECEIPT,
    Each,
    new_image,
    new_job,
    output_of,
    some_id,
)


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
    each.complete("a", 1, [OUTPUT], RECEIPT, NOON)
    each.cancel("c", NOON)
    each.add_image(new_image("i"), NOON)
    each.add_image(new_image("j"), NOON)
    each.add(new_job("e", image="i"), NOON)
    each.delete_image("i")
    jobs, tally = each.page(Query(limit=9)).jobs, each.tally()
    first.close()

    second = SqliteCatalogue(path)
    again = Each(second)

    assert again.page(Query(limit=9)).jobs == jobs
    assert again.tally() == tally
    assert [job.id for job in again.processing()] == ["b"]
    assert again.find_image("j").key == "cd/j.gif"
    assert again.delete("e", NOON).inputs == ("cd/i.gif",)
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
    outputs = [replace(OUTPUT, details='{"ssim": 0.99}'), replace(OUTPUT, name="small")]
    each.complete("a", 1, outputs, '{"pillow": "13.0"}', NOON + timedelta(seconds=2))

    rows = look(
        "select id, status, priority, operation, attempts, json_extract(receipt, '$.pillow'), "
        "created_at, started_at, updated_at from jobs"
    )
    of_outputs = look(
        "select json_extract(value, '$.name'), json_extract(value, '$.width'), "
        "json_extract(json_extract(value, '$.details'), '$.ssim') from jobs, json_each(outputs)"
    )

    assert rows == [
        (
            *("a", "completed", "high", "thumbnail", 1, "13.0"),
            "2026-03-01T12:00:00.000000Z",
            "2026-03-01T12:00:01.000005Z",
            "2026-03-01T12:00:02.000000Z",
        )
    ]
    assert of_outputs == [("output", 2, 0.99), ("small", 2, None)]


def test_a_person_can_read_who_uses_which_image(catalogue, look):
    each = Each(catalogue)
    each.add_image(new_image("i"), NOON)
    each.add_image(new_image("j"), NOON)
    each.add(new_job("a", image="i", others=("j",)), NOON)
    each.delete_image("j")

    rows = look(
        "select jobs.id, images.id, images.format, images.created_at, images.deleted from uses "
        "join jobs on jobs.number = uses.job join images on images.id = uses.image"
    )

    assert sorted(rows) == [
        ("a", "i", "gif", "2026-03-01T12:00:00.000000Z", 0),
        ("a", "j", "gif", "2026-03-01T12:00:00.000000Z", 1),
    ]
    assert look("select image_id, others from jobs") == [("i", '{"j":"cd/j.gif"}')]


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


def test_the_log_is_empty_when_a_catalogue_is_opened(path, catalogue):
    assert path.with_name(f"{path.name}-wal").stat().st_size == 0


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

    assert [row[1] for row in applied] == list(SCHEMA)
    assert look("select migration_set, name, applied_at from _sqlite_migrations") == applied


def plans_of(catalogue, call) -> dict[str, list[str]]:
    """How SQLite does what `call` has it do, by statement."""
    connection = catalogue._db.conn
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    call(Each(catalogue))
    connection.set_trace_callback(None)
    # Beside them there are the transactions, and what triggers do, which is shown as a comment.
    return {
        statement: [row[3] for row in connection.execute(f"explain query plan {statement}")]
        for statement in map(str.strip, statements)
        if statement.startswith(("select", "insert", "update", "delete"))
    }


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        ({}, "tenant_number (tenant=?)"),
        ({"status": "failed"}, "tenant_status_number (tenant=? AND status=?)"),
        ({"operation": "resize"}, "tenant_operation_number (tenant=? AND operation=?)"),
        ({"preset": "card"}, "tenant_preset_number (tenant=? AND preset=?)"),
        (
            {"status": "failed", "operation": "resize"},
            "tenant_status_operation_number (tenant=? AND status=? AND operation=?)",
        ),
        ({"cursor": 9}, "tenant_number (tenant=? AND number<?)"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_the_list_of_a_tenant_is_read_through_an_index(catalogue, filters, index):
    (plan,) = plans_of(
        catalogue, lambda each: each.page(Query(limit=20, tenant="acme", **filters))
    ).values()

    # And not sorted: that would be a second line.
    assert plan == [f"SEARCH jobs USING INDEX idx_jobs_{index}"]


def test_what_is_processing_is_found_through_an_index(catalogue):
    (plan,) = plans_of(catalogue, lambda each: each.processing()).values()

    assert plan == ["SCAN jobs USING INDEX idx_jobs_processing"]


@pytest.mark.parametrize(
    "call",
    [
        lambda each, _: each.claim([ANY], NOON),
        lambda each, _: each.add(new_job(some_id(2), image=some_id(8), others=(some_id(9),)), NOON),
        lambda each, _: each.wake(NOON + timedelta(days=1), 9),
        lambda each, _: each.dead(Dead(limit=9, code="code", after=1)),
        lambda each, job: each.delete(job, NOON),
        lambda each, _: each.delete_image(some_id(8)),
        lambda each, job: each.known([f"ab/{job}.jpg", f"cd/{some_id(8)}.gif"]),
    ],
    ids=["claim", "add", "wake", "dead", "delete", "delete_image", "known"],
)
def test_no_table_is_read_from_end_to_end(catalogue, call):
    each = Each(catalogue)
    each.add_image(new_image(some_id(8)), NOON)
    each.add_image(new_image(some_id(9)), NOON)
    job = each.add(new_job(some_id(1), image=some_id(8), others=(some_id(9),)), NOON).id
    each.add(new_job(some_id(3)), NOON)

    plans = plans_of(catalogue, lambda each: call(each, job))

    assert plans
    assert [step for plan in plans.values() for step in plan if "SCAN" in step] == []


MANY = 2_000


def rows_looked_at(catalogue, call) -> int:
    """About how many rows SQLite goes to for `call`: it is asked at each jump of its program."""
    looks = 0

    def look() -> int:
        nonlocal looks
        looks += 1
        return 0

    catalogue._db.conn.set_progress_handler(look, 1)
    try:
        call()
    finally:
        catalogue._db.conn.set_progress_handler(None, 1)
    return looks


def add_jobs(catalogue):
    """Add many jobs, a minute apart."""
    for number in range(MANY):
        new = new_job(some_id(number), tenant="acme")
        catalogue.add(new, NOON + timedelta(minutes=number))


def add_images(catalogue):
    """Add many images, of which all but the last three are in use."""
    for number in range(MANY):
        image = some_id(MANY + number)
        catalogue.add_image(new_image(image), NOON)
        if number < MANY - 3:
            catalogue.add(new_job(some_id(number), image=image), NOON)


@pytest.mark.parametrize("filters", [{}, {"status": "pending"}, {"cursor": MANY - 1}])
@pytest.mark.parametrize("at", [-1, MANY // 2, MANY - 3, MANY])
def test_what_came_after_a_time_is_found_without_a_look_at_all_jobs(catalogue, filters, at):
    catalogue.batch([add_jobs])
    query = Query(limit=5, tenant="acme", created_after=NOON + timedelta(minutes=at), **filters)

    looked_at = rows_looked_at(catalogue, lambda: catalogue.page(query))

    assert len(catalogue.page(query).jobs) <= 5
    assert looked_at < MANY / 2


def test_what_came_after_a_time_is_looked_for_from_its_first(catalogue):
    query = Query(limit=5, tenant="acme", created_after=NOON)

    (plan,) = plans_of(catalogue, lambda each: each.page(query)).values()

    assert plan == [
        "SEARCH jobs USING INDEX idx_jobs_tenant_number (tenant=? AND number>?)",
        "SCALAR SUBQUERY 1",
        "SEARCH jobs USING COVERING INDEX idx_jobs_latest_at (latest_at>?)",
    ]


def test_the_list_is_whole_though_jobs_were_there_before_it_went_by_the_latest_time(path):
    path.parent.mkdir()
    database = Database(sqlite3.connect(path))
    migrations.apply(database, stop_before="0018_bounds")
    with database.conn:
        for number, minute in enumerate([3, 9, 4, 5]):
            database.execute(
                "insert into jobs (id, status, priority, position, operation, recipe, attempts, "
                "attempts_allowed, created_at, updated_at) "
                "values (?, 'pending', 'normal', 1, 'resize', '{}', 0, 3, ?, '')",
                [some_id(number), time_text(NOON + timedelta(minutes=minute))],
            )
    database.close()

    with closing(SqliteCatalogue(path)) as catalogue:
        latest = catalogue._db.execute("select latest_at from jobs order by number").fetchall()

    nine = time_text(NOON + timedelta(minutes=9))
    assert latest == [(time_text(NOON + timedelta(minutes=3)),), (nine,), (nine,), (nine,)]


def test_what_waited_before_tenants_had_their_places_is_sent_when_it_is_due(path):
    path.parent.mkdir()
    database = Database(sqlite3.connect(path))
    migrations.apply(database, stop_before="0018_bounds")
    now, rest = time_text(NOON), time_text(NOON + timedelta(minutes=5))
    with database.conn:
        for name, host, tenant in (("a", "x", "acme"), ("b", "x", "zeta"), ("c", "y", "acme")):
            database.execute(
                "insert into outbox (id, subject, tenant, url, type, payload, created_at, since, "
                "due_at) values (?, '', ?, ?, '', '', ?, ?, ?)",
                [name, tenant, f"https://{host}/", now, now, now],
            )
        database.execute(
            "update receivers set rests_until = ?, next_at = ? where host = 'x'", [rest, rest]
        )
    database.close()
    room = Room(9, Share(9), Share(9))

    with closing(SqliteCatalogue(path)) as catalogue:
        at_once = [each.id for each in catalogue.outbox.claim(room, NOON)]
        next_due = catalogue.outbox.next_due(room)
        later = [each.id for each in catalogue.outbox.claim(room, NOON + timedelta(minutes=5))]

    assert (at_once, next_due) == (["c"], NOON + timedelta(minutes=5))
    assert sorted(later) == ["a", "b"]


def test_images_that_nobody_needs_are_found_without_a_look_at_those_in_use(catalogue):
    catalogue.batch([add_images])
    found = []

    looked_at = rows_looked_at(
        catalogue, lambda: found.append(catalogue.retention.forget_images(NOON, 5))
    )

    assert found[0].of == 3
    assert looked_at < MANY / 2


def add_deliveries(catalogue, tenant="acme", at=NOON):
    """Add many deliveries, each to a host of its own."""
    for number in range(MANY):
        new = NewDelivery(
            id=f"{tenant} {number}",
            subject="a job",
            tenant=tenant,
            url=f"https://h{number}.example/",
            type="job.completed",
            payload="{}",
        )
        catalogue.outbox.add(new, at)


@pytest.mark.parametrize("before", [NOON - timedelta(days=1), NOON])
@pytest.mark.parametrize("kept", [0, MANY - 3, MANY, 2 * MANY])
def test_the_outbox_is_trimmed_without_a_look_at_what_stays(catalogue, kept, before):
    ended_at = NOON + timedelta(hours=1)
    catalogue.batch([add_deliveries, lambda it: it.outbox.give_up(NOON, ended_at, MANY)])

    looked_at = rows_looked_at(catalogue, lambda: catalogue.outbox.trim(kept, before, 5))

    assert catalogue.outbox.counts()["dead"] == max(MANY - 5, min(kept, MANY))
    assert looked_at < MANY / 2


@pytest.mark.parametrize("call", ["claim", "next_due"])
def test_the_deliveries_of_a_tenant_are_found_without_a_look_at_those_of_others(catalogue, call):
    later = partial(add_deliveries, tenant="zeta", at=NOON + timedelta(hours=1))
    catalogue.batch([add_deliveries, later])
    room = Room(1, Share(1), Share(1, {"acme": 1}))
    now = [NOON + timedelta(hours=1)] if call == "claim" else []

    looked_at = rows_looked_at(catalogue, lambda: getattr(catalogue.outbox, call)(room, *now))

    assert catalogue.outbox.counts()["sending"] == (1 if call == "claim" else 0)
    assert looked_at < MANY / 2


def test_the_uses_of_a_deleted_job_are_found_through_the_primary_key(catalogue, look):
    plan = look("explain query plan delete from uses where job = 1")

    assert [row[3].replace("COVERING ", "") for row in plan] == [
        "SEARCH uses USING INDEX sqlite_autoindex_uses_1 (job=?)"
    ]


def test_times_before_the_year_1000_sort_as_well(catalogue):
    each = Each(catalogue)
    each.add(new_job("a"), NOON)

    page = each.page(Query(limit=9, created_after=datetime(999, 1, 1, tzinfo=UTC)))

    assert [job.id for job in page.jobs] == ["a"]


def test_each_step_of_the_queue_reads_the_first_or_the_last_entry_of_an_index(catalogue):
    each = Each(catalogue)
    each.add(new_job("a"), NOON)
    each.add(new_job("b", run_at=NOON + timedelta(hours=1)), NOON)
    steps = {
        "add": lambda each: each.add(new_job("c"), NOON),
        "claim": lambda each: each.claim([("low",)], NOON),
        "wake": lambda each: each.wake(NOON + timedelta(days=1), 9),
    }

    read = {
        name: {step for plan in plans_of(catalogue, call).values() for step in plan}
        for name, call in steps.items()
    }

    assert "SEARCH jobs USING INDEX idx_jobs_places (priority=? AND tenant=?)" in read["add"]
    assert {
        "SEARCH jobs USING INDEX idx_jobs_ready (priority=?)",
        "SEARCH jobs USING INDEX idx_jobs_distant (priority=?)",
        "SEARCH jobs USING INDEX idx_jobs_fetching (status=?)",
    } <= read["claim"]
    assert {
        "SEARCH jobs USING INDEX idx_jobs_due (due=? AND <expr><?)",
        "SEARCH jobs USING INDEX idx_jobs_due (due=?)",
    } <= read["wake"]


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


# --- Catalogues of older versions -----------------------------------------------------------------


STEPS = '[{"op":"thumbnail","width":16,"height":9,"enlarge":true},{"op":"scale","factor":0.50}]'


@pytest.fixture
def old(path):
    """Make a catalogue of the first versions, and add jobs to it as they did."""
    path.parent.mkdir()
    database = Database(sqlite3.connect(path))
    migrations.apply(database, stop_before="0003_outputs")
    numbers = itertools.count(1)

    def add(name: str, **values: object) -> None:
        number = next(numbers)
        database.table("jobs").insert(
            {
                "number": number,
                "id": name,
                "status": "pending",
                "priority": "normal",
                "position": number,
                "operation": "resize",
                "recipe": '{"operations":[],"output":{"format":null,"quality":90}}',
                "input_key": f"ab/{name}.jpg",
                "input_size": 123,
                "attempts": 1,
                "attempts_allowed": 3,
                "created_at": "2026-03-01T12:00:00.000000Z",
                "updated_at": "2026-03-01T12:00:00.000000Z",
                **values,
            }
        )

    yield add
    database.close()


@pytest.fixture
def migrated(path, old):
    """Open the catalogue with the present version."""
    opened = []

    def open_it():
        opened.append(SqliteCatalogue(path))
        return Each(opened[-1])

    yield open_it
    for catalogue in opened:
        catalogue.close()


def test_a_job_of_an_older_version_keeps_its_output(old, migrated):
    old(
        "a",
        status="completed",
        output_key="ab/a-1.png",
        output_type="image/png",
        output_width=2,
        output_height=1,
        output_size=9,
        output_sha256="5f",
    )

    job = migrated().find("a")

    assert job.outputs == (
        Output(
            name="output",
            key="ab/a-1.png",
            media_type="image/png",
            width=2,
            height=1,
            size_bytes=9,
            sha256="5f",
        ),
    )
    assert (job.status, job.receipt, job.input_key) == ("completed", None, "ab/a.jpg")


def test_a_job_of_an_older_version_keeps_its_input_and_has_no_address(old, migrated, look):
    old("a")
    old("b", input_size=2**40)

    catalogue = migrated()

    jobs = [catalogue.find(name) for name in "ab"]
    assert [(job.input_key, job.input_size, job.image_url) for job in jobs] == [
        ("ab/a.jpg", 123, None),
        ("ab/b.jpg", 2**40, None),
    ]
    assert look("select sum(jobs) from tallies") == [(2,)]
    assert not [row for row in look("pragma table_info(jobs)") if row[1].startswith("old_")]


def test_a_job_of_an_older_version_has_no_output_if_it_had_none(old, migrated, look):
    old("a")
    job = migrated().find("a")

    assert job.outputs == ()
    assert (job.input_sha256, job.image_id, job.others, job.preset) == (None, None, {}, None)
    assert look("select outputs, receipt from jobs") == [(None, None)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f'{{"operations":{STEPS},"output":{{"format":"png","quality":80}}}}',
            f'{{"outputs":[{{"name":"output","operations":{STEPS},"format":"png","quality":80}}]}}',
        ),
        (
            '{"operations":[],"output":{"format":null,"quality":90}}',
            '{"outputs":[{"name":"output","operations":[],"format":null,"quality":90}]}',
        ),
        *[(same, same) for same in ('{"outputs": [{"name": "output"}]}', "[1]", "no JSON", "")],
    ],
    ids=["operations", "none", "new", "no_recipe", "no_json", "empty"],
)
def test_recipes_of_older_versions_are_said_in_the_new_way(old, migrated, before, after):
    old("a", recipe=before)
    old("b", recipe=before, status="failed", error_code="crashed", error="why")

    each = migrated()

    assert (each.find("a").recipe, each.find("b").recipe) == (after, after)


def test_jobs_of_older_versions_go_on_as_if_nothing_had_happened(old, migrated, look):
    ids = [some_id(number) for number in range(5)]
    old(ids[0], status="failed", error_code="crashed", error="why")
    old(ids[1], priority="low")
    old(ids[2], spared=1)
    old(ids[3], status="processing")
    old(
        ids[4],
        status="completed",
        output_key=output_of(ids[4], 1, 7).key,
        output_type="image/png",
        output_width=2,
        output_height=1,
        output_size=9,
        output_sha256="5f",
    )

    each = migrated()
    each.retry(ids[0], 3, NOON)
    claimed = each.claim([ANY] * 9, NOON)
    each.complete(ids[2], 2, [OUTPUT], RECEIPT, NOON)
    removed = each.delete(ids[4], NOON)

    assert [job.id for job in claimed] == [ids[2], ids[0], ids[1]]
    assert claimed[0].spared == 1
    assert (removed.inputs, removed.outputs) == (
        (f"ab/{ids[4]}.jpg",),
        (output_of(ids[4], 1, 7).key,),
    )
    assert each.known([f"ab/{ids[1]}.jpg", *removed.inputs]) == {f"ab/{ids[1]}.jpg"}
    assert each.tally().count("processing") == 3
    assert each.tally().count("completed") == 1
    assert each.tally().count("failed") == each.tally().count("pending") == 0
    assert look("select strict from pragma_table_list where name = 'jobs'") == [(1,)]


def test_a_catalogue_of_an_older_version_has_the_schema_of_a_new_one(old, migrated, look, tmp_path):
    old("a")
    migrated()
    new = SqliteCatalogue(tmp_path / "new.db")
    schema = "select name, sql from sqlite_master order by name"

    assert look(schema) == new._db.execute(schema).fetchall()
    new.close()
