"""Little that unfolds into much: pictures, JSON, forms and names that collide.

Every hostile picture by itself is in `tests/imaging/test_hostile.py`, and the bounds of JSON are in
`tests/web/test_members.py`.
"""

import gzip
import json
import time

import pytest

from tests.imaging.hostile import FAMILIES
from tests.imaging.outcomes import PICTURE
from tests.service.attacks.witness import MIB, another_client
from tests.web.raw import ask

pytestmark = pytest.mark.service

SETTINGS = {"MAX_RENDERS": 2, "MALLOC_ARENA_MAX": 2, "MAX_UPLOAD_SIZE": 12_000_000}
ONE_RENDER = 600 * MIB  # of 25 megapixels; see docs/operations.md
JSON = "Content-Type: application/json"
OF_BOUNDARY = "Content-Type: multipart/form-data; boundary=B"
GRAY = "operation=grayscale&output_format=jpeg"


# --- Pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "names"),
    [
        (
            "png",
            [
                "bomb-of-pixels",
                "bomb-in-text",
                "bomb-in-text-of-the-world",
                "bomb-in-its-profile",
                "1,001-packed-texts",
                "claims-to-be-huge",
                "of-25-megapixels-and-16-bits",
            ],
        ),
        ("webp", ["lossless-of-25-megapixels", "lossless-of-268-megapixels", "101-frames"]),
        ("gif", ["4-frames-of-25-megapixels", "5-frames-of-25-megapixels", "1,000-frames"]),
        ("avif", ["of-25-megapixels", "holds-65,536-by-65,536", "item-of-four-gigabytes"]),
    ],
)
def test_pictures_that_unfold(attacked, photo, family, names):
    files = FAMILIES[family]()
    with another_client(attacked, photo, f"bombs of {family}", growth=ONE_RENDER):
        for name in names:
            data, outcome = files[name]
            told = ("Content-Type: application/octet-stream", "Prefer: wait=50")
            answer = ask(attacked.port, f"POST /jobs?{GRAY}", *told, body=data)
            said = json.loads(answer.body)
            assert answer.status in {200, 422}, (name, said)
            ended = said.get("error_code") or said.get("code") or said["status"]
            assert ended in {outcome, "invalid", "completed" if outcome == PICTURE else outcome}


# --- Bodies that are packed -----------------------------------------------------------------------


def test_a_packed_body_is_never_unpacked(attacked, photo):
    body = gzip.compress(bytes(200 * MIB), 1)
    with another_client(attacked, photo, "packed bodies"):
        for kind in (JSON, OF_BOUNDARY):
            packed = (kind, "Content-Encoding: gzip")
            answer = ask(attacked.port, "POST /jobs", *packed, body=body)
            assert (answer.status, answer.code) == (400, "malformed")
        told = ("Content-Type: image/png", "Content-Encoding: gzip", "Prefer: wait=50")
        answer = ask(attacked.port, f"POST /jobs?{GRAY}", *told, body=body)
        assert json.loads(answer.body)["error_code"] == "not_an_image"


# --- JSON and forms -------------------------------------------------------------------------------


def form(number: int) -> bytes:
    part = b'--B\r\nContent-Disposition: form-data; name="a%d"\r\n\r\nb\r\n'
    return b"".join(part % each for each in range(number)) + b"--B--\r\n"


