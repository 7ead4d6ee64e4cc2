"""What retention must leave: records that somebody is still to hear of, and what others have."""

from dataclasses import replace
from datetime import timedelta

from actors.storage.batches import NewBatch
from actors.storage.retention import Rules
from tests.storage.catalogues import (
    ANY,
    OUTPUT,
    RECEIPT,
    minute,
    new_image,
    new_job,
)

HOUR = Rules(results=timedelta(hours=1))
LATER = minute(600)


def complete(each, name, **changes):
    each.add(replace(new_job(name), **changes), minute(0))
    (job,) = each.claim([ANY], minute(0))
    output = replace(OUTPUT, key=f"ab/{name}.png")
    each.complete(name, job.attempts, [output], RECEIPT, minute(0))


def forget(each):
    each.do(lambda it: it.retention.expire(HOUR, LATER, 9))
    each.do(lambda it: it.retention.purge(LATER, 9))
    removed = each.do(lambda it: it.retention.forget_records(LATER, 9, LATER))
    return [one.job.id for one in removed]


def test_a_record_stays_until_its_webhook_has_been_delivered(each):
    complete(each, "a", callback_url="https://example.org/")
    complete(each, "b")

    assert forget(each) == ["b"]
    (delivery,) = each.do(lambda it: it.outbox.of("a", 9))
    assert delivery.fate == "pending"


def test_uploads_do_not_drive_out_the_results_of_others(each):
    complete(each, "a")
    room = each.do(lambda it: it.retention.stored())
    each.add_image(new_image("i"), minute(1))
    each.add(new_job("pending"), minute(1))

    assert each.do(lambda it: it.retention.expire(Rules(max_bytes=room), LATER, 9)) == []
    assert each.do(lambda it: it.retention.expire(Rules(max_bytes=room - 1), LATER, 9)) == ["a"]


def test_a_batch_is_counted_whole_until_it_has_ended(each):
    each.do(lambda it: it.batches.add(NewBatch(id="x"), minute(0)))
    complete(each, "a", batch_id="x")
    each.add(replace(new_job("b"), batch_id="x"), minute(0))

    assert forget(each) == []
    each.cancel("b", minute(0))
    assert sorted(forget(each) + forget(each)) == ["a", "b"]
