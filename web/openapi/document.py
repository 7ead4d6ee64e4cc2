"""The OpenAPI document, made of the descriptions of all routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from importlib import metadata

import msgspec

from web.gate import DOWNLOAD, NEEDED
from web.openapi import headers
from web.openapi.bodies import components, recipes
from web.openapi.flat import flat_members
from web.openapi.routes import IDS, ROUTES, TAGS
from web.openapi.shapes import components_of, members_of
from web.openapi.words import Answer, Body, Common, Content, Header, Json, Route
from web.problems import KINDS, TOLD, Problem, ProblemDetails
from web.schema import COMPONENTS

_ABOUT = """\
Images in, images out: submit a job, get its id at once, fetch the result when it is done.

`HEAD` works wherever `GET` does. Bodies are JSON in UTF-8, times RFC 3339 in UTC. Fields, paths and
codes stay as they are; members may be added. `null` in the JSON of a request is the same as leaving
the member out. Every answer of 400 and above is `application/problem+json`; its `code` is for
programs. A path that is not here is 404 `not_found`, a method that is not here 405
`method_not_allowed`.\
"""
_KEY = (
    "A key of the service's, as `Authorization: Bearer ck_…`; the scopes that a request needs are "
    "listed with it. A service that has no keys needs none."
)
_LINK = "A link, which `POST /jobs/{job_id}/links` makes, is signed: it needs no key."


def document(
    routes: Mapping[str, Route] = ROUTES, needed: Mapping[str, frozenset[str]] = NEEDED
) -> Json:
    """Return the document.

    Raises:
      LookupError: if a route is not described, or a description is of no route.
    """
    if strange := routes.keys() ^ needed.keys():
        raise LookupError(f"web/openapi does not describe just {', '.join(sorted(strange))}")
    paths: dict[str, Json] = {}
    for at, described in routes.items():
        method, rule = at.split()
        route = _repeatable(described) if method == "POST" else described
        path = re.sub(r"<(\w+)>", r"{\1}", rule)
        operation = _operation(at, path, route, needed[at])
        operation["responses"] = {
            **{str(status): _answer(each, routes) for status, each in route.answers.items()},
            **dict(_problems(_codes(route, needed[at]))),
        }
        paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Calotype",
            "version": metadata.version("calotype"),
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": says} for name, says in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": {
                **_closed(
                    components_of([ProblemDetails, *_kinds(routes.values())]), routes.values()
                ),
                **components(),
            },
            "examples": {code: {"value": _example_of(code)} for code in KINDS},
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": _KEY},
                "link": {
                    "type": "apiKey",
                    "in": "query",
                    "name": "signature",
                    "description": _LINK,
                },
            },
        },
    }


def _repeatable(route: Route) -> Route:
    """Return a description of `route` that says that it can be sent again."""
    answers = {
        status: replace(answer, headers=(*answer.headers, headers.REPLAYED))
        for status, answer in route.answers.items()
    }
    return replace(
        route,
        headers=(*route.headers, headers.IDEMPOTENCY_KEY),
        answers=answers,
        problems=(*route.problems, *Common.OF_POST),
    )


def _operation(at: str, path: str, route: Route, scopes: frozenset[str]) -> Json:
    key: Json = {"key": sorted(scopes)}
    operation: Json = {
        "tags": [route.tag],
        "operationId": route.name,
        "summary": route.summary,
        "description": route.says,
        "security": [key, *([{"link": []}] if at == DOWNLOAD else [])] if scopes else [],
        "parameters": list(_parameters(path, route)),
        "requestBody": _body(route.body) if route.body else None,
    }
    return {word: each for word, each in operation.items() if each not in ("", None)}


# --- Requests -------------------------------------------------------------------------------------


def _parameters(path: str, route: Route) -> Iterable[Json]:
    for name in re.findall(r"{(\w+)}", path):
        says, example = IDS[name]
        yield _parameter("path", name, {"type": "string"}, says, required=True, example=example)
    for kind in route.query:
        for name, (shape, required) in members_of(kind).items():
            yield _query(name, shape, required=required)
    if route.recipe_in_query:
        for name, shape in flat_members(recipes()).items():
            yield _query(name, shape)
    for header in (*route.headers, headers.REQUEST_ID):
        text: Json = {"type": "string"}
        if header.pattern:
            text["pattern"] = header.pattern
        yield _parameter("header", header.name, text, header.says, example=header.example)


def _query(name: str, shape: Json, *, required: bool = False) -> Json:
    rest = {word: each for word, each in shape.items() if word != "description"}
    return _parameter("query", name, rest, str(shape.get("description", "")), required=required)


def _parameter(
    place: str, name: str, shape: Json, says: str, *, required: bool = False, example: str = ""
) -> Json:
    parameter: Json = {"name": name, "in": place, "required": required, "schema": shape}
    if says:
        parameter["description"] = says
    if example:
        parameter["example"] = example
    return parameter


def _body(body: Body) -> Json:
    content = {kind: _content(each) for kind, each in body.content.items()}
    return {"required": body.required, "content": content}


# --- Answers --------------------------------------------------------------------------------------


def _answer(answer: Answer, routes: Mapping[str, Route]) -> Json:
    said: Json = {
        "description": answer.says,
        "headers": _headers((*answer.headers, *headers.OF_ALL)),
    }
    if answer.content:
        said["content"] = {kind: _content(each) for kind, each in answer.content.items()}
    if answer.gives:
        said["links"] = {
            route.name: {
                "operationId": route.name,
                "parameters": {f"path.{name}": f"$response.body#{place}"},
            }
            for name, place in answer.gives.items()
            for at, route in routes.items()
            if f"<{name}>" in at
        }
    return said


def _headers(given: Iterable[Header]) -> Json:
    return {
        header.name: {
            "description": header.says,
            "required": header.always,
            "schema": {"type": "string"},
            "example": header.example,
        }
        for header in given
    }


def _content(content: Content) -> Json:
    said: Json = {}
    if content.shape is not None:
        said["schema"] = _schema(content.shape)
    if content.examples:
        said["examples"] = {name: {"value": each} for name, each in content.examples.items()}
    if content.parts:
        said["encoding"] = {name: {"contentType": kind} for name, kind in content.parts.items()}
    return said


def _schema(shape: object) -> object:
    """Return `shape` with every type in it by reference."""
    match shape:
        case type():
            return {"$ref": COMPONENTS + shape.__name__}
        case dict():
            return {word: _schema(each) for word, each in shape.items()}
        case list():
            return [_schema(each) for each in shape]
        case _:
            return shape


def _kinds(routes: Iterable[Route]) -> Iterable[type]:
    """Yield the types that bodies are described by."""
    for route in routes:
        bodies = [route.body.content] if route.body else []
        for content in (*bodies, *(answer.content for answer in route.answers.values())):
            for each in content.values():
                yield from _types_in(each.shape)


def _closed(components: Mapping[str, Json], routes: Iterable[Route]) -> Mapping[str, Json]:
    """Return `components`, in which those that are whole bodies of requests have nothing more."""
    whole = {
        content.shape.__name__
        for route in routes
        for content in (route.body.content.values() if route.body else ())
        if isinstance(content.shape, type)
    }
    return {
        name: {**each, "additionalProperties": False} if name in whole else each
        for name, each in components.items()
    }


def _types_in(shape: object) -> Iterable[type]:
    match shape:
        case type():
            yield shape
        case dict():
            yield from _types_in(list(shape.values()))
        case list():
            for each in shape:
                yield from _types_in(each)


# --- Problems -------------------------------------------------------------------------------------


def _codes(route: Route, scopes: frozenset[str]) -> set[str]:
    codes = {*Common.ALWAYS, *route.problems}
    if scopes:
        codes.update(Common.WITH_SCOPES)
    if route.query:
        codes.update(Common.WITH_QUERY)
    if route.body:
        codes.update(Common.WITH_BODY)
    return codes


def _problems(codes: Iterable[str]) -> Iterable[tuple[str, Json]]:
    """Yield the answer for each status that some of `codes` have."""
    by_status: dict[int, list[str]] = {}
    for code, kind in KINDS.items():
        if code in codes:
            by_status.setdefault(kind.status, []).append(code)
    for status, alike in by_status.items():
        given = [headers.OF_PROBLEMS[code] for code in alike if code in headers.OF_PROBLEMS]
        if any(KINDS[code].retry for code in alike):
            given.append(headers.RETRY_AFTER)
        yield (
            str(status),
            {
                "description": " ".join(f"`{code}`: {KINDS[code].title}." for code in alike),
                "headers": _headers((*given, *headers.OF_ALL)),
                "content": {
                    "application/problem+json": {
                        "schema": {
                            "allOf": [{"$ref": COMPONENTS + ProblemDetails.__name__}],
                            "properties": {"code": {"enum": alike}, "status": {"const": status}},
                        },
                        "examples": {
                            code: {"$ref": f"#/components/examples/{code}"} for code in alike
                        },
                    }
                },
            },
        )


def _example_of(code: str) -> object:
    details = (detail for _, each, detail in TOLD if each == code)
    problem = Problem(code, next(details, f"{KINDS[code].title}."))
    return msgspec.json.decode(problem.body())
