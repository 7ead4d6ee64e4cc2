"""The gate: who is let in, before anything of a body is taken in."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import trio
import trio.testing
from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response

from actors.errors import MailboxFull
from actors.mailbox import open_mailbox
from actors.messages import CountKeys, Find, FindKey, FindTenant, LearnLinkSecret, ListKeyIds
from actors.storage.credentials import SCOPES, Key, KeyNotFound
from actors.storage.ports import JobNotFound, StorageUnavailable
from tests.conftest import NOON, PATIENCE, make_job
from tests.web import inside
from web.app import create_app
from web.bounds import Bounds, Rate
from web.browsers import Cors
from web.envoy import Envoy
from web.gate import ADMIN, ANONYMOUS, NEEDED, OPEN, READ, Caller, Gatekeeper, caller
from web.links import Links, links_blueprint
from web.origins import Origins
from web.tokens import make_token
from web.turnstile import Turnstile
from web.uploads import UploadLimits, Uploads, upload

JOB = make_job(7, tenant="acme")
FROM_ELSEWHERE = "Bearer ck_0123456789abcdef_" + 43 * "a"


class Actors:
    """What is behind the gate: keys, a secret, and one job."""

    def __init__(self):
        self.address, self.mailbox = open_mailbox("dispatcher", 64)
        self.keys: dict[str, Key] = {}
        self.signing = "one"
        self.asked = []
        self.broken = None

    async def run(self):
        async for envelope in self.mailbox:
            with envelope:
                self.asked.append(envelope.message)
                try:
                    envelope.answer(self._answer(envelope.message))
                except (KeyNotFound, JobNotFound, StorageUnavailable, MailboxFull) as error:
                    envelope.fail(error)

    def _answer(self, message):
        if self.broken:
            raise self.broken
        match message:
            case CountKeys():
                return len(self.keys)
            case ListKeyIds():
                return frozenset(self.keys)
            case FindKey(key_id):
                if key_id not in self.keys:
                    raise KeyNotFound(key_id)
                return self.keys[key_id]
            case LearnLinkSecret():
                return self.signing
            case FindTenant(JOB.id):
                return JOB.tenant
            case Find(JOB.id, tenant=JOB.tenant):
                return JOB
        raise JobNotFound(message.job_id)

    def add_key(self, *scopes, **changes) -> str:
        """Add a key, and return the header that brings it."""
        token = make_token()
        self.keys[token.key_id] = Key(
            id=token.key_id,
            digest=token.digest,
            scopes=scopes or SCOPES,
            created_at=NOON,
            **{"tenant": "acme", **changes},
        )
        return f"Bearer {token}"

    def revoke(self, header: str) -> None:
        key_id = header.split("_")[1]
        self.keys[key_id] = replace(self.keys[key_id], revoked_at=NOON)


class Service:
    """Routes behind a gate, which tell who asks."""

    def __init__(self, actors, spool, *, allow_anonymous=False, turnstile=None):
        self.actors = actors
        self.now = NOON
        self.unix_time = 1_000_000.0
        routes = Blueprint("routes", __name__)
        links = Links(actors.address, PATIENCE, lambda: self.unix_time)

        @routes.get("/jobs")
        @routes.get("/jobs/<job_id>/download")
        @routes.get("/stats")
        async def tell(job_id: str = "") -> Response:
            return Response(json.dumps([caller().tenant, sorted(caller().scopes)]))

        @routes.post("/jobs")
        async def measure() -> Response:
            return Response(str(len(await upload().read())))

        @routes.get("/health")
        async def health() -> Response:
            return Response("fine")

        self.gate = Gatekeeper(
            actors.address,
            links,
            PATIENCE,
            turnstile=turnstile or Turnstile(),
            origins=Origins(),
            allow_anonymous=allow_anonymous,
            cors=Cors(["https://app.example"]),
            clock=lambda: self.now,
        )
        uploads = Uploads(UploadLimits(100, 100, 1, spool, 1, PATIENCE, PATIENCE))
        blueprints = [routes, links_blueprint(Envoy(actors.address, PATIENCE), links)]
        self.app = create_app(blueprints, uploads, self.gate)

    async def ask(
        self,
        line: str,
        authorization: str | None = None,
        body: bytes = b"",
        peer: str | None = None,
        more: dict[str, str] | None = None,
    ):
        method, path = line.split()
        headers = dict(more or {})
        if authorization is not None:
            headers["Authorization"] = authorization
        with trio.fail_after(2 * PATIENCE):
            return await inside.ask(self.app, method, path, headers, body, peer=peer)


@pytest.fixture
async def actors(nursery):
    actors = Actors()
    nursery.start_soon(actors.run)
    return actors


@pytest.fixture
def service(actors, tmp_path):
    return Service(actors, tmp_path)


def code(answer) -> tuple[int, str]:
    return answer.status, answer.code


# --- Keys -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", FROM_ELSEWHERE, "Bearer", "Bearer x"])
async def test_without_any_keys_everybody_may_do_everything(service, header):
    answer = await service.ask("GET /jobs", header)

    assert json.loads(answer.body) == ["", sorted(SCOPES)]


@pytest.mark.parametrize(
    ("page", "status"),
    [
        (None, 200),
        ("http://calotype", 200),
        ("https://calotype", 200),
        ("https://app.example", 200),
        ("https://evil.example", 403),
        ("http://calotype.evil.example", 403),
        ("http://calotype:81", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_without_any_keys_a_page_of_another_origin_may_do_nothing(service, page, status):
    more = {} if page is None else {"Origin": page}

    answers = [
        await service.ask(line, body=b"1", more=more) for line in ("POST /jobs", "GET /jobs")
    ]

    assert [answer.status for answer in answers] == [status, status]


async def test_a_page_of_another_origin_may_do_what_its_key_may(service, actors):
    header = actors.add_key("jobs:write")

    answer = await service.ask("POST /jobs", header, b"1", more={"Origin": "https://evil.example"})

    assert answer.status == 200


async def test_the_first_key_is_known_from_its_first_request_on(service, actors):
    await service.ask("GET /jobs")
    header = actors.add_key("jobs:read", tenant="acme")

    answer = await service.ask("GET /jobs", header)

    assert json.loads(answer.body) == ["acme", ["jobs:read"]]


async def test_a_key_tells_whose_jobs_are_meant_and_what_it_may(service, actors):
    header = actors.add_key("jobs:read", tenant="acme")

    answer = await service.ask("GET /jobs", header)

    assert json.loads(answer.body) == ["acme", ["jobs:read"]]


@pytest.mark.parametrize("spelling", ["bearer {}", "BEARER {}", "Bearer   {}", "Bearer {} "])
async def test_the_scheme_is_read_as_the_standard_allows(service, actors, spelling):
    token = actors.add_key().removeprefix("Bearer ")

    assert (await service.ask("GET /jobs", spelling.format(token))).status == 200


@pytest.mark.parametrize("header", [None, "", "Basic YTpi", "ck_0123456789abcdef_a"])
async def test_who_brings_no_key_is_told_how(service, actors, header):
    actors.add_key()

    answer = await service.ask("GET /jobs", header)

    assert code(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda _: "Bearer",
        lambda _: "Bearer x",
        lambda _: FROM_ELSEWHERE,
        lambda right: f"{right}a",
        lambda right: right[:-1],
        lambda right: right[:-43] + 43 * "a",
        lambda right: right.replace("ck_", "CK_"),
        lambda right: f"{right} {right}",
        lambda right: f"{right}, {right}",
    ],
)
async def test_a_wrong_key_is_told_nothing_but_that(service, actors, wrong):
    right = actors.add_key()

    answer = await service.ask("GET /jobs", wrong(right))

    assert code(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert json.loads(answer.body)["detail"] == "The key is unknown, revoked or expired."
    assert (await service.ask("GET /jobs", right)).status == 200


async def test_two_keys_at_once_are_none(service, actors):
    header = actors.add_key()
    scope_headers = {"Authorization": header, "authorization": header}

    answer = await inside.ask(service.app, "GET", "/jobs", scope_headers)

    assert code(answer) == (401, "unauthenticated")


async def test_a_key_is_good_until_it_expires(service, actors):
    header = actors.add_key(expires_at=NOON + timedelta(seconds=5))

    before = await service.ask("GET /jobs", header)
    service.now += timedelta(seconds=5)
    after = await service.ask("GET /jobs", header)

    assert (before.status, after.status) == (200, 401)


async def test_a_revoked_key_opens_nothing_and_neither_does_the_lack_of_one(service, actors):
    header = actors.add_key()
    actors.revoke(header)

    assert (await service.ask("GET /jobs", header)).status == 401
    assert (await service.ask("GET /jobs")).status == 401


async def test_who_was_let_in_stays_so_for_as_long_as_the_key_is_good(
    service, actors, autojump_clock
):
    header = actors.add_key("jobs:read", expires_at=NOON + timedelta(hours=1))
    reader = Caller("acme", frozenset({"jobs:read"}), header.split("_")[1])

    at_first = await service.gate.would_admit(reader)
    service.now = NOON + timedelta(hours=1)
    expired = await service.gate.would_admit(reader)
    service.now = NOON
    actors.revoke(header)
    await trio.sleep(1)
    revoked = await service.gate.would_admit(reader)

    assert (at_first, expired, revoked) == (True, False, False)
    assert not await service.gate.would_admit(replace(reader, key_id="0" * 16))


@pytest.mark.parametrize("allowed", [True, False])
async def test_who_was_let_in_without_a_key_goes_when_there_are_keys_unless_that_is_allowed(
    actors, tmp_path, autojump_clock, allowed
):
    service = Service(actors, tmp_path, allow_anonymous=allowed)

    before = await service.gate.would_admit(ANONYMOUS)
    actors.add_key()
    await trio.sleep(1)

    assert before
    assert await service.gate.would_admit(ANONYMOUS) == allowed


async def test_changes_are_noticed_within_a_second_and_asked_for_once_in_it(
    service, actors, autojump_clock
):
    first = await service.ask("GET /jobs")
    header = actors.add_key()
    await trio.sleep(1)
    second = await service.ask("GET /jobs")
    with_key = [(await service.ask("GET /jobs", header)).status for _ in range(20)]
    asked = len(actors.asked)
    actors.revoke(header)
    await trio.sleep(1)
    last = await service.ask("GET /jobs", header)

    assert (first.status, second.status, last.status) == (200, 401, 401)
    assert with_key == [200] * 20
    assert asked == 3  # Twice how many there are, and once for the key.


async def test_a_missing_scope_is_named(service, actors):
    header = actors.add_key("jobs:read", "jobs:write")

    answer = await service.ask("GET /stats", header)

    assert code(answer) == (403, "forbidden")
    assert "the scope admin" in json.loads(answer.body)["detail"]
    assert answer.headers["www-authenticate"] == (
        'Bearer error="insufficient_scope", scope="admin"'
    )


@pytest.mark.parametrize("line", ["GET /health", "HEAD /health", "GET /nothing", "OPTIONS /jobs"])
async def test_what_is_open_needs_no_key_and_asks_nobody(service, actors, line):
    actors.add_key()

    answer = await service.ask(line)

    assert answer.status == (404 if "nothing" in line else 200)
    assert actors.asked == []


async def test_a_wrong_method_is_told_without_a_key(service, actors):
    actors.add_key()

    assert code(await service.ask("PUT /jobs")) == (405, "method_not_allowed")


async def test_head_needs_what_get_does(service, actors):
    header = actors.add_key("jobs:write")

    assert (await service.ask("HEAD /jobs")).status == 401
    assert (await service.ask("HEAD /jobs", header)).status == 403


async def test_who_brings_no_key_may_be_anybody_if_that_is_allowed(actors, tmp_path):
    service = Service(actors, tmp_path, allow_anonymous=True)
    header = actors.add_key("jobs:read")

    for nothing in (None, "Basic YTpi"):
        answer = await service.ask("GET /jobs", nothing)
        assert json.loads(answer.body) == ["", sorted(SCOPES)]
    assert json.loads((await service.ask("GET /jobs", header)).body) == ["acme", ["jobs:read"]]
    assert (await service.ask("GET /jobs", FROM_ELSEWHERE)).status == 401


@pytest.mark.parametrize("error", [StorageUnavailable("no disk"), MailboxFull("store")])
async def test_nobody_is_let_in_while_nobody_can_say_who_it_is(service, actors, error):
    actors.add_key()
    actors.broken = error

    answer = await service.ask("GET /jobs")

    assert answer.status == 503


async def test_nobody_is_let_in_while_nobody_answers(tmp_path, autojump_clock):
    service = Service(Actors(), tmp_path)

    assert code(await service.ask("GET /jobs")) == (503, "overloaded")


# --- Bodies ---------------------------------------------------------------------------------------


async def send_slowly(service, header) -> tuple[int, int]:
    """Send a body that never comes; return how often it was waited for, and the answer's status."""
    waited, sent = [], []
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/jobs",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"calotype"), (b"authorization", header.encode())],
        "extensions": {},
    }

    async def receive():
        waited.append(True)
        await trio.sleep_forever()

    async def send(event):  # noqa: ASYNC124 (as servers do)
        sent.append(event)

    with trio.move_on_after(1):
        await service.app(scope, receive, send)
    return len(waited), sent[0]["status"] if sent else 0


