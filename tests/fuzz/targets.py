"""Our own parsers, each with good input and what is promised of it, whatever it is given.

A target says whether it took the input, and keeps the errors that are documented to itself. So what
it raises was not promised.
"""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl

import msgspec
from httpx2 import Response
from PIL import Image
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from actors.imaging.camera import camera
from actors.imaging.errors import ImageError
from actors.imaging.exif import exif_kept, orientation
from actors.imaging.facts import Limits
from actors.imaging.inspect import SUFFIXES, inspect
from actors.imaging.metadata import has_metadata, metadata
from actors.imaging.recipe import decode_recipe, encode_recipe
from actors.outside.allowance import Allowance
from actors.outside.errors import SourceForbidden
from actors.outside.targets import parse_target, redirected
from tests.conftest import NOON
from tests.imaging.good_files import good_files
from tests.imaging.pictures import exif
from web.accept import accepted
from web.batch_order import batch_order
from web.bounds import parse_quota, parse_rate
from web.calls import _decode
from web.downloads import read_range
from web.events import read_event_id
from web.failures import ProblemError, problem
from web.gate import _bearer_text
from web.jobs import _preferred_wait as preferred_wait
from web.origins import UNKNOWN, Origins, parse_proxies
from web.presets import BadPresets, Presets
from web.problems import Problem
from web.repeats import _name as read_once_name
from web.results import Job
from web.tokens import Token, read_token
from web.wire import Body, Offer, WireLimits, order

EVERY = Limits(formats=frozenset(SUFFIXES))
LIMITS = WireLimits(image=100_000, json=20_000, batch=20, now=lambda: NOON)
PROXIED = Origins(parse_proxies("10.0.0.0/8, 2001:db8:1::/48"))
KEY = Token("0123456789abcdef", "A" * 42 + "_")
FORM = "multipart/form-data; boundary=B"


class Target(NamedTuple):
    """A parser. `words` have a meaning to it, besides what is in the `seeds`."""

    read: Callable[[bytes], bool]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


def targets() -> dict[str, Target]:
    """Return all of them by their names."""
    return {**_of_images(), **_of_bodies(), **_of_fields(), "presets": _presets()}


# --- Files ----------------------------------------------------------------------------------------


def read_image(data: bytes) -> bool:
    """Read all of a file but its pixels."""
    try:
        facts = inspect(data, EVERY)
        said = metadata(data, facts)
        has_metadata(data, facts)
    except ImageError:
        return False
    assert facts.width > 0
    assert facts.height > 0
    assert facts.frames > 0
    read_exif(said.exif)
    return True


def read_exif(data: bytes) -> bool:
    """Read EXIF as it stands in a file."""
    assert 1 <= orientation(data) <= 8
    for turned in (1, 6):
        kept = exif_kept(data, "all", turned)
        assert len(kept) < 65_500
        assert exif_kept(kept, "all", turned) == kept
        assert len(exif_kept(data, "copyright", turned)) <= len(kept)
    json.dumps(camera(data))
    return True


_BOXES = (
    *(b"ftypavif", b"ftypheic", b"meta", b"hdlr", b"pitm", b"iinf", b"infe", b"iloc", b"iref"),
    *(b"iprp", b"ipco", b"ipma", b"ispe", b"grid", b"dimg", b"auxl", b"idat", b"mdat", b"av1C"),
    *(b"hvcC", b"irot", b"imir", b"colrprof", b"moov", b"trak", b"stbl", b"stsz", b"stsc"),
    *(b"stco", b"co64", b"Exif", b"uuid", b"\0\0\0\1", b"\0\0\0\0"),
)
_WORDS_OF_FORMATS: dict[str, tuple[bytes, ...]] = {
    "jpeg": tuple(bytes((0xFF, kind)) for kind in (*range(0xC0, 0xF0), 0, 0xFE, 0xFF)),
    "png": (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"eXIf"),
    "gif": (b"\x21\xf9\4", b"\x21\xff\x0bNETSCAPE2.0", b"\x2c", b"\x3b", b"\x21\xfe"),
    "webp": (b"VP8X", b"VP8 ", b"VP8L", b"ANIM", b"ANMF", b"ALPH", b"ICCP", b"EXIF", b"RIFF"),
    "avif": _BOXES,
    "heic": _BOXES,
    # The directory again, itself among its values, and tags of more than one size.
    "tiff": (b"II*\0", b"MM\0*", b"\x08\0\0\0", b"\1\1\4\0", b"\x11\1\4\0", b"\x17\1\4\0"),
}


