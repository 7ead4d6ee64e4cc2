"""`Idempotency-Key`: a POST that is sent again is done once, and answered as the first time.

draft-ietf-httpapi-idempotency-key-header. What was answered is kept by the Store, in the
transaction in which the request is done; here is what the header means, and what makes two
requests the same.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, cast

import msgspec
from quart import g, has_request_context, request

from actors.storage.repeats import Once
from web.problems import Problem
from web.uploads import upload

if TYPE_CHECKING:
    from werkzeug.datastructures import Headers

FIELD = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"
# What most clients send, as it is; and the string of RFC 9651 that the draft wants.
BARE = re.compile(r"[!#-~](?:[ !#-~]{0,253}[!#-~])?")
QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\]){1,255})"')
MALFORMED = f"{FIELD} must be one name of up to 255 printable ASCII characters, in quotes or not."


class Fingerprint:
    """A digest of all that a request says: where it goes, and its body as that comes in.

    The boundary between the parts of a form is not told from another, because a client that
    builds a form anew for each try says the same with another one.
    """

    def __init__(self, where: object, boundary: str | None) -> None:
        self._hash = hashlib.sha256(msgspec.json.encode(where))
        self._mark = f"--{boundary}".encode("latin-1", "replace") if boundary else b""
        self._held = b""

    def update(self, piece: bytes) -> None:
        """Take in the next piece of the body."""
        if not self._mark:
            self._hash.update(piece)
            return
        # No header can have a zero in it, so none can be in the mark, and what is put in its place
        # cannot become a part of another. A mark may have its end in the next piece.
        text = (self._held + piece).replace(self._mark, b"\0")
        sure = max(0, len(text) - len(self._mark) + 1)
        self._hash.update(text[:sure])
        self._held = text[sure:]

    def text(self) -> str:
        """Return the digest of what was taken in."""
        whole = self._hash.copy()
        whole.update(self._held)
        return whole.hexdigest()


def begin_repeatable() -> None:
    """Note the name of the present request, if it is a POST and has one.

    Before its body is taken in.

    Raises:
      Problem: `malformed`.
    """
    fields = request.headers.getlist(FIELD)
    if not fields or request.method != "POST":
        return
    name = _name(fields[0].strip()) if len(fields) == 1 else None
    if name is None:
        raise Problem("malformed", MALFORMED)
    is_form = request.mimetype == "multipart/form-data"
    content_type = request.mimetype if is_form else request.headers.get("Content-Type", "")
    boundary = request.mimetype_params.get("boundary") if is_form else None
    query = request.query_string.decode("latin-1")
    g.once_name = name
    g.fingerprint = Fingerprint((request.method, request.path, query, content_type), boundary)
    upload().show_to(g.fingerprint.update)


def is_repeatable() -> bool:
    """Whether the present request has a name, under which it can be sent again."""
    return has_request_context() and "fingerprint" in g


async def once() -> Once | None:
    """Return the name of the present request and what it says, once all of it is there.

    Raises as `Upload.wait_complete`.
    """
    if not is_repeatable():
        return None
    await upload().wait_complete()
    return Once(g.once_name, cast("Fingerprint", g.fingerprint).text())


def note_replay() -> None:
    """Have the client told that the present request was done before."""
    g.replayed = True


def tell_replay(headers: Headers) -> None:
    """Tell it, in the headers of the answer."""
    if "replayed" in g:
        headers[REPLAYED] = "true"


def _name(field: str) -> str | None:
    if quoted := QUOTED.fullmatch(field):
        return re.sub(r"\\(.)", r"\1", quoted[1])
    return field if BARE.fullmatch(field) else None