async def test_no_body_is_taken_in_of_who_is_not_let_in(service, actors, autojump_clock):
    good, weak = actors.add_key(), actors.add_key("jobs:read")

    assert await send_slowly(service, FROM_ELSEWHERE) == (0, 401)
    assert await send_slowly(service, weak) == (0, 403)
    assert await send_slowly(service, good) == (1, 0)


async def test_the_body_of_who_is_let_in_is_there(service, actors):
    assert (await service.ask("POST /jobs", actors.add_key(), b"photo")).body == b"5"


# --- The table ------------------------------------------------------------------------------------


def test_a_route_that_nobody_has_thought_of_ends_the_start(tmp_path):
    routes = Blueprint("routes", __name__)

    @routes.post("/secrets")
    async def tell() -> Response:
        raise AssertionError

    links = Links(Actors().address, PATIENCE)
    gate = Gatekeeper(
        Actors().address,
        links,
        PATIENCE,
        turnstile=Turnstile(),
        origins=Origins(),
        allow_anonymous=False,
        cors=Cors(),
    )
    uploads = Uploads(UploadLimits(100, 100, 1, tmp_path, 1, PATIENCE, PATIENCE))

    with pytest.raises(LookupError, match="POST /secrets"):
        create_app([routes], uploads, gate)


