"""What clients are told of jobs."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from actors.imaging.operations.scaling import Resize
from actors.imaging.operations.turning import Flip
from actors.imaging.recipe import Output as RecipeOutput
from actors.imaging.recipe import Recipe, encode_recipe
from actors.storage.ports import ImageRecord, Output, Page
from tests.conftest import NOON, make_job
from web.answers import Answers

OUTPUT = Output(
    name="output",
    key="00/a.png",
    media_type="image/png",
    width=16,
    height=12,
    size_bytes=99,
    sha256="abc",
    details='{"frames":3,"operations":[{"op":"flip"}],"quality":71}',
)
IMAGE = ImageRecord(
    id="1",
    key="00/1.png",
    format="png",
    width=3,
    height=2,
    frames=1,
    size_bytes=9,
    sha256="abc",
    facts='{"format":"png","width":3,"mode":"P","palette":[{"color":"#000000","share":1.0}]}',
    created_at=NOON,
)


@pytest.fixture
def answers():
    return Answers(lambda key: f"uploads/{key}", lambda key: f"outputs/{key}")


def test_a_submission_is_answered_in_the_words_that_scripts_look_for(answers):
    job = make_job(status="pending")

    assert answers.accepted(job).decode() == (
        f'{{"job_id":"{job.id}","status":"pending","message":"Image processing job submitted"}}'
    )


def test_a_submission_is_pending_even_if_the_job_has_begun_meanwhile(answers):
    assert b'"status":"pending"' in answers.accepted(make_job(status="processing"))


def test_a_job_has_the_members_that_it_always_had(answers):
    job = make_job(status="completed", outputs=(OUTPUT,))

    told = json.loads(answers.job(job))

    assert told["id"] == job.id
    assert told["status"] == "completed"
    assert told["input_path"] == f"uploads/{job.input_key}"
    assert told["output_path"] == "outputs/00/a.png"
    assert (told["operation"], told["width"], told["height"]) == ("thumbnail", 16, 16)


def test_each_output_says_what_it_is_and_how_it_came_about(answers):
    plain = replace(OUTPUT, name="plain", key="00/b.png", details="{}")
    job = make_job(status="completed", outputs=(OUTPUT, plain))

    told = json.loads(answers.job(job))

    both = {
        "media_type": "image/png",
        "width": 16,
        "height": 12,
        "size_bytes": 99,
        "sha256": "abc",
    }
    first = {"name": "output", "path": "outputs/00/a.png", "frames": 3, "quality": 71, **both}
    second = {"name": "plain", "path": "outputs/00/b.png", "frames": 1, **both}
    assert told["outputs"] == [
        {**first, "operations": [{"op": "flip"}]},
        {**second, "operations": []},
    ]
    assert told["output_path"] == "outputs/00/a.png"


def test_a_receipt_says_what_the_outputs_were_made_of_and_with(answers):
    made_with = '{"versions":{"pillow":"13.0"},"images":{"logo":"2b"}}'
    job = make_job(status="completed", input_sha256="1a", receipt=made_with, outputs=(OUTPUT,))

    told = json.loads(answers.job(job))

    assert told["receipt"] == {
        "input_sha256": "1a",
        "images": {"logo": "2b"},
        "recipe": {
            "outputs": [
                {"name": "output", "operations": [{"op": "flip"}], "format": "png", "quality": 71}
            ]
        },
        "versions": {"pillow": "13.0"},
    }


def test_a_receipt_of_an_older_version_is_told(answers):
    job = make_job(status="completed", receipt='{"versions":{}}', outputs=(OUTPUT,))

    assert json.loads(answers.job(job))["receipt"]["images"] == {}


def test_a_job_whose_recipe_is_no_more_allowed_is_still_told(answers):
    recipe = '{"outputs":[{"operations":[{"op":"resize","width":"0%"}]}]}'
    job = make_job(status="completed", recipe=recipe, receipt='{"versions":{}}', outputs=(OUTPUT,))

    told = json.loads(answers.job(job))

    assert (told["operation"], told.get("width")) == ("thumbnail", None)
    assert told["receipt"]["recipe"] is None


def test_what_does_not_apply_is_null_or_absent(answers):
    told = json.loads(answers.job(make_job(status="pending", started_at=None)))

    assert told["output_path"] is None
    absent = {"outputs", "receipt", "error", "error_code", "started_at", "preset", "image_id"}
    assert not absent & told.keys()


HOUR_LATER = "2026-03-01T13:00:00.000000Z"


@pytest.mark.parametrize(
    ("kept", "retain", "expires_at"),
    [
        (None, None, None),
        (timedelta(hours=1), None, HOUR_LATER),
        (None, 3600, HOUR_LATER),
        (timedelta(days=1), 3600, HOUR_LATER),
    ],
)
def test_a_job_that_has_ended_says_when_its_files_go(kept, retain, expires_at):
    answers = Answers(str, str, kept)
    ended = {"status": "failed", "updated_at": NOON, "retain": retain}

    told = json.loads(answers.job(make_job(**ended)))
    before = json.loads(answers.job(make_job(status="pending", retain=retain)))

    assert (told.get("retain"), told.get("expires_at")) == (retain, expires_at)
    assert "expires_at" not in before


def test_a_job_whose_files_have_gone_names_none(answers):
    job = make_job(status="completed", outputs=(OUTPUT,), retain=1, gone_at=NOON)
    job = replace(job, input_sha256="1a", receipt='{"versions":{}}')

    told = json.loads(answers.job(job))

    assert told["gone"] is True
    assert (told["input_path"], told["output_path"]) == (None, None)
    assert not {"outputs", "expires_at"} & told.keys()
    assert told["receipt"]["input_sha256"]


def test_a_job_of_a_preset_or_of_an_image_says_so(answers):
    told = json.loads(answers.job(make_job(operation="", preset="avatar", image_id="a-b")))

    assert (told["preset"], told["image_id"]) == ("avatar", "a-b")
    assert not {"operation", "width", "height"} & told.keys()


@pytest.mark.parametrize(
    ("step", "size"),
    [
        (Resize(width=30), {"width": 30}),
        (Resize("50%", 20), {"height": 20}),
        (Flip(), {}),
    ],
)
def test_a_size_that_was_not_asked_for_in_pixels_is_absent(answers, step, size):
    recipe = encode_recipe(Recipe((RecipeOutput(operations=(step,)),)))

    told = json.loads(answers.job(make_job(operation="any", recipe=recipe)))

    assert {name: told[name] for name in ("width", "height") if name in told} == size


def test_an_image_is_told_with_what_was_seen_in_it(answers):
    told = json.loads(answers.image(IMAGE))

    assert told == {
        "image_id": "1",
        "format": "png",
        "width": 3,
        "height": 2,
        "frames": 1,
        "size_bytes": 9,
        "sha256": "abc",
        "created_at": "2026-03-01T12:00:00.000000Z",
        "mode": "P",
        "palette": [{"color": "#000000", "share": 1.0}],
    }


def test_a_failure_says_why(answers):
    told = json.loads(
        answers.job(make_job(status="failed", error="It is none.", error_code="not_an_image"))
    )

    assert (told["error"], told["error_code"]) == ("It is none.", "not_an_image")


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 3, 1, 12, tzinfo=UTC),
        datetime(2026, 3, 1, 13, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_times_are_in_utc_and_always_with_microseconds(answers, moment):
    told = json.loads(answers.job(make_job(created_at=moment)))

    assert told["created_at"] == "2026-03-01T12:00:00.000000Z"


def test_a_page_is_jobs_and_where_it_goes_on(answers):
    last = json.loads(answers.page(Page(jobs=(make_job(1), make_job(2)), next=None)))
    first = json.loads(answers.page(Page(jobs=(), next=7)))

    assert [job["id"][:8] for job in last["jobs"]] == ["00000001", "00000002"]
    assert last["next"] is None
    assert first == {"jobs": [], "next": "7"}
