"""What retention must leave: records that somebody is still to hear of, and what others have."""

from dataclasses import replace
from datetime import timedelta

import pytest

from actors.storage.batches import NewBatch
from actors.storage.retention import Rules
from tests.storage.test_contract import (
    CATALOGUES,
    OUTPUT,
    RECEIPT,
    Each,
    minute,
    new_image,
    new_job,
)

ANY = ("high", "normal", "low")
HOUR = Rules(results=timedelta(hours=1))
LATER = minute(600)


@pytest.fixture(params=CATALOGUES)
def catalogue(request, tmp_path):
    opened = CATALOGUES[request.param](tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def do(catalogue):
    """Have one call done in a transaction of its own."""

    def do_one(call):
        (result,) = catalogue.batch([call])
        return result

    return do_one


def complete(each, name, **changes):
    each.add(replace(new_job(name), **changes), minute(0))
    (job,) = each.claim([ANY], minute(0))
    output = replace(OUTPUT, key=f"ab/{name}.png")
    each.complete(name, job.attempts, [output], RECEIPT, minute(0))


def forget(do):
    do(lambda it: it.retention.expire(HOUR, LATER, 9))
    do(lambda it: it.retention.purge(LATER, 9))
    return [
        removed.job.id for removed in do(lambda it: it.retention.forget_records(LATER, 9, LATER))
    ]


def test_a_record_stays_until_its_webhook_has_been_delivered(catalogue, do):
    each = Each(catalogue)
    complete(each, "a", callback_url="https://example.org/")
    complete(each, "b")

    assert forget(do) == ["b"]
    (delivery,) = do(lambda it: it.outbox.of("a", 9))
    assert delivery.fate == "pending"


def test_uploads_do_not_drive_out_the_results_of_others(catalogue, do):
    each = Each(catalogue)
    complete(each, "a")
    room = do(lambda it: it.retention.stored())
    each.add_image(new_image("i"), minute(1))
    each.add(new_job("pending"), minute(1))

    assert do(lambda it: it.retention.expire(Rules(max_bytes=room), LATER, 9)) == []
    assert do(lambda it: it.retention.expire(Rules(max_bytes=room - 1), LATER, 9)) == ["a"]


def test_a_batch_is_counted_whole_until_it_has_ended(catalogue, do):
    each = Each(catalogue)
    do(lambda it: it.batches.add(NewBatch(id="x"), minute(0)))
    complete(each, "a", batch_id="x")
    each.add(replace(new_job("b"), batch_id="x"), minute(0))

    assert forget(do) == []
    each.cancel("b", minute(0))
    assert sorted(forget(do) + forget(do)) == ["a", "b"]
