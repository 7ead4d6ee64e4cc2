"""The document of the API: complete, valid, and with examples that are right."""

import json
from collections.abc import Iterator
from typing import Any, TypeAlias

import msgspec
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.web.inside import OPEN_GATE, ask
from web.answers import Job
from web.app import create_app
from web.gate import NEEDED
from web.openapi.blueprint import openapi_blueprint
from web.openapi.document import document
from web.openapi.routes import ROUTES, TAGS
from web.openapi.words import Answer, Route, json_of
from web.problems import KINDS
from web.uploads import UploadLimits, Uploads

Parsed: TypeAlias = dict[str, Any]

DOCUMENT: Parsed = json.loads(msgspec.json.encode(document()))
METHODS = ("get", "post", "patch", "delete", "put")
UNKNOWN = "POST /unknown"
FOUND: Answer = Answer("It is there.", json_of(Job))


def operations() -> Iterator[tuple[str, Parsed]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


OPERATIONS = dict(operations())


def examples() -> Iterator[tuple[str, Parsed, Any]]:
    """Every example of a body, with where it is and its schema."""
    for at, operation in OPERATIONS.items():
        bodies = {"request": operation["requestBody"]} if "requestBody" in operation else {}
        for place, body in {**bodies, **operation["responses"]}.items():
            for kind, content in body.get("content", {}).items():
                for name, example in content.get("examples", {}).items():
                    shared = DOCUMENT["components"]["examples"] if "$ref" in example else {}
                    value = shared.get(name, example)["value"]
                    yield f"{at} {place} {kind} {name}", content["schema"], value


EXAMPLES = {where: (schema, value) for where, schema, value in examples()}


def is_valid(value: object, schema: Parsed) -> bool:
    whole = {**schema, "components": DOCUMENT["components"]}
    checker = OAS31Validator.FORMAT_CHECKER
    return bool(OAS31Validator(whole, format_checker=checker).is_valid(value))


# --- Every route ----------------------------------------------------------------------------------


def test_it_is_openapi():
    assert [str(error) for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_it_describes_every_route_there_is():
    # A new route needs a line in both: one to say who may use it, one to describe it.
    assert ROUTES.keys() == NEEDED.keys()
    described = {at.replace("{", "<").replace("}", ">") for at in OPERATIONS}
    assert described == NEEDED.keys()


def test_a_route_that_nobody_described_ends_the_start():
    with pytest.raises(LookupError, match=UNKNOWN):
        document(needed={**NEEDED, UNKNOWN: frozenset()})


def test_a_description_of_no_route_ends_the_start():
    strange = Route(tag="jobs", name="unknown", summary="It.", answers={200: FOUND})

    with pytest.raises(LookupError, match=UNKNOWN):
        document({**ROUTES, UNKNOWN: strange})


def test_names_and_summaries_are_each_of_one_route():
    assert len({route.name for route in ROUTES.values()}) == len(ROUTES)
    assert len({route.summary for route in ROUTES.values()}) == len(ROUTES)
    assert {route.tag for route in ROUTES.values()} == TAGS.keys()


@pytest.mark.parametrize("at", NEEDED)
def test_it_says_which_scopes_a_route_needs(at):
    operation = OPERATIONS[at.replace("<", "{").replace(">", "}")]

    keys = [each["key"] for each in operation["security"] if "key" in each]

    assert keys == ([sorted(NEEDED[at])] if NEEDED[at] else [])
    assert ("401" in operation["responses"]) == ("403" in operation["responses"]) == bool(keys)


# --- Every problem --------------------------------------------------------------------------------


def test_every_problem_is_told_by_some_route():
    told = {
        code
        for operation in OPERATIONS.values()
        for response in operation["responses"].values()
        for kind, content in response.get("content", {}).items()
        if kind == "application/problem+json"
        for code in content["schema"]["properties"]["code"]["enum"]
    }

    # A method that is not there is at no route.
    assert told == KINDS.keys() - {"method_not_allowed"}


@pytest.mark.parametrize(("at", "operation"), OPERATIONS.items(), ids=OPERATIONS)
def test_problems_that_may_pass_say_when(at, operation):
    for status, response in operation["responses"].items():
        retry = any(
            KINDS[code].retry
            for content in response.get("content", {}).values()
            for code in content.get("examples", {})
            if code in KINDS and status == str(KINDS[code].status)
        )
        assert ("Retry-After" in response["headers"]) == retry, status


# --- Examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", EXAMPLES)
def test_every_example_fits_its_schema(where):
    schema, value = EXAMPLES[where]

    assert is_valid(value, schema)


@pytest.mark.parametrize(
    "change",
    [
        {"image_data": "AA==", "image_id": "1"},
        {"image_data": None},
        {"operation": "thumbnail", "width": "300"},
        {"operation": "explode"},
        {"operation": None},
        {"angle": 90},
        {"priority": "urgent"},
        {"unknown": 1},
    ],
)
def test_what_is_no_submission_does_not_fit(change):
    schema, good = EXAMPLES["POST /jobs request application/json short"]
    bad = {name: each for name, each in {**good, **change}.items() if each is not None}

    assert is_valid(good, schema)
    assert not is_valid(bad, schema)


# --- Over HTTP ------------------------------------------------------------------------------------


@pytest.fixture
def app(tmp_path):
    uploads = Uploads(UploadLimits(1000, 100, 1, tmp_path, 1, 60, 10))
    return create_app([openapi_blueprint()], uploads, OPEN_GATE)


async def test_who_has_it_is_not_sent_it_again(app):
    first = await ask(app, "GET", "/openapi.json", {})
    again = await ask(app, "GET", "/openapi.json", {"If-None-Match": first.headers["etag"]})
    other = await ask(app, "GET", "/openapi.json", {"If-None-Match": '"other"'})

    assert first.status == other.status == 200
    assert first.headers["content-type"] == "application/json"
    assert json.loads(first.body) == DOCUMENT
    assert (again.status, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert "content-type" not in again.headers


def test_it_is_the_same_after_every_start():
    assert msgspec.json.encode(document()) == msgspec.json.encode(document())