LARGE = 1_000_000
AGAIN = 3
BODIES = {
    "json-depth": (JSON, b'{"a":' + b"[" * LARGE, {400}),
    "json-closed-depth": (JSON, b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}", {400, 422}),
    "json-depth-of-objects": (JSON, b'{"a":' * 150_000 + b"1" + b"}" * 150_000, {400}),
    "json-in-the-image": (JSON, b'{"image_data":' + b"[" * 5 * LARGE, {400}),
    "json-digits": (JSON, b'{"width":' + b"9" * LARGE + b"}", {400, 422}),
    "json-exponent": (JSON, b'{"width":1e' + b"9" * LARGE + b"}", {400, 422}),
    "json-fraction": (JSON, b'{"width":0.' + b"1" * LARGE + b"}", {400, 422}),
    "json-infinity": (JSON, b'{"width":1e999,"delay":-1e999}', {400, 422}),
    "json-members": (
        JSON,
        b"{%s}" % b",".join(b'"%d":0' % each for each in range(90_000)),
        {400, 422},
    ),
    "json-the-same-member": (JSON, b"{%s}" % b",".join([b'"width":9'] * 90_000), {400, 422}),
    "json-escapes": (JSON, b'{"operation":"' + b"\\u0061" * 160_000 + b'"}', {422}),
    "json-lone-surrogates": (JSON, b'{"operation":"' + b"\\ud800" * 160_000 + b'"}', {400, 422}),
    "json-steps": (JSON, b'{"operations":[' + b"{}," * 300_000 + b"{}]}", {400}),
    "json-outputs": (JSON, b'{"outputs":[' + b'{"name":"a"},' * 70_000 + b"{}]}", {400}),
    "json-of-spaces": (JSON, b" " * 10 * LARGE, {400, 413}),
    "form-of-100,000-parts": (OF_BOUNDARY, form(100_000), {413}),
    "form-of-dashes": (OF_BOUNDARY, b"--B" * 3 * LARGE, {400, 422}),
    "form-of-line-ends": (OF_BOUNDARY, b"--B\r\n" + b"\r\n" * 5 * LARGE, {400}),
    "form-that-nearly-ends": (
        OF_BOUNDARY,
        b'--B\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + b"\r\n--" * 3 * LARGE,
        {400},
    ),
    "form-of-one-long-head": (OF_BOUNDARY, b"--B\r\nA: " + b"b;" * 5 * LARGE, {400}),
    "form-of-parameters": (
        OF_BOUNDARY,
        b"--B\r\nContent-Disposition: form-data" + b';a="' * LARGE + b"\r\n\r\n--B--",
        {400},
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_unfold(attacked, photo, name):
    kind, body, statuses = BODIES[name]
    with another_client(attacked, photo, name, growth=96 * MIB) as witness:
        answers = [ask(attacked.port, "POST /jobs", kind, body=body) for _ in range(AGAIN)]
        spent = witness.spent

    assert {each.status for each in answers} <= statuses
    assert all(len(each.body) < 10_000 for each in answers)
    assert spent < 2 * AGAIN


# --- Names that collide ---------------------------------------------------------------------------


def collide(number: int) -> list[int]:
    """Return numbers of which CPython's hashes, which are not randomised, are all the same."""
    return [each * (2**61 - 1) for each in range(1, number + 1)]


def of_json(number: int) -> tuple[str, bytes]:
    return JSON, b"{%s}" % b",".join(b'"%d":0' % each for each in collide(number))


def of_form(number: int) -> tuple[str, bytes]:
    part = b'--B\r\nContent-Disposition: form-data; name="%d"\r\n\r\n\r\n'
    return OF_BOUNDARY, b"".join(part % each for each in collide(number)) + b"--B--\r\n"


@pytest.mark.parametrize("made", [of_json, of_form])
def test_names_that_would_collide_take_linear_time(attacked, photo, made):
    def seconds(number: int) -> float:
        kind, body = made(number)
        before = time.monotonic()
        assert ask(attacked.port, "POST /jobs", kind, body=body).status in {400, 413, 422}
        return time.monotonic() - before

    with another_client(attacked, photo, made.__name__):
        few = min(seconds(10_000) for _ in range(3))
        many = min(seconds(40_000) for _ in range(3))

    # With squares it would be 16 times as long, and several seconds.
    assert many < max(10 * few, 0.5)


def test_names_in_a_query_are_bounded_by_the_head(attacked, photo):
    query = "&".join(f"{each}=" for each in collide(600))
    with another_client(attacked, photo, "names in a query") as witness:
        for _ in range(20):
            answer = ask(attacked.port, f"POST /jobs?{query}", "Content-Type: image/png", body=b"a")
            assert (answer.status, answer.code) == (400, "malformed")
        assert witness.spent < 3


def test_very_many_fields_in_a_head(attacked, photo):
    fields = [f"A{each}: b" for each in range(1500)]
    with another_client(attacked, photo, "fields in a head") as witness:
        for _ in range(20):
            assert ask(attacked.port, "GET /health", *fields).status == 200
        assert witness.spent < 5
