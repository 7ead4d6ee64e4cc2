"""What a request says by name: taken out by structs, and every fault pointed at."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
import pytest

from web.members import MAX_DEPTH, MAX_MEMBERS, MAX_NAME, Members, from_json, pointer
from web.problems import Problem


class Size(msgspec.Struct):
    width: Annotated[int, msgspec.Meta(ge=1)]
    height: Annotated[int, msgspec.Meta(ge=1)] = 7


class Frame(msgspec.Struct):
    size: Size
    corners: tuple[Annotated[int, msgspec.Meta(ge=1)], int] | None = None
    length: Annotated[int | str, msgspec.Meta(description="a length")] | None = None
    wide: Annotated[int, msgspec.Meta(le=9)] | None = None


class Length(msgspec.Struct):
    length: int | str | None = None


class Look(msgspec.Struct):
    colour: Literal["red", "green"] | None = None
    shape: Literal["round", "square"] = "round"


def from_query(names: list[str]) -> Members:
    return Members.of_query((name, "1") for name in names)


def from_object(names: list[str]) -> Members:
    return Members.of_json(dict.fromkeys(names, msgspec.Raw(b"1")))


def faults_of(members: Members) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.detail) for fault in members.faults]


def test_what_is_taken_is_gone_and_the_rest_can_be_refused():
    members = Members({"width": 5, "colour": "red"})

    taken = members.take(Size)
    members.refuse_rest("is not wanted")

    assert taken == Size(5, 7)
    assert faults_of(members) == [("/colour", "is not wanted")]


def test_all_faults_are_found_at_once():
    members = Members({"height": 0})

    assert members.take(Size) is None
    assert faults_of(members) == [
        ("/width", "is missing"),
        ("/height", "must be a whole number of at least 1"),
    ]


@pytest.mark.parametrize("word", ["1e2", "300.0", "0x10", "١٢", "1_0", " 5", "+5", "true", ""])
def test_a_word_is_a_whole_number_only_if_it_is_written_as_one(word):
    assert Members.of_query([("width", word)]).take(Size) is None


def test_a_word_is_a_number_and_a_string_in_json_is_none():
    assert Members.of_query([("width", "12")]).take(Size) == Size(12)
    assert Members({"width": "12"}).take(Size) is None


def test_a_name_twice_in_a_query_is_a_fault():
    members = Members.of_query([("width", "1"), ("width", "2")])

    assert faults_of(members) == [("/width", "is given twice")]


@pytest.mark.parametrize("value", ["blue", 1, ["red"], {}])
def test_a_choice_that_there_is_not_is_told_which_there_are(value):
    members = Members({"colour": value, "shape": value})

    assert members.take(Look) is None
    assert faults_of(members) == [
        ("/colour", "must be one of red, green"),
        ("/shape", "must be one of round, square"),
    ]


def test_an_object_is_looked_into():
    good = Members({"size": {"width": 5, "height": None}, "corners": [1, 2]})
    bad = Members({"size": {"height": 0, "a/b": 1}, "corners": [0, 2], "length": [], "wide": 10})

    assert good.take(Frame) == Frame(Size(5), (1, 2))
    assert bad.take(Frame) is None
    assert faults_of(bad) == [
        ("/size/width", "is missing"),
        ("/size/height", "must be a whole number of at least 1"),
        ("/size/a~1b", "is no parameter here"),
        ("/corners/0", "must be a whole number of at least 1"),
        ("/length", "must be a length"),
        ("/wide", "must be a whole number of at most 9"),
    ]


class Amounts(msgspec.Struct):
    factor: Annotated[float, msgspec.Meta(ge=0, le=10)] = 1
    sigma: Annotated[float, msgspec.Meta(gt=0, le=9)] = 1
    plain: int | None = None
    tile: bool = False
    size: Size | None = None


@pytest.mark.parametrize("value", ["x", [], {"x": 1}, -1.5])
def test_what_must_be_a_number_or_a_truth_is_told_so_in_words(value):
    members = Members(dict.fromkeys(("factor", "sigma", "plain", "tile"), value))

    assert members.take(Amounts) is None
    assert faults_of(members) == [
        ("/factor", "must be a number from 0 to 10"),
        ("/sigma", "must be a number above 0 and at most 9"),
        ("/plain", "must be a whole number"),
        ("/tile", "must be true or false"),
    ]


Short = Annotated[str, msgspec.Meta(min_length=1, max_length=5)]


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (str | None, 3, "must be a text"),
        (Short | None, "", "must be a text of at least 1 characters"),
        (Short, "many words", "must be a text of at most 5 characters"),
        (Annotated[str, msgspec.Meta(pattern="^a$")], "b", "must be a text of another form"),
        (int | str, [1], "must be a whole number or a text"),
        (tuple[int, int] | str, [1], "must be a list of 2"),
        (dict[str, int], 3, "must be an object"),
        (datetime, "noon", "must be a time as in RFC 3339, with its zone"),
    ],
)
def test_what_a_value_must_be_is_told_in_words_that_know_nothing_of_python(kind, value, why):
    struct = msgspec.defstruct("Said", [("it", kind)])
    members = Members({"it": value})

    assert members.take(struct) is None
    assert faults_of(members) == [("/it", why)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "it ends too early"),
        (b'{"a":"\xff"}', "it is not UTF-8"),
        (b'{"a":' + b"[" * 100_000, "it is nested too deep"),
        (b"[1]", "it is something else"),
        (b"{}x", "trailing characters (byte 3)"),
    ],
)
def test_what_is_no_json_is_told_why_in_plain_words(text, why):
    with pytest.raises(Problem) as caught:
        from_json(text, dict[str, object])

    assert caught.value.detail == f"The body is no JSON object: {why}."


def test_what_must_be_an_object_is_told_so_in_words():
    members = Members({"size": 5})

    assert members.take(Amounts) is None
    assert faults_of(members) == [("/size", "must be an object")]


def test_what_should_be_an_object_and_is_none_is_a_fault():
    members = Members({"one": [], "several": [{}, 1], "few": [{}], "text": "ab"})

    assert members.inside("one") is None
    assert members.objects("several", least=0, most=2)[1] is None
    assert members.objects("few", least=2, most=3) == [None]
    assert members.objects("text", least=0, most=3) == [None]
    assert members.objects("missing", least=0, most=1) == [None]
    assert faults_of(members) == [
        ("/one", "must be an object"),
        ("/several/1", "must be an object"),
        ("/few", "must be a list of 2 to 3 objects"),
        ("/text", "must be a list of 0 to 3 objects"),
        ("/missing", "must be a list of 0 to 1 objects"),
    ]


def test_an_object_that_is_missing_is_empty():
    inner = Members({}, place="/a").inside("b~c")

    assert inner
    assert (inner.values, inner.place) == ({}, "/a/b~0c")


@pytest.mark.parametrize("word", ["null", "Null", "NULL"])
def test_a_word_is_never_nothing(word):
    members = Members.of_query([("wide", word)])

    assert members.take(Frame) is None
    assert "/wide" in [fault.pointer for fault in members.faults]


def test_a_word_that_may_be_a_number_or_text_is_a_number_if_it_is_written_as_one():
    for word, value in (("12", 12), ("-5", -5), ("012", "012"), ("1.0", "1.0"), ("٣", "٣")):
        assert Members.of_query([("length", word)]).take(Length) == Length(value)


@pytest.mark.parametrize("members_of", [from_query, from_object])
def test_members_and_their_names_are_bounded(members_of):
    most = [str(number).rjust(MAX_NAME) for number in range(MAX_MEMBERS)]

    assert list(members_of(most).values) == most
    for names in ([*most, "more"], ["secret" * MAX_NAME]):
        with pytest.raises(Problem) as caught:
            members_of(names)
        assert caught.value.code == "malformed"
        assert b"secret" not in caught.value.body()


def test_a_name_that_is_given_often_counts_as_often():
    with pytest.raises(Problem, match="malformed"):
        from_query(["a"] * (MAX_MEMBERS + 1))


def test_json_is_nested_no_deeper_than_the_limit():
    def nested(depth: int) -> dict[str, msgspec.Raw]:
        # The object itself is the first level.
        return {"a": msgspec.Raw(b"[" * (depth - 1) + b"]" * (depth - 1))}

    assert Members.of_json(nested(MAX_DEPTH)).values
    with pytest.raises(Problem, match="malformed"):
        Members.of_json(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("text", [b'{"%s":1}', b'[1,{"a":{"%s":1}}]', b'[[{"%s":1}]]'])
def test_names_are_bounded_at_every_depth(text):
    long = msgspec.Raw(text % (b"secret" * MAX_NAME))

    with pytest.raises(Problem) as caught:
        Members.of_json({"a": long})
    assert caught.value.code == "malformed"
    assert b"secret" not in caught.value.body()


def test_members_are_bounded_at_every_depth():
    wide = b"{" + b",".join(b'"%d":1' % number for number in range(MAX_MEMBERS + 1)) + b"}"

    with pytest.raises(Problem, match="malformed"):
        Members.of_json({"a": msgspec.Raw(b"[" + wide + b"]")})


def test_null_in_json_is_as_good_as_absent():
    assert Members.of_json({"a": msgspec.Raw(b"null")}).values == {}


def test_only_wants_nothing_else():
    with pytest.raises(Problem) as caught:
        Members.of_query([("width", "1"), ("x", "2"), ("a/b", "3")]).only(Size)

    assert caught.value.code == "invalid"
    assert [fault.pointer for fault in caught.value.faults] == ["/x", "/a~1b"]


@pytest.mark.parametrize("text", [b"", b"[]", b"1", b"{", b'{"a":\xff}', b'{"a":' + b"[" * 100_000])
def test_what_is_no_json_object_is_malformed(text):
    with pytest.raises(Problem) as caught:
        from_json(text, dict[str, object])

    assert caught.value.code == "malformed"


def test_pointers_are_escaped():
    assert pointer("a~/b") == "/a~0~1b"