def test_what_needs_no_key_is_known_by_heart():
    assert {route for route, needed in NEEDED.items() if needed == OPEN} == {
        *("GET /health", "GET /health/live", "GET /health/ready", "GET /problems/<code>"),
        *("GET /openapi.json", "GET /docs"),
    }


def test_what_changes_something_needs_more_than_the_right_to_read():
    changing = {route: needed for route, needed in NEEDED.items() if not route.startswith("GET ")}

    assert all(needed - READ for needed in changing.values())
    assert {route for route, needed in NEEDED.items() if needed & ADMIN} == {
        *("PATCH /pool", "GET /stats", "GET /metrics", "GET /queue", "GET /queue/dead"),
        *("POST /queue/pause", "POST /queue/resume", "POST /queue/retry"),
    }


# --- Links ----------------------------------------------------------------------------------------


@pytest.fixture
def link(service, actors):
    """Ask for a link, and return its URL."""

    async def link(**said):
        header = actors.add_key()
        body = json.dumps({"expires_in": 60} | said).encode()
        answer = await service.ask(f"POST /jobs/{JOB.id}/links", header, body)
        assert answer.status == 201, answer.body
        return json.loads(answer.body)

    return link


async def test_a_link_needs_no_key_and_gives_that_download(service, link):
    made = await link()

    get, head = [await service.ask(f"{method} {made['url']}") for method in ("GET", "HEAD")]

    assert made["url"].startswith(f"/jobs/{JOB.id}/download?expires=1000060&signature=")
    assert made["expires_at"] == "1970-01-12T13:47:40.000000Z"
    assert json.loads(get.body) == ["acme", ["jobs:read"]]
    assert head.status == 200


