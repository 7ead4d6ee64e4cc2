"""Keys as text."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.tokens import Token, make_token, read_token

IDS = st.text("0123456789abcdef", min_size=16, max_size=16)
URL_SAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
SECRETS = st.text(URL_SAFE, min_size=43, max_size=43)
TOKENS = st.builds(Token, IDS, SECRETS)


@given(TOKENS)
def test_a_token_is_read_as_it_is_written(token):
    assert read_token(str(token)) == token


@given(st.text() | st.from_regex(r"ck_[0-9a-f]*_[\w-]*"))
def test_whatever_is_read_as_a_token_is_written_the_same_way(text):
    token = read_token(text)

    assert token is None or str(token) == text


@given(TOKENS, st.data())
def test_a_token_with_one_character_more_or_less_or_of_another_kind_is_none(token, data):
    text = str(token)
    place = data.draw(st.integers(0, len(text) - 1))
    odd = data.draw(st.characters(exclude_characters=URL_SAFE))

    assert read_token(text[:place] + text[place + 1 :]) is None
    assert read_token(text[:place] + odd + text[place + 1 :]) is None
    assert read_token(text[:place] + odd + text[place:]) is None
    assert read_token(text + odd) is None


@pytest.mark.parametrize(
    "text", ["", "ck_", "ck__", "ck_" + 16 * "a" + "_" + 43 * "a" + "\n", " ck_" + 16 * "a"]
)
def test_what_is_no_token_is_none(text):
    assert read_token(text) is None


def test_a_new_token_is_unlike_any_other_and_has_256_random_bits():
    tokens = [make_token() for _ in range(100)]

    assert len({token.key_id for token in tokens}) == 100
    assert len({token.secret for token in tokens}) == 100
    for token in tokens:
        assert read_token(str(token)) == token
        assert re.fullmatch(r"[\w-]{43}", token.secret)


@given(TOKENS)
def test_what_is_kept_of_a_token_is_the_digest_of_its_secret(token):
    assert token.digest == hashlib.sha256(token.secret.encode()).hexdigest()


@given(TOKENS)
def test_a_token_is_not_shown_by_accident(token):
    assert token.secret not in repr(token)
