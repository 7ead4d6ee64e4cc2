"""Batches that clients send, as a message or as a problem that says all that is wrong with them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.recipe import Output, Recipe
from actors.messages import Submit, SubmitBatch
from actors.storage.ports import Elsewhere
from web.batch_order import BatchOrder, batch_order
from web.problems import MAX_FAULTS, Problem
from web.wire import Body, Offer, WireLimits

LIMITS = WireLimits(image=1000, json=100_000, retain=100, batch=200)
URL = "https://example.org/a.jpg"
RESIZE: dict[str, Any] = {"operation": "resize", "width": 30, "height": 20}
TOO_SMALL = 'must be pixels from 1 to 4096, or a share above 0 such as "25%"'
RECIPE = Recipe((Output(operations=(Resize(30, 20),)),))


def submission(members: dict[str, Any], content_type: str = "application/json") -> BatchOrder:
    return batch_order(Body(content_type, json.dumps(members).encode()), LIMITS, Offer())


def faults_of(members: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(Problem) as refused:
        submission(members)
    assert refused.value.code == "invalid"
    return {fault.pointer: fault.detail for fault in refused.value.faults}


def test_each_job_is_what_it_would_be_alone():
    order = submission(
        {
            "jobs": [
                {"image_id": "a", **RESIZE},
                {"image_url": URL, **RESIZE, "priority": "high", "retain": 9},
            ]
        }
    )

    first, second = order.batch.jobs
    assert first == Submit("a", "resize", RECIPE, "normal")
    assert second == Submit(Elsewhere(URL), "resize", RECIPE, "high", retain=9)


def test_what_a_job_leaves_out_is_as_in_the_defaults():
    order = submission(
        {
            "defaults": {"image_id": "a", **RESIZE, "priority": "low"},
            "jobs": [
                {},
                {"width": 40, "priority": "high"},
                {"operation": "thumbnail", "priority": None},
            ],
        }
    )

    plain = Submit("a", "resize", RECIPE, "low")
    wider = Recipe((Output(operations=(Resize(40, 20),)),))
    thumbnail = Recipe((Output(operations=(Thumbnail(30, 20),)),))
    assert order.batch.jobs == (
        plain,
        replace(plain, recipe=wider, priority="high"),
        replace(plain, operation="thumbnail", recipe=thumbnail),
    )


def test_the_batch_has_a_callback_and_metadata_of_its_own():
    order = submission(
        {
            "jobs": [{"image_id": "a", **RESIZE, "metadata": {"page": 1}}],
            "callback_url": "HTTPS://Example.org/hook",
            "metadata": {"album": 7},
        }
    )

    assert order.batch.callback_url == "https://example.org/hook"
    assert order.batch.metadata == '{"album":7}'
    assert order.batch.jobs[0].callback_url is None
    assert order.batch.jobs[0].metadata == '{"page":1}'


def test_every_fault_of_every_job_is_found_and_pointed_at():
    good = {"image_id": "a", **RESIZE}

    faults = faults_of(
        {
            "jobs": [
                good,
                {**good, "width": 0, "colour": "red"},
                "no object",
                {**RESIZE},
                {"image_id": "a", "operations": [{"op": "resize", "width": 0}]},
                {**good, "image_url": URL},
                {**good, "image_data": "AAAA"},
                {**good, "image_id": None, "image_url": "http://127.0.0.1/"},
            ],
            "metadata": 3,
            "callback_url": "ftp://example.org/",
            "surprise": 1,
        }
    )

    assert {place: why.partition(":")[0] for place, why in faults.items()} == {
        "/jobs/1/width": TOO_SMALL,
        "/jobs/1/colour": "is no parameter here",
        "/jobs/2": "must be an object",
        "/jobs/3": "must have an image_id or an image_url",
        "/jobs/4/operations/0/width": TOO_SMALL,
        "/jobs/5": "must have one image, not two",
        "/jobs/6/image_data": "cannot be sent with a batch",
        "/jobs/7/image_url": "cannot be fetched",
        "/metadata": faults["/metadata"],
        "/callback_url": "cannot be called",
        "/surprise": "is no parameter here",
    }


def test_what_is_wrong_in_the_defaults_is_wrong_once():
    jobs = [{"image_id": "a"}, {"image_id": "b", "width": 10}, {"image_id": "c"}]

    faults = faults_of({"defaults": {**RESIZE, "width": 0, "retain": 101}, "jobs": jobs})

    assert faults.keys() == {"/defaults/width", "/defaults/retain"}


def test_what_is_missing_is_missing_in_each_job():
    defaults = {"image_id": "a", "operation": "watermark"}

    faults = faults_of({"defaults": defaults, "jobs": [{}, {"image": "m"}, {}]})

    why = "or a text is missing"
    assert faults == {"/jobs/0/image": why, "/jobs/2/image": why}


def test_there_are_no_more_faults_than_can_be_told():
    faults = faults_of({"jobs": [{"image_id": "a", "operation": "none"}] * 200})

    assert len(faults) == MAX_FAULTS
    assert "/jobs/99/operation" in faults


@pytest.mark.parametrize("jobs", [None, [], {}, "jobs", [{"image_id": "a", **RESIZE}] * 201])
def test_a_batch_has_some_jobs_but_not_too_many(jobs):
    assert faults_of({"jobs": jobs}) == {"/jobs": "must be a list of 1 to 200 objects"}


def test_defaults_are_an_object():
    jobs = [{"image_id": "a", **RESIZE}]

    assert faults_of({"jobs": jobs, "defaults": []}) == {"/defaults": "must be an object"}


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        ("text/plain", b"{}", "unsupported_media_type"),
        ("multipart/form-data; boundary=B", b"", "unsupported_media_type"),
        ("application/json", b"[]", "malformed"),
        ("application/json", b"{", "malformed"),
        ("application/json; charset=utf-8", b'{"jobs":"\xff"}', "malformed"),
        ("application/json", b'{"jobs":[' + b"[" * 40 + b"]" * 40 + b"]}", "malformed"),
        ("application/json", b" " * 100_001, "too_large"),
    ],
)
def test_what_is_no_batch_is_refused(content_type, body, code):
    with pytest.raises(Problem) as refused:
        batch_order(Body(content_type, body), LIMITS, Offer())

    assert refused.value.code == code


def test_images_that_are_not_there_are_pointed_at_wherever_they_are_named():
    watermark: dict[str, Any] = {"operation": "watermark", "image": "mark"}
    order = submission(
        {
            "defaults": {"image_id": "a", **watermark},
            "jobs": [{}, {"image_id": "b"}, {"image": "other"}, {}, {"image_id": "b"}],
        }
    )

    problem = order.without(frozenset({"b", "mark", "other"}))

    assert [fault.pointer for fault in problem.faults] == [
        "/defaults/image",
        "/jobs/1/image_id",
        "/jobs/2/image",
        "/jobs/4/image_id",
    ]


def test_a_batch_of_one_is_a_message_like_any_other():
    order = submission({"jobs": [{"image_id": "a", **RESIZE}]})

    assert order.batch == SubmitBatch((Submit("a", "resize", RECIPE, "normal"),))


def test_defaults_that_would_be_said_too_often_are_too_large():
    defaults = {"image_id": "a", "operation": "blur", "sigma": 5, "metadata": {"a": "b" * 1000}}
    data = json.dumps({"defaults": defaults, "jobs": [{}] * 500}).encode()
    fewer = json.dumps({"defaults": defaults, "jobs": [{}] * 50}).encode()
    limits = WireLimits(image=1000, json=100_000)

    with pytest.raises(Problem) as refused:
        batch_order(Body("application/json", data), limits, Offer())

    assert refused.value.code == "too_large"
    assert len(batch_order(Body("application/json", fewer), limits, Offer()).batch.jobs) == 50