async def test_a_link_gives_the_output_that_it_names(service, link):
    made = await link(output="icon")

    assert f"/jobs/{JOB.id}/download?output=icon&expires=" in made["url"]
    assert (await service.ask(f"GET {made['url']}")).status == 200


@pytest.mark.parametrize(("seconds", "status"), [(59.9, 200), (60, 403), (1e6, 403)])
async def test_a_link_ends(service, link, seconds, status):
    made = await link()
    service.unix_time += seconds

    assert (await service.ask(f"GET {made['url']}")).status == status


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("expires=1000060", "expires=1000061"),
        ("expires=1000060", "expires=01000060"),
        ("expires=1000060", "expires=%D9%A1000060"),
        ("expires=1000060", "expires=-1"),
        ("expires=1000060", "expires="),
        ("expires=1000060&", ""),
        ("expires=", "output=other&expires="),
        (JOB.id, make_job(8).id),
        ("signature=", "signature=0"),
        ("signature=", "signature=%C3%A4"),
        ("signature=", "signature=&x="),
    ],
)
async def test_a_link_gives_nothing_else(service, actors, link, old, new):
    made = await link()
    assert old in made["url"]

    answer = await service.ask(f"GET {made['url'].replace(old, new)}")

    assert code(answer) == (403, "forbidden")
    assert "www-authenticate" not in answer.headers


