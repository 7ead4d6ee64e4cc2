"""What every register of upkeep must do, whatever its catalogue is made of."""

from dataclasses import replace
from datetime import timedelta

import pytest

from actors.storage.ports import ImageNotFound, JobNotFound, Query, Seal, WrongStatus
from actors.storage.retention import Rules
from tests.conftest import NOON
from tests.storage.catalogues import (
    ANY,
    OUTPUT,
    RECEIPT,
    Each,
    minute,
    names,
    new_image,
    new_job,
    output_of,
    some_id,
)

JOB, OTHER, IMAGE = some_id(1), some_id(2), some_id(3)


@pytest.fixture
def upkeep(catalogue):
    return Each(catalogue, "upkeep")


@pytest.fixture
def keep(catalogue):
    return Each(catalogue, "retention")


@pytest.fixture
def finish(each):
    """Have a job completed."""

    def finish(new, outputs=(OUTPUT,)):
        each.add(new, NOON)
        each.claim([ANY], minute(1))
        return each.complete(new.id, 1, outputs, RECEIPT, minute(2))

    return finish


def test_all_jobs_come_in_pages_and_those_whose_files_went_do_not(each, upkeep, keep, finish):
    finish(new_job(JOB))
    finish(new_job(OTHER))
    each.add(new_job("last"), minute(3))
    keep.expire(Rules(results=timedelta()), minute(4), 1)

    marked = [job.id for _, job in upkeep.jobs(0, 9)]
    keep.purge(minute(5), 9)
    (number, first), *others = upkeep.jobs(0, 9)

    assert marked == [JOB, OTHER, "last"]
    assert [first.id, *[job.id for _, job in others]] == [OTHER, "last"]
    assert first == each.find(OTHER)
    assert [job.id for _, job in upkeep.jobs(number, 1)] == ["last"]
    assert upkeep.jobs(others[0][0], 9) == []


def test_the_file_that_is_a_jobs_own_has_a_seal_and_that_of_an_image_is_the_images(each, upkeep):
    each.add_image(new_image(IMAGE), NOON)
    each.add(new_job(JOB), NOON)
    each.add(new_job(OTHER, image=IMAGE), NOON)

    own, shared = (job.own_input for _, job in upkeep.jobs(0, 9))

    assert own == (f"ab/{JOB}.jpg", Seal(123, "1a"))
    assert shared is None
    assert [image.seal for image in upkeep.images("", 9)] == [Seal(456, "2b")]


def test_all_images_come_in_pages_also_those_that_only_jobs_need(each, upkeep):
    for number in (3, 1, 2):
        each.add_image(new_image(some_id(number)), NOON)
    each.add(new_job(JOB, image=some_id(2)), NOON)
    each.delete_image(some_id(2))
    each.delete_image(some_id(3))

    found = upkeep.images("", 1)
    more = upkeep.images(found[-1].id, 9)

    assert [image.id for image in (*found, *more)] == [some_id(1), some_id(2)]
    assert upkeep.images(more[-1].id, 9) == []


def test_a_job_that_is_made_again_is_pending_without_its_results(each, upkeep, keep, finish):
    before = finish(new_job(JOB, max_attempts=2), [output_of(JOB, 1, each) for each in (1, 2)])
    each.add(new_job(OTHER), minute(3))

    assert upkeep.remake(JOB, minute(4)) == before
    job = each.find(JOB)
    assert (job.status, job.outputs, job.receipt) == ("pending", (), None)
    assert (job.attempts, job.attempts_allowed, job.updated_at) == (1, 3, minute(4))
    assert (job.input_key, job.own_input) == (before.input_key, before.own_input)
    assert keep.stored() == 2 * 123
    claimed = each.claim([ANY, ANY], minute(5))
    assert names(claimed) == [OTHER, JOB]
    assert each.complete(JOB, 2, [OUTPUT], RECEIPT, minute(6)).outputs == (OUTPUT,)


def test_only_what_is_completed_and_kept_is_made_again(each, upkeep, keep, finish):
    finish(new_job(OTHER))
    keep.expire(Rules(results=timedelta()), minute(4), 9)
    each.add(new_job(JOB), minute(5))

    for name in (JOB, OTHER):
        with pytest.raises(WrongStatus):
            upkeep.remake(name, minute(6))
    with pytest.raises(JobNotFound):
        upkeep.remake("nowhere", minute(6))


def test_a_pending_job_that_is_refused_has_failed_and_whoever_waits_is_told(
    each, upkeep, catalogue
):
    url = "https://example.org/told"
    each.add(replace(new_job(JOB), callback_url=url), NOON)
    each.add(replace(new_job(OTHER, run_at=minute(60)), callback_url=url), NOON)

    for name in (JOB, OTHER):
        job = upkeep.refuse(name, "It is lost.", minute(1))
        assert job == each.find(name)
        assert (job.status, job.error_code, job.error) == ("failed", "crashed", "It is lost.")
    sent = Each(catalogue, "outbox").counts()
    assert sum(sent.values()) == 2
    assert each.tally().waiting["normal"] == 0
    assert each.claim([ANY], minute(90)) == []
    with pytest.raises(WrongStatus):
        upkeep.refuse(JOB, "Again.", minute(2))


def test_a_job_that_has_lost_its_files_is_gone_as_by_retention(each, upkeep, keep, finish):
    job = finish(new_job(JOB))

    upkeep.lose(JOB, minute(3))

    assert each.find(JOB) == replace(job, gone_at=minute(3))
    assert keep.stored() == 0
    unneeded = keep.purge(minute(3), 9)
    assert (unneeded.inputs, unneeded.outputs) == ((job.input_key,), (OUTPUT.key,))
    with pytest.raises(WrongStatus):
        upkeep.lose(JOB, minute(4))


def test_a_job_that_has_not_ended_loses_nothing(each, upkeep):
    each.add(new_job(JOB), NOON)

    for lose in (upkeep.lose, upkeep.lose_input):
        with pytest.raises(WrongStatus):
            lose(JOB, NOON)


def test_a_completed_job_can_do_without_its_input(each, upkeep, keep, finish):
    job = finish(new_job(JOB))

    upkeep.lose_input(JOB, minute(3))

    found = each.find(JOB)
    assert (found.input_key, found.input_size, found.own_input) == (None, None, None)
    assert found.outputs == job.outputs
    assert keep.stored() == OUTPUT.size_bytes
    assert each.known({OUTPUT.key, str(job.input_key)}) <= {OUTPUT.key}


def test_an_image_that_is_lost_is_forgotten_although_jobs_need_it(each, upkeep, keep):
    image = each.add_image(new_image(IMAGE), NOON)
    each.add(new_job(JOB, image=IMAGE, others=()), NOON)

    assert upkeep.lose_image(IMAGE) == image.key
    assert upkeep.images("", 9) == []
    assert keep.stored() == 0
    with pytest.raises(ImageNotFound):
        each.find_image(IMAGE)
    with pytest.raises(ImageNotFound):
        upkeep.lose_image(IMAGE)
    assert names(each.page(Query(limit=9)).jobs) == [JOB]
    each.delete(JOB, minute(1))
