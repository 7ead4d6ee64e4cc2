"""What a client sends is what the service reads, whatever it is made of."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web import wire
from web.sending import PIECE, Content, ImageId, ImageUrl, said

LIMITS = wire.WireLimits(image=10_000_000, json=1_000_000)
ID = "550e8400-e29b-41d4-a716-446655440000"
NAMES = st.from_regex("[a-z_]{1,9}", fullmatch=True).filter(
    lambda name: name not in {"image", "request", "image_id", "image_url", "image_data"}
)
FLAT = st.dictionaries(NAMES, st.text() | st.integers() | st.booleans(), max_size=5)
DEEP = st.dictionaries(NAMES, st.lists(st.text() | st.integers()), min_size=1, max_size=5)


def read(content: Content) -> bytes:
    upload = content.open()
    try:
        return b"".join(iter(upload.read, b""))
    finally:
        upload.close()


def understood(subject, recipe) -> wire._Said:
    """Return what the service makes of it."""
    query, content = said(subject, recipe)
    texts = [(name, str(value)) for name, value in query.items()]
    return wire._said(wire.Body(content.content_type, read(content), texts), LIMITS)


@given(st.binary(), DEEP)
def test_what_is_not_flat_goes_in_one_form_with_the_image(image, recipe):
    what = understood(image, recipe)

    assert what.images == {"image": image}
    assert set(what.members.values) == set(recipe)
    assert not what.is_bare


@given(st.binary(), FLAT)
def test_what_is_flat_goes_beside_the_bare_image(image, recipe):
    query, content = said(image, recipe)

    assert (query, read(content)) == (recipe, image)


@given(st.sampled_from([ImageId(ID), ImageUrl("https://example.org/a?b=c&d")]), FLAT | DEEP)
def test_what_goes_with_an_address_or_an_id_is_whole(subject, recipe):
    query, content = said(subject, recipe)

    what = understood(subject, recipe)

    named = {"image_url"} if isinstance(subject, ImageUrl) else {"image_id"}
    assert set(what.members.values) == named | set(recipe)
    assert not query
    assert content.is_in_memory


@pytest.mark.parametrize("name", ["a b", 'x"; name="image', "image\r\n"])
def test_a_name_that_could_break_a_form_goes_in_json(name):
    _, content = said(ImageId(ID), {name: "1"})

    assert content.content_type == "application/json"


def test_what_is_none_is_not_said():
    query, _ = said(b"", {"operation": "blur", "sigma": None})

    assert query == {"operation": "blur"}


def test_a_file_that_grows_is_sent_as_long_as_it_was(tmp_path):
    path: Path = tmp_path / "photo.jpg"
    path.write_bytes(b"1" * (PIECE + 1))
    upload = Content("image/jpeg", path).open()

    with path.open("ab") as more:
        more.write(b"2" * PIECE)
    sent = b"".join(iter(upload.read, b""))
    upload.close()

    assert upload.size == len(sent) == PIECE + 1


def test_it_is_read_in_pieces_and_again_from_where_it_stood():
    file = io.BytesIO(b"0" + b"1" * (2 * PIECE))
    file.seek(1)
    content = Content("image/jpeg", file)

    for _ in range(2):
        upload = content.open()
        assert [len(each) for each in iter(upload.read, b"")] == [PIECE, PIECE]
        assert content.can_be_sent
        upload.close()
    assert not file.closed