async def test_a_wrong_link_is_no_better_with_a_good_key(service, actors):
    header = actors.add_key()

    answer = await service.ask(f"GET /jobs/{JOB.id}/download?expires=9&signature=a", header)

    assert code(answer) == (403, "forbidden")


async def test_a_wrong_link_asks_nobody_about_the_job(service, actors, link):
    await service.ask(f"GET /jobs/{JOB.id}/download?expires=9999999999&signature=a")

    assert actors.asked == [LearnLinkSecret()]


async def test_the_link_to_a_deleted_job_leads_nowhere(service, actors, link, monkeypatch):
    made = await link()
    monkeypatch.setattr(actors, "_answer", lambda _: (_ for _ in ()).throw(JobNotFound("x")))

    assert code(await service.ask(f"GET {made['url']}")) == (404, "not_found")


async def test_with_another_secret_every_link_is_wrong_within_a_second(
    service, actors, link, autojump_clock
):
    made = await link()
    actors.signing = "another"
    await trio.sleep(1)

    assert (await service.ask(f"GET {made['url']}")).status == 403


async def test_nobody_gets_a_link_to_what_is_not_theirs(service, actors):
    header = actors.add_key(tenant="zenith")

    answer = await service.ask(f"POST /jobs/{JOB.id}/links", header, b'{"expires_in":60}')

    assert code(answer) == (404, "not_found")


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_link_takes_the_right_to_read_and_the_right_to_change(service, actors, scope):
    header = actors.add_key(scope)

    answer = await service.ask(f"POST /jobs/{JOB.id}/links", header, b'{"expires_in":60}')

    assert code(answer) == (403, "forbidden")