def _of_images() -> dict[str, Target]:
    files = good_files()
    found = {
        kind: Target(
            read_image,
            tuple(data for name, data in files.items() if name.split("-")[0] == kind),
            words,
        )
        for kind, words in _WORDS_OF_FORMATS.items()
    }
    about = _exif_of_a_camera()
    said = (*(exif(6, each) for each in "<>"), about, exif_kept(about, "all", 6), files["tiff"])
    words = (b"\x69\x87\4\0\1\0\0\0", b"\x25\x88\4\0", bytes(4), bytes(8))
    return {**found, "exif": Target(read_exif, said, words)}


def _exif_of_a_camera() -> bytes:
    about = Image.Exif()
    about[0x010F], about[0x0112] = "Maker", 6
    about.get_ifd(0x8769).update({0x829A: 0.008, 0x9003: "2024:02:29 12:00:00", 0x9204: -0.5})
    about.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.5)})
    return about.tobytes().removeprefix(b"Exif\0\0")


# --- Bodies ---------------------------------------------------------------------------------------

_SAID = {
    "operations": [
        {"op": "crop", "aspect": "1:1", "gravity": "smart"},
        {"op": "resize", "width": 128, "height": "50%", "fit": "cover"},
        {"op": "watermark", "text": "\u00a9", "opacity": 0.5},
    ],
    "output": {"format": "webp", "quality": 80, "expect": {"max_bytes": 9000}},
    "image_data": "AAAA",
    "priority": "high",
    "retain": 60,
    "run_at": "2026-03-05T00:00:00Z",
    "callback_url": "https://example.org/told?by=us",
    "metadata": {"order": 5, "note": None},
}
_SEVERAL = {
    "outputs": [
        {"name": "page", "format": "avif", "operations": [{"op": "resize", "width": 800}]},
        {"name": "icon", "operations": [{"op": "round", "radius": "50%"}], "min_ssim": 0.9},
    ],
    "image_id": "here",
    "max_attempts": 2,
    "delay": 1.5,
}
_BATCH = {
    "defaults": {name: value for name, value in _SAID.items() if name in {"operations", "retain"}},
    "jobs": [{"image_id": "a"}, {"image_id": "b", "priority": "low", "metadata": {"n": 1}}],
    "callback_url": "https://example.org/told",
}
_WORDS_OF_JSON = (
    *(b"[" * 2000, b'{"a":' * 1500),
    *(b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"-1", b"1e999", b"0.5", b"[[[["),
    *(b"9" * 30, b'"\\ud800"', b'"\\u0000"', b"\xff", b'"op":"blur"', b'"op":"trim"', b'"50%"'),
    *(b'"image_url":"http://127.1/"', b'"preset":"avatar"', b'"width":', b'"#12345678"', b'"json"'),
)
_WORDS_OF_FORMS = (
    *(b"--B\r\n", b"--B--", b"\r\n", b"\r\n\r\n", b"\n", b"; ", b'name="image"', b'name="request"'),
    *(b'filename="a"', b"name*=utf-8''%ff", b"Content-Disposition: form-data", b'"', b"{}", b"\\"),
)


