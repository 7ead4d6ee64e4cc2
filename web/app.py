"""The application: blueprints put together, and every error turned into a problem."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import structlog
from quart import Blueprint, g, request
from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest, TrioResponse
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from web.asgi import HTTPConnection
from web.browsers import Cors, preflight_fields
from web.gate import account
from web.problems import Problem, problem_of
from web.repeats import begin_repeatable, tell_replay
from web.replies import no_content
from web.uploads import upload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hypercorn.typing import HTTPScope

    from web.gate import Gate
    from web.uploads import Uploads

log = structlog.get_logger("calotype.web")


class App(QuartTrio):
    """Quart-Trio with our connection class, and without what we don't use."""

    asgi_http_class = HTTPConnection


def create_app(
    blueprints: Iterable[Blueprint], uploads: Uploads, gate: Gate, cors: Cors | None = None
) -> App:
    """Return the application that serves `blueprints` to whom `gate` admits.

    Bodies are taken in by `uploads`, and only of requests that are admitted. Pages from elsewhere
    may read answers as `cors` says; by default none may.

    Raises:
      LookupError: if the gate does not know whom to admit to a route.
    """

    class Request(TrioRequest):
        body_class = staticmethod(uploads.open)  # type: ignore[assignment]  # only called

    allowed = cors or Cors()

    class Connection(HTTPConnection):
        cors = allowed

    app = App("calotype", static_folder=None)
    app.request_class = Request
    app.asgi_http_class = Connection
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    for blueprint in blueprints:
        app.register_blueprint(blueprint)

    gate.check(
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    )

    @app.before_request
    async def admit() -> TrioResponse | None:
        if not _is_spelt():
            adapter = app.create_url_adapter(request)
            raise MethodNotAllowed(adapter.allowed_methods() if adapter else None)
        if allowed.is_on and _is_preflight():
            upload().admitted.set()
            return _preflight_answer()
        g.caller = await gate.admit()
        begin_repeatable()
        upload().admit(account())
        return None

    # Not async, Quart would take it to a thread.
    @app.after_request
    async def tell(response: TrioResponse) -> TrioResponse:  # noqa: ASYNC124
        tell_replay(response.headers)
        counted = account()
        for name, value in (counted.fields() if counted else {}).items():
            said = response.headers.get(name)
            response.headers[name] = f"{value}, {said}" if said else value
        return response

    @app.errorhandler(Exception)
    async def answer_error(error: Exception) -> TrioResponse:
        return _answer(_http_problem(error) or problem_of(error) or _crash(error))

    return app


def _is_spelt() -> bool:
    """Whether the method is written as it is called, or to nothing; Quart takes any spelling."""
    return request.url_rule is None or cast("HTTPScope", request.scope)["method"] == request.method


def _is_preflight() -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def _preflight_answer() -> TrioResponse:
    response = no_content()
    response.headers.update(preflight_fields())
    return response


def _http_problem(error: Exception) -> Problem | None:
    """Return the problem that one of Werkzeug's own errors stands for."""
    match error:
        case MethodNotAllowed(valid_methods=methods):
            allowed = {"Allow": ", ".join(sorted(methods or ()))}
            detail = f"Only {allowed['Allow']} can be used here."
            return Problem("method_not_allowed", detail, headers=allowed)
        case HTTPException(code=404):
            return Problem("not_found", "There is nothing at this address.")
        case HTTPException():
            return Problem("malformed", "The request cannot be understood.")
    return None


def _crash(error: Exception) -> Problem:
    log.error("request_crashed", exc_info=error)
    return Problem("internal", "Something went wrong here. It was logged.")


def _answer(problem: Problem) -> TrioResponse:
    return TrioResponse(problem.body(), problem.kind.status, problem.headers)