@pytest.mark.parametrize(
    ("body", "status", "pointers"),
    [
        (b"{}", 422, ["/expires_in"]),
        (b'{"expires_in":0}', 422, ["/expires_in"]),
        (b'{"expires_in":604801}', 422, ["/expires_in"]),
        (b'{"expires_in":1.5}', 422, ["/expires_in"]),
        (b'{"expires_in":"60"}', 422, ["/expires_in"]),
        (b'{"expires_in":60,"output":"A b"}', 422, ["/output"]),
        (b'{"expires_in":60,"tenant":"acme"}', 422, ["/tenant"]),
        (b"", 400, None),
        (b"[]", 400, None),
    ],
)
async def test_what_is_wrong_with_the_wish_for_a_link_is_pointed_at(
    service, actors, body, status, pointers
):
    answer = await service.ask(f"POST /jobs/{JOB.id}/links", actors.add_key(), body)

    assert answer.status == status
    if pointers:
        assert [each["pointer"] for each in json.loads(answer.body)["errors"]] == pointers


async def test_a_link_may_last_a_week(service, actors):
    answer = await service.ask(
        f"POST /jobs/{JOB.id}/links", actors.add_key(), b'{"expires_in":604800}'
    )

    assert answer.status == 201


# --- Limits ---------------------------------------------------------------------------------------

ONE, OTHER = "192.0.2.1", "192.0.2.2"


def limited(actors, spool, **bounds) -> Service:
    return Service(actors, spool, turnstile=Turnstile(Bounds(**bounds)))


async def test_an_address_without_a_key_may_ask_so_often_and_others_as_well(
    actors, tmp_path, autojump_clock
):
    service = limited(actors, tmp_path, requests=Rate(2, 60))

    answers = [await service.ask("GET /jobs", peer=ONE) for _ in range(3)]
    other = await service.ask("GET /jobs", peer=OTHER)

    assert [answer.status for answer in [*answers, other]] == [200, 200, 429, 200]
    assert code(answers[2]) == (429, "rate_limited")
    assert answers[2].headers["retry-after"] == "30"
    assert {answer.headers["ratelimit-policy"] for answer in answers} == {'"requests";q=2;w=60'}
    assert [answer.headers["ratelimit"] for answer in answers] == [
        *('"requests";r=1;t=30', '"requests";r=0;t=30', '"requests";r=0;t=30')
    ]
    await trio.sleep(30)
    assert (await service.ask("GET /jobs", peer=ONE)).status == 200


async def test_keys_are_limited_apart_from_each_other_and_from_their_address(actors, tmp_path):
    service = limited(actors, tmp_path, requests=Rate(1, 60))
    one, other = actors.add_key(), actors.add_key()

    for header, right in ((one, 200), (other, 200), (None, 401)):
        assert (await service.ask("GET /jobs", header, peer=ONE)).status == right
        assert (await service.ask("GET /jobs", header, peer=ONE)).status == 429


async def test_a_limit_of_a_key_takes_effect_within_a_second(actors, tmp_path, autojump_clock):
    service = limited(actors, tmp_path, requests=Rate(1, 3600))
    header = actors.add_key()
    key_id = header.split("_")[1]
    first = [(await service.ask("GET /jobs", header)).status for _ in range(2)]

    actors.keys[key_id] = replace(actors.keys[key_id], limits='{"requests":"10/1h"}')
    await trio.sleep(1)
    wider = [(await service.ask("GET /jobs", header)).status for _ in range(10)]
    actors.keys[key_id] = replace(actors.keys[key_id], limits='{"requests":"off"}')
    await trio.sleep(1)
    free = await service.ask("GET /jobs", header)

    assert first == [200, 429]
    assert wider == [*(9 * [200]), 429]
    assert free.status == 200
    assert "ratelimit" not in free.headers
    assert "ratelimit-policy" not in free.headers


@pytest.mark.parametrize("line", ["GET /health", "GET /nothing", "OPTIONS /jobs", "PUT /jobs"])
async def test_what_needs_no_key_is_neither_limited_nor_told_of_limits(actors, tmp_path, line):
    service = limited(actors, tmp_path, requests=Rate(1, 60))

    answers = [await service.ask(line) for _ in range(3)]

    assert 429 not in {answer.status for answer in answers}
    assert not any("ratelimit" in answer.headers for answer in answers)