def read_recipe(data: bytes) -> bool:
    """Read a recipe as the catalogue keeps it."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError):
        recipe = decode_recipe(data.decode())
        assert decode_recipe(encode_recipe(recipe)) == recipe
        return True
    return False


def read_submission(content_type: str, data: bytes) -> bool:
    """Read the body of a POST /jobs."""

    def read() -> None:
        recipe = order(Body(content_type, data), LIMITS, Offer()).job.recipe
        assert decode_recipe(encode_recipe(recipe)) == recipe

    return _is_taken(read)


def read_query(data: bytes) -> bool:
    """Read the query of a POST /jobs whose body is the image."""
    query = parse_qsl(data.decode("latin-1"), keep_blank_values=True)
    return _is_taken(lambda: order(Body("image/png", b"image", query), LIMITS, Offer()))


def read_type(data: bytes) -> bool:
    """Read a Content-Type, and a form with it."""
    return _is_taken(lambda: order(Body(data.decode("latin-1"), _form()), LIMITS, Offer()))


def read_batch(data: bytes) -> bool:
    """Read the body of a POST /batches."""

    def read() -> None:
        ordered = batch_order(Body("application/json", data), LIMITS, Offer())
        assert len(ordered.places) == len(ordered.batch.jobs) > 0

    return _is_taken(read)


def read_answer(data: bytes) -> bool:
    """Read, as our client does, what a server answers that may be any."""
    error = problem(500, data)
    assert error.status == 500
    with suppress(ProblemError):
        _decode(Response(200, content=data), Job)
        return True
    return not error.code.startswith("http_")


def _is_taken(ask: Callable[[], object]) -> bool:
    """Whether there is no problem, which must be one of the client's that it can be told."""
    try:
        ask()
    except Problem as problem:
        refusal = problem
    else:
        return True
    assert 400 <= refusal.kind.status < 500
    assert json.loads(refusal.body())["code"] == refusal.code
    return False


def _form() -> bytes:
    parts = {
        'image"; filename="a.png': b"image",
        "operation": b"resize",
        "width": b"30",
        "height": b"20",
    }
    return (
        b"".join(
            b'--B\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (name.encode(), data)
            for name, data in parts.items()
        )
        + b"--B--\r\n"
    )


def _of_bodies() -> dict[str, Target]:
    said, several = (json.dumps(each).encode() for each in (_SAID, _SEVERAL))
    recipes = tuple(
        encode_recipe(order(Body("application/json", each), LIMITS, Offer()).job.recipe).encode()
        for each in (said, several)
    )
    one = b'--B\r\nContent-Disposition: form-data; name="request"\r\n\r\n%b\r\n--B--\r\n' % several
    answer = b'{"title":"Internal","status":500,"code":"internal","detail":"a","errors":[]}'
    query = b"operation=resize&width=30&height=25%25&output_format=webp&priority=low"
    kinds = (FORM.encode(), b'Multipart/Form-Data; charset=utf-8; boundary="B"')
    return {
        "recipe": Target(read_recipe, recipes, _WORDS_OF_JSON),
        "json": Target(
            partial(read_submission, "application/json"), (said, several), _WORDS_OF_JSON
        ),
        "form": Target(partial(read_submission, FORM), (_form(), one), _WORDS_OF_FORMS),
        "query": Target(read_query, (query,), (b"&", b"=", b"%", b"+", b"%ff", b"%00", b"1e2")),
        "type": Target(read_type, kinds, (b";", b'"', b"=", b"*=utf-8''", b"*0=", b"\\", b"B")),
        "answer": Target(read_answer, (answer,), _WORDS_OF_JSON),
        "batch": Target(read_batch, (json.dumps(_BATCH).encode(),), _WORDS_OF_JSON),
    }


# --- Fields ---------------------------------------------------------------------------------------


def read_accept(text: str) -> bool:
    """Read which formats are taken."""
    formats = accepted(parse_accept_header(text, MIMEAccept))
    assert set(formats) <= set(SUFFIXES)
    return bool(formats)


def check_range(text: str) -> bool:
    """Read a range of a file."""
    parts = [(read_range(text, size), size) for size in (1, 1000)]
    for part, size in parts:
        assert part is None or part[0] >= size or 0 <= part[0] <= part[1] <= size
    return None not in {part for part, _ in parts}


