"""The document of the API: complete, valid, and with examples that are right."""

import base64
import hashlib
import json
from collections.abc import Iterator
from html.parser import HTMLParser
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
from web.openapi.page import page
from web.openapi.routes import ROUTES, TAGS
from web.openapi.words import Answer, Route, json_of
from web.problems import KINDS
from web.uploads import UploadLimits, Uploads
from web.wire import MAX_PARTS

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


# Each once, where it is first: the same problem has the same example at every route.
_DISTINCT = {str(each[1:]): each for each in reversed(list(examples()))}
EXAMPLES = {where: (schema, value) for where, schema, value in _DISTINCT.values()}


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


# --- What Schemathesis has found ------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LinkWords", "PoolWords"])
def test_a_body_may_say_nothing_that_is_not_described(name):
    assert DOCUMENT["components"]["schemas"][name]["additionalProperties"] is False


def test_a_pool_of_none_does_not_fit():
    schema = OPERATIONS["PATCH /pool"]["requestBody"]["content"]["application/json"]["schema"]

    assert is_valid({"workers": 1}, schema)
    assert not is_valid({"workers": 0}, schema)


def test_a_form_has_no_more_fields_than_are_taken():
    content = OPERATIONS["POST /jobs"]["requestBody"]["content"]["multipart/form-data"]

    assert content["schema"]["maxProperties"] == MAX_PARTS


@pytest.mark.parametrize("value", [True, False, 0, 1])
def test_in_a_query_1_is_as_good_as_true(value):
    (enlarge,) = (
        each for each in OPERATIONS["POST /jobs"]["parameters"] if each["name"] == "enlarge"
    )

    assert is_valid(value, enlarge["schema"])
    assert not is_valid(2, enlarge["schema"])


# --- The page -------------------------------------------------------------------------------------


class Seen(HTMLParser):
    """What a browser would find on a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.loads: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.tags.add(tag)
        self.ids += [told["id"]] if "id" in told else []
        self.links |= {told["href"]} if "href" in told else set()
        self.loads += [told["src"]] if "src" in told else []
        assert not any(name.startswith("on") or name == "style" for name in told)


@pytest.fixture(scope="module")
def html() -> str:
    return page(document()).decode()


def test_the_page_loads_nothing_and_runs_nothing(html):
    seen = Seen(html)

    assert not seen.loads
    assert not seen.tags & {"script", "link", "img", "iframe", "form", "object", "base"}
    assert "@import" not in html
    assert "url(" not in html


def test_every_link_on_the_page_leads_somewhere(html):
    seen = Seen(html)

    assert len(set(seen.ids)) == len(seen.ids)
    assert {link[1:] for link in seen.links if link.startswith("#")} <= set(seen.ids)
    assert {link for link in seen.links if not link.startswith("#")} == {"/openapi.json"}


def test_every_route_and_schema_and_problem_is_on_the_page(html):
    ids = set(Seen(html).ids)

    assert {route.name for route in ROUTES.values()} <= ids
    assert {f"schema-{name}" for name in DOCUMENT["components"]["schemas"]} <= ids
    assert {f"problem-{code}" for code in KINDS} <= ids


def test_what_is_described_is_text_on_the_page_and_no_markup():
    sharp = "<script>alert(1)</script>"
    told = Route(tag="jobs", name="x", summary=sharp, says=sharp, answers={200: FOUND})

    html = page(document({UNKNOWN: told}, {UNKNOWN: frozenset()})).decode()

    assert "<script" not in html
    assert "&lt;script&gt;" in html


async def test_the_page_is_served_under_a_strict_policy(app):
    answer = await ask(app, "GET", "/docs", {})
    style = answer.body.decode().split("<style>")[1].split("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; ")
    assert f"style-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    known = await ask(app, "GET", "/docs", {"If-None-Match": answer.headers["etag"]})
    assert known.status == 304
    assert known.headers["content-security-policy"] == policy