async def test_refusals_of_other_kinds_are_counted_and_told_of_limits(actors, tmp_path):
    service = limited(actors, tmp_path, requests=Rate(2, 60))
    weak = actors.add_key("jobs:read")

    answers = [await service.ask("GET /stats", weak) for _ in range(3)]

    assert [answer.status for answer in answers] == [403, 403, 429]
    assert all("ratelimit" in answer.headers for answer in answers)


async def test_a_link_is_limited_by_the_address_that_follows_it(actors, tmp_path):
    service = limited(actors, tmp_path, requests=Rate(1, 60))
    actors.add_key()
    line = f"GET /jobs/{JOB.id}/download?expires=1&signature=x"

    answers = [await service.ask(line, peer=peer) for peer in (ONE, ONE, OTHER)]

    assert [answer.status for answer in answers] == [403, 429, 403]


async def test_what_a_stranger_says_of_its_address_is_not_believed(actors, tmp_path):
    service = limited(actors, tmp_path, requests=Rate(1, 60))

    answers = [
        await service.ask("GET /jobs", peer=ONE, more={"X-Forwarded-For": said}) for said in "ab"
    ]

    assert [answer.status for answer in answers] == [200, 429]


async def test_wrong_keys_are_limited_and_a_good_one_from_there_is_not(actors, tmp_path):
    service = Service(actors, tmp_path, turnstile=Turnstile(wrong_keys=Rate(3, 60)))
    good, first_used = actors.add_key(), actors.add_key()
    await service.ask("GET /jobs", good, peer=ONE)
    guesses = [f"Bearer {make_token()}" for _ in range(50)]
    # Of a key that there is, its id is no secret.
    guesses += [good[:-43] + 43 * letter for letter in "abc"]

    answers = [await service.ask("GET /jobs", guess, peer=ONE) for guess in guesses]

    assert [answer.status for answer in answers] == [401] * 3 + [429] * 50
    assert answers[3].code == "rate_limited"
    assert answers[3].headers["retry-after"] == "20"
    # None was looked up but those that were let through, and the good one.
    assert sum(isinstance(message, FindKey) for message in actors.asked) == 4
    for header in (good, first_used):
        assert (await service.ask("GET /jobs", header, peer=ONE)).status == 200
    assert (await service.ask("GET /jobs", guesses[0], peer=OTHER)).status == 401


async def test_what_is_no_key_counts_as_a_wrong_one(actors, tmp_path):
    service = Service(actors, tmp_path, turnstile=Turnstile(wrong_keys=Rate(1, 60)))
    actors.add_key()

    answers = [await service.ask("GET /jobs", "Bearer x") for _ in range(2)]

    assert [answer.status for answer in answers] == [401, 429]


async def test_a_body_that_is_too_much_is_not_taken_in(actors, tmp_path, autojump_clock):
    service = limited(actors, tmp_path, bytes=Rate(100, 50))

    first = await service.ask("POST /jobs", body=bytes(60), more={"Content-Length": "60"})
    second = await service.ask("POST /jobs", body=bytes(60), more={"Content-Length": "60"})
    await trio.sleep(10)
    third = await service.ask("POST /jobs", body=bytes(60), more={"Content-Length": "60"})

    assert (first.status, third.status) == (200, 200)
    assert code(second) == (429, "rate_limited")
    assert second.headers["retry-after"] == "10"
    assert first.headers["ratelimit-policy"] == '"bytes";q=100;w=50;qu="content-bytes"'
    assert first.headers["ratelimit"] == '"bytes";r=40;t=30'
    assert second.headers["ratelimit"] == '"bytes";r=40;t=10'


async def test_a_body_of_unknown_length_is_counted_as_it_comes(actors, tmp_path, autojump_clock):
    service = limited(actors, tmp_path, bytes=Rate(90, 90))

    answers = [await service.ask("POST /jobs", body=bytes(60)) for _ in range(2)]

    assert [answer.status for answer in answers] == [200, 429]
    assert answers[1].headers["retry-after"] == "30"