def read_origin(text: str) -> bool:
    """Read whom a proxy was asked by, and that nobody else is believed."""
    origin = PROXIED.of("10.0.0.1", [text])
    assert origin != UNKNOWN
    assert ip_network(origin).num_addresses in {1, 2**64}
    assert PROXIED.of("198.51.100.7", [text]) == "198.51.100.7"
    return origin != "10.0.0.1"


def check_event_id(text: str) -> bool:
    """Read what a client has seen."""

    def read() -> None:
        number = read_event_id(text)
        assert number is None or 0 <= number < 2**63

    return _is_taken(read)


def read_key(text: str) -> bool:
    """Read a key as it stands in Authorization."""
    token = read_token((_bearer_text(text) or "").strip())
    assert token is None or str(token) in text
    return token is not None


def read_address(text: str) -> bool:
    """Read an address to be fetched, and a redirect."""
    allowance = Allowance()
    for parse in (partial(redirected, parse_target("http://a.example/b", allowance)), parse_target):
        with suppress(SourceForbidden):
            target = parse(text, allowance)
            assert target.host.isascii()
            assert parse_target(str(target), allowance) == target
            return True
    return False


def read_bounds(text: str) -> bool:
    """Read limits as they are written."""
    for parse in (parse_rate, parse_quota):
        with suppress(ValueError):
            parse(text)
            return True
    return False


def read_wishes(text: str) -> bool:
    """Read Prefer and Idempotency-Key."""
    wait = preferred_wait([text])
    assert 0 <= wait < 10**18
    name = read_once_name(text)
    assert name is None or 1 <= len(name) <= 255
    return bool(wait or name)


def _field(read: Callable[[str], bool], *seeds: str, words: str = "") -> Target:
    """Return a parser of the text of a field, of which h11 has taken the white space off."""
    return Target(
        lambda data: read(data.decode("latin-1").strip(" \t")),
        tuple(seed.encode() for seed in seeds),
        (b" ", b",", b";", b'"', b"\\", *words.encode().split()),
    )


def _of_fields() -> dict[str, Target]:
    return {
        "accept": _field(
            read_accept,
            "image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
            words="q= ;q=nan ;q=-1 ;q=1e9 image/ / *",
        ),
        "range": _field(
            check_range, "bytes=0-99", "bytes=-5", "bytes=7-", words="bytes= - . 9999999"
        ),
        "origin": _field(
            read_origin,
            "192.0.2.1, 10.9.9.9, [2001:db8:2::1]:5678",
            words="::ffff:10.1.1.1 [ ] %eth0 unknown 0x7f.1 ::",
        ),
        "event": _field(check_event_id, "7", "9223372036854775807", words="+ - _ \u0663"),
        "key": _field(read_key, f"Bearer {KEY}", words="Bearer ck_ _"),
        "address": _field(
            read_address,
            "https://example.org:443/a%20b?c=d#e",
            "http://[2606:4700::1111]/",
            words="// @ : [ ] # ? %00 %2f .. 127.1 0x7f localhost \u3002 \u00df xn-- http: ::",
        ),
        "bounds": _field(read_bounds, "100/1m", "500M", "off", words="/ d k 9999999999"),
        "wishes": _field(
            read_wishes, "wait=5, respond-async", '"a \\" name"', words="wait= = " + "9" * 30
        ),
    }


def _presets() -> Target:
    path = Path(f"/proc/self/fd/{os.memfd_create('presets')}")

    def read(data: bytes) -> bool:
        path.write_bytes(data)
        with suppress(BadPresets):
            return bool(Presets(path).recipes)
        return False

    good = b"""
[avatar]
operations = [{op = "resize", width = 128, height = "50%", fit = "cover", gravity = "smart"}]
output = {format = "webp"}
[gallery]
outputs = [{name = "large", format = "auto"}, {name = "t", operations = [{op = "flip"}]}]
"""
    words = (b"[", b"]", b"{", b"}", b"=", b'"""', b"1979-05-27T07:32:00Z", b"inf", b"nan", b"\n")
    return Target(read, (good,), (*words, b"[" * 400, b"[[avatar]]", b"avatar.output.dpi = 7\n"))
