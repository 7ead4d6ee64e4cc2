"""What clients send, as a message or as a problem that says what is wrong with it."""

import base64
import json
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.recipe import Output, Recipe, decode_recipe, encode_recipe
from actors.messages import Submit
from actors.storage.ports import Elsewhere
from tests.conftest import NOON
from web.members import MAX_DEPTH, MAX_MEMBERS, MAX_NAME
from web.problems import MAX_FAULTS, Problem
from web.wire import MAX_PART_HEAD, MAX_PARTS, Body, Offer, WireLimits, order, picture

LIMITS = WireLimits(image=1000, json=3000, retain=100)
IMAGE = b"any bytes: \0\r\n\xff"
WORDS = {"operation": "resize", "width": "30", "height": "20"}
VALUES = {"operation": "resize", "width": 30, "height": 20}
WANTED = Submit(IMAGE, "resize", Recipe((Output(operations=(Resize(30, 20),)),)), "normal")
WANTED_OF_IMAGE = (WANTED.operation, WANTED.recipe, WANTED.priority)
FORM = "multipart/form-data; boundary=B"


def submission(content_type: str, body: bytes, query: Iterable[tuple[str, str]] = ()) -> Submit:
    return order(Body(content_type, body, query), LIMITS, Offer()).job


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def from_json(members: object, content_type: str = "application/json") -> Submit:
    return submission(content_type, json.dumps(members).encode())


def from_raw(text: str | bytes) -> Submit:
    body = text if isinstance(text, bytes) else text.encode()
    return submission("application/json", body)


def from_image_data(raw: str) -> Submit:
    """Submit JSON in which `raw` is what stands for the image."""
    return from_raw(f'{{"operation":"resize","width":30,"height":20,"image_data":{raw}}}')


def part(name: str, data: bytes, *, filename: str | None = None) -> bytes:
    file = f'; filename="{filename}"' if filename else ""
    head = f'Content-Disposition: form-data; name="{name}"{file}\r\n\r\n'
    return b"--B\r\n" + head.encode() + data + b"\r\n"


def form(*parts: bytes, end: bytes = b"--B--\r\n") -> bytes:
    return b"".join(parts) + end


def fields(**words: str) -> list[bytes]:
    return [part(name, value.encode()) for name, value in words.items()]


IMAGE_PART = part("image", IMAGE, filename="../../etc/passwd")


def from_form(body: bytes, content_type: str = FORM) -> Submit:
    return submission(content_type, body)


def from_bare(image: bytes = IMAGE, *more: tuple[str, str], **words: str) -> Submit:
    return submission("image/png", image, [*(WORDS | words).items(), *more])


def problem_of(call, *arguments: object, **words: object) -> Problem:
    with pytest.raises(Problem) as caught:
        call(*arguments, **words)
    return caught.value


def pointers(problem: Problem) -> list[str]:
    assert problem.code == "invalid"
    return [fault.pointer for fault in problem.faults]


# --- The three forms ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "Application/JSON", "application/json; charset=utf-8"],
)
def test_json_carries_the_image_in_base64(content_type):
    assert from_json({"image_data": base64_of(IMAGE), **VALUES}, content_type) == WANTED


@pytest.mark.parametrize("content_type", [FORM, 'Multipart/Form-Data; boundary="B"'])
def test_a_form_carries_the_image_as_a_file(content_type):
    assert from_form(form(IMAGE_PART, *fields(**WORDS)), content_type) == WANTED


def test_a_form_carries_the_rest_in_one_part_if_it_likes():
    assert from_form(form(IMAGE_PART, part("request", json.dumps(VALUES).encode()))) == WANTED


def test_a_form_may_have_the_image_in_its_json_part():
    inner = json.dumps({**VALUES, "image_data": base64_of(IMAGE)}).encode()

    assert from_form(form(part("request", inner))) == WANTED


def test_a_form_needs_no_file_name_to_have_an_image():
    assert from_form(form(part("image", IMAGE), *fields(**WORDS))) == WANTED


@pytest.mark.parametrize(
    "content_type", ["image/png", "IMAGE/anything", "application/octet-stream", "image/x; a=b"]
)
def test_a_bare_image_is_the_body_itself(content_type):
    assert submission(content_type, IMAGE, WORDS.items()) == WANTED


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/mixed",
        "json",
        ";",
        "a/b/c",
    ],
)
def test_any_other_media_type_is_not_supported(content_type):
    problem = problem_of(submission, content_type, b"{}")

    assert (problem.code, problem.kind.status) == ("unsupported_media_type", 415)


def test_what_else_can_be_said_is_kept():
    said = {
        "operation": "thumbnail",
        "enlarge": False,
        "output_format": "webp",
        "quality": 50,
        "priority": "high",
    }

    submit = from_json({"image_data": base64_of(IMAGE), **VALUES, **said})

    thumbnail = Thumbnail(30, 20, enlarge=False)
    recipe = Recipe((Output(operations=(thumbnail,), format="webp", quality=50),))
    assert submit == Submit(IMAGE, "thumbnail", recipe, "high")


@pytest.mark.parametrize("word", ["false", "0", "False"])
def test_words_can_say_no(word):
    submit = from_bare(operation="thumbnail", enlarge=word)

    assert submit.recipe.outputs[0].operations == (Thumbnail(30, 20, enlarge=False),)


@pytest.mark.parametrize("name", ["jpg", "jpeg"])
def test_a_jpeg_may_be_called_jpg(name):
    assert from_bare(output_format=name).recipe.outputs[0].format == "jpeg"


def test_null_is_as_good_as_absent():
    nothing = {"output_format": None, "priority": None, "image_url": None, "other": None}

    assert from_json({"image_data": base64_of(IMAGE), **VALUES, **nothing}) == WANTED


# --- Numbers and other values ---------------------------------------------------------------------

BAD_WORDS = [
    "",
    "0",
    "4097",
    "-1",
    "300.0",
    "1e2",
    "١٢",
    "\uff11\uff12",
    "+30",
    " 30",
    "0x1e",
    "1_0",
    "030",
]
MORE_BAD_WORDS = ["true", "null", "nan", "Infinity", "9" * 30, "9" * 5000, "1e999", "[1]", "\0"]


@pytest.mark.parametrize("word", [*BAD_WORDS, *MORE_BAD_WORDS])
@pytest.mark.parametrize("name", ["width", "height"])
def test_a_word_that_is_no_whole_number_in_range_is_refused(name, word):
    assert pointers(problem_of(from_bare, **{name: word})) == [f"/{name}"]
    assert pointers(problem_of(from_form, form(IMAGE_PART, *fields(**(WORDS | {name: word}))))) == [
        f"/{name}"
    ]


@pytest.mark.parametrize(
    "value",
    ["0", "4097", "-1", "300.0", "1e2", '"30"', '"١٢"', "true", "[]", "{}", "9" * 25],
)
@pytest.mark.parametrize("name", ["width", "height"])
def test_a_value_that_is_no_whole_number_in_range_is_refused(name, value):
    other = "height" if name == "width" else "width"
    text = f'{{"image_data":"AAAA","operation":"resize","{other}":1,"{name}":{value}}}'

    assert pointers(problem_of(from_raw, text)) == [f"/{name}"]


@pytest.mark.parametrize("value", ["1e999", "NaN", "Infinity", "01", "+1", "0x1", ".5"])
def test_a_number_that_json_does_not_have_is_malformed(value):
    text = f'{{"image_data":"AAAA","operation":"resize","height":1,"width":{value}}}'

    assert problem_of(from_raw, text).code == "malformed"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("operation", "melt"),
        ("operation", "Resize"),
        ("operation", ""),
        ("operation", 1),
        ("operation", ["resize"]),
        ("output_format", "bmp"),
        ("output_format", 1),
        ("quality", 0),
        ("quality", 101),
        ("quality", "90"),
        ("priority", "urgent"),
        ("priority", 1),
        ("retain", 0),
        ("retain", LIMITS.retain + 1),
        ("retain", 1.5),
        ("retain", "60"),
        ("enlarge", 1),
        ("factor", 2),
        ("unknown", 1),
        ("image_url", 1),
        ("image_id", 1),
        ("image_id", ""),
        ("image_id", "a" * (MAX_NAME + 1)),
    ],
)
def test_a_wrong_member_is_pointed_at(name, value):
    problem = problem_of(from_json, {"image_data": "AAAA", **VALUES, name: value})

    assert pointers(problem) == [f"/{name}"]
    assert problem.kind.status == 422


def test_what_is_to_be_kept_for_how_long_can_be_said_in_every_form():
    said = [
        from_json({"image_data": "AAAA", **VALUES, "retain": LIMITS.retain}),
        from_form(form(IMAGE_PART, *fields(**WORDS, retain="7"))),
        from_bare(IMAGE, **WORDS, retain="1"),
        from_bare(IMAGE, **WORDS),
    ]

    assert [job.retain for job in said] == [LIMITS.retain, 7, 1, None]


def test_all_faults_are_found_at_once():
    problem = problem_of(from_json, {"operation": "resize", "width": 0, "quality": "a", "x": 1})

    assert pointers(problem) == ["/image_data", "/width", "/quality", "/x"]


def test_an_unknown_name_is_pointed_at_as_rfc_6901_says():
    problem = problem_of(from_json, {"image_data": "AAAA", **VALUES, "a/b~c": 1})

    assert pointers(problem) == ["/a~1b~0c"]


# --- Images: none, one, several -------------------------------------------------------------------


@pytest.mark.parametrize("image", [{}, {"image_data": None}])
def test_no_image_is_a_422(image):
    assert pointers(problem_of(from_json, {**VALUES, **image})) == ["/image_data"]


def test_an_empty_image_is_a_422():
    assert pointers(problem_of(from_json, {**VALUES, "image_data": ""})) == ["/image_data"]
    assert pointers(problem_of(from_bare, b"")) == ["/image"]
    empty = form(part("image", b"", filename="a"), *fields(**WORDS))
    assert pointers(problem_of(from_form, empty)) == ["/image"]


def test_an_image_may_be_named_that_is_there_already():
    as_json = from_json({**VALUES, "image_id": "a-b_C"})
    as_form = from_form(form(*fields(**WORDS, image_id="a-b_C")))

    assert as_json == as_form == Submit("a-b_C", *WANTED_OF_IMAGE)


URL = "https://example.org/a.png?token=1&b=%20#c"
ADDRESSES_INSIDE = [
    "",
    "a.png",
    "//example.org/a.png",
    "ftp://example.org/a.png",
    "file:///etc/passwd",
    "data:image/png;base64,AAAA",
    "http://example.org:8080/a.png",
    "http://user:secret@example.org/a.png",
    "http://localhost/",
    "http://127.0.0.1/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://[::ffff:127.0.0.1]/",
    "http://169.254.169.254/latest/meta-data/",
    "http://example.org/ a.png",
    "http://example.org/" + "a" * 2048,
]


def test_an_image_may_be_named_by_its_address():
    query = [("image_url", URL), *WORDS.items()]
    forms = [
        from_json({**VALUES, "image_url": URL}),
        from_form(form(*fields(**WORDS, image_url=URL))),
        from_form(form(part("request", json.dumps({**VALUES, "image_url": URL}).encode()))),
        submission("application/octet-stream", b"", query),
        submission("", b"", query),
    ]

    assert forms == 5 * [Submit(Elsewhere(URL), *WANTED_OF_IMAGE)]


def test_a_body_without_a_type_is_only_none_if_the_query_names_an_image():
    assert problem_of(submission, "", b"", WORDS.items()).code == "unsupported_media_type"
    assert problem_of(submission, "", IMAGE, [("image_url", URL)]).code == "unsupported_media_type"


@pytest.mark.parametrize("url", ADDRESSES_INSIDE)
def test_an_address_that_is_seen_to_be_forbidden_is_pointed_at(url):
    problem = problem_of(from_json, {**VALUES, "image_url": url})

    assert (problem.kind.status, pointers(problem)) == (422, ["/image_url"])


@pytest.mark.parametrize("other", ["image_url", "image_id"])
def test_more_than_one_image_is_a_422(other):
    problem = problem_of(from_json, {**VALUES, "image_data": "AAAA", other: "a"})

    assert problem.code == "invalid"


@pytest.mark.parametrize(
    "ask",
    [
        lambda: from_json({**VALUES, "image_data": "AAAA", "image_url": URL}),
        lambda: from_json({**VALUES, "image_id": "a", "image_url": URL}),
        lambda: from_form(form(IMAGE_PART, *fields(**WORDS, image_url=URL))),
        lambda: submission("image/png", IMAGE, [("image_url", URL), *WORDS.items()]),
        lambda: submission("image/png", b"", [("image_url", URL), ("image_id", "a")]),
    ],
)
def test_an_address_and_another_image_are_two(ask):
    assert "" in pointers(problem_of(ask))


def test_a_file_and_an_image_in_the_json_part_are_two():
    inner = json.dumps({**VALUES, "image_data": "AAAA"}).encode()

    assert pointers(problem_of(from_form, form(IMAGE_PART, part("request", inner)))) == [""]


def test_an_image_at_the_limit_is_taken_and_one_beyond_it_is_too_large():
    at, beyond = bytes(LIMITS.image), bytes(LIMITS.image + 1)

    assert from_bare(at).image == at
    assert from_json({**VALUES, "image_data": base64_of(at)}).image == at
    for problem in (
        problem_of(from_bare, beyond),
        problem_of(from_json, {**VALUES, "image_data": base64_of(beyond)}),
        problem_of(from_form, form(part("image", beyond), *fields(**WORDS))),
    ):
        assert (problem.code, problem.kind.status) == ("too_large", 413)


# --- Base64 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        '"AAECAw=="',
        '"AAEC\\nAw=="',
        '"AAEC\\r\\nAw==\\r\\n"',
        '"\\nAAECAw=="',
        '"\\u0041AECAw=="',
        '"data:image/png;base64,AAECAw=="',
        '"data:;base64,AAECAw=="',
        '"DATA:image/png;BASE64,AAECAw=="',
        '"data:image\\/svg+xml;charset=utf-8;base64,AAEC\\nAw=="',
    ],
)
def test_base64_is_read_as_it_is_written(raw):
    assert from_image_data(raw).image == b"\0\1\2\3"


@pytest.mark.parametrize("raw", ['"\\/+\\/+"', '"/+/+"'])
def test_an_escaped_slash_is_a_slash(raw):
    assert from_image_data(raw).image == b"\xff\xef\xfe"


@pytest.mark.parametrize(
    "raw",
    [
        '"AAECAw"',
        '"AAECAw="',
        '"AAECAw==="',
        '"A"',
        '"="',
        '"===="',
        '"AA==AA=="',
        '"AAEC Aw=="',
        '" AAECAw=="',
        '"AAEC\\tAw=="',
        '"_-_-"',
        '"AAEC!w=="',
        '"AAECAw==\\u0000"',
        '"\\u0410AEC"',
        '"ÀAEC"',
        '"data:image/png,AAECAw=="',
        '"data:image/png;base64AAECAw=="',
        '"data:"',
        '"data:image/png;base64,data:image/png;base64,AAAA"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\\x41"',
        '"AAEC\nAw=="',
        '"AAEC',
    ],
)
def test_what_is_no_base64_is_malformed(raw):
    problem = problem_of(from_image_data, raw)

    assert (problem.code, problem.kind.status) == ("malformed", 400)


@pytest.mark.parametrize("raw", ["1", "true", "[]", "{}", '["AAAA"]', "1.5"])
def test_an_image_that_is_no_string_is_pointed_at(raw):
    assert pointers(problem_of(from_image_data, raw)) == ["/image_data"]


# --- JSON -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"a"',
        b"1",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":1 "b":2}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
        b'{"a":"\xff"}',
        b'{"\xff":1}',
        b'{"a":"\\ud800"}',
        b'{"a":"\n"}',
        b"{" * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"image_data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    ],
)
def test_what_is_no_json_object_is_malformed(body):
    problem = problem_of(from_raw, body)

    assert (problem.code, problem.kind.status) == ("malformed", 400)


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_json_may_be_nested_as_deep_as_the_limit_and_no_deeper():
    # The object itself is the first level.
    deep = problem_of(from_json, {"image_data": "AAAA", **VALUES, "a": nested(MAX_DEPTH - 1)})
    deeper = problem_of(from_json, {"image_data": "AAAA", **VALUES, "a": nested(MAX_DEPTH + 2)})

    assert pointers(deep) == ["/a"]
    assert deeper.code == "malformed"


@pytest.mark.parametrize(
    "members",
    [
        {"a": "x" * LIMITS.json},
        {"x" * LIMITS.json: 1},
        {str(number): 1 for number in range(LIMITS.json // 4)},
    ],
)
def test_json_besides_the_image_is_bounded(members):
    assert problem_of(from_json, {**VALUES, **members}).code == "too_large"


def test_too_much_json_is_refused_before_it_is_taken_apart():
    body = json.dumps({str(number): 1 for number in range(100_000)})
    tracemalloc.start()

    problem = problem_of(from_raw, body)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problem.code == "too_large"
    assert peak < 2 * len(body)


def test_members_are_bounded():
    members = {str(number): 1 for number in range(MAX_MEMBERS)}

    assert problem_of(from_json, {**VALUES, **members}).code == "malformed"
    assert problem_of(from_bare, IMAGE, *[("a", "1")] * MAX_MEMBERS).code == "malformed"


@pytest.mark.parametrize("inside", [("operations", []), ("output", None), ("gravity", None)])
def test_members_of_members_are_bounded_as_well(inside):
    name, is_list = inside
    wide = {str(number): 1 for number in range(MAX_MEMBERS + 1)}
    long = {"secret" * MAX_NAME: 1}

    for each in (wide, long):
        members = {"image_data": "AAAA", name: each if is_list is None else [each]}
        problem = problem_of(from_json, members)
        assert problem.code == "malformed"
        assert b"secret" not in problem.body()


def test_of_very_many_faults_the_first_are_told():
    many = {str(number): 1 for number in range(5)}
    operations = [{"op": "flip", **many} for _ in range(32)]

    problem = problem_of(from_json, {"image_data": "AAAA", "operations": operations})

    assert len(pointers(problem)) == MAX_FAULTS < 5 * 32


def test_the_image_is_not_one_of_the_members_that_are_bounded():
    members = {str(number): 1 for number in range(MAX_MEMBERS)}

    assert problem_of(from_json, {"image_data": "AAAA", **members}).code == "invalid"


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (from_json, {"secret" * MAX_NAME: 1}),
        (from_form, form(part("secret" * MAX_NAME, b"1"))),
        (from_form, form(part("secret" * MAX_NAME, b"1", filename="a"))),
        (from_form, form(part("request", json.dumps({"secret" * MAX_NAME: 1}).encode()))),
        (lambda name: from_bare(IMAGE, (name, "1")), "secret" * MAX_NAME),
    ],
)
def test_a_name_that_is_too_long_is_malformed_and_not_repeated(call, argument):
    problem = problem_of(call, argument)

    assert problem.code == "malformed"
    assert b"secret" not in problem.body()


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("priority", "high, normal, low"),
        ("output_format", "jpeg, png, webp, gif, avif, tiff, auto, json"),
    ],
)
def test_a_wrong_choice_is_told_the_right_ones_and_not_repeated(name, choices):
    problem = problem_of(from_bare, **{name: "secret"})

    assert [fault.detail for fault in problem.faults] == [f"must be one of {choices}"]
    assert b"secret" not in problem.body()


def test_the_last_of_two_members_of_one_name_counts():
    text = '{"image_data":"AAAA","operation":"resize","width":1,"width":30,"height":20}'

    assert from_raw(text).recipe.outputs[0].operations == (Resize(30, 20),)


# --- Forms and words ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--B",
        b"--B--",
        b"--B\r\n",
        form(IMAGE_PART, *fields(**WORDS), end=b""),
        form(IMAGE_PART, *fields(**WORDS), end=b"--B\r\n"),
        form(IMAGE_PART, *fields(**WORDS))[:-8],
        form(b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n"),
        form(b"--B\r\nContent-Type: image/png\r\n\r\nx\r\n"),
        form(b"--B\r\n\r\nx\r\n"),
        form(b"--B\r\n\xff: \xff\r\n\r\nx\r\n"),
        form(b'--B\r\nContent-Disposition: form-data; name="a"\r\n'),
        form(part("operation", b"\xff"), IMAGE_PART),
        form(part("a" * MAX_PART_HEAD, b"x")),
        form(b"--B\r\n" + b"A: b\r\n" * 1000 + b"\r\nx\r\n"),
        form(IMAGE_PART, part("request", b"no JSON")),
        form(IMAGE_PART, part("request", b"[]")),
    ],
)
def test_a_broken_form_is_malformed(body):
    problem = problem_of(from_form, body)

    assert problem.code in {"malformed", "invalid"}
    assert problem.code == "malformed" or body == b"--B--"


@pytest.mark.parametrize("boundary", ["", "; boundary=", "; boundary=ä", "; boundary=C"])
def test_a_form_without_its_boundary_is_malformed(boundary):
    body = form(IMAGE_PART, *fields(**WORDS))

    assert problem_of(from_form, body, f"multipart/form-data{boundary}").code == "malformed"


def test_a_form_of_too_many_parts_is_too_large():
    body = form(IMAGE_PART, *[part(f"a{n}", b"") for n in range(MAX_PARTS)])

    assert problem_of(from_form, body).code == "too_large"


def test_fields_beside_the_json_part_are_pointed_at():
    body = form(IMAGE_PART, part("request", json.dumps(VALUES).encode()), *fields(width="30"))

    assert pointers(problem_of(from_form, body)) == ["/width"]


@pytest.mark.parametrize(
    ("name", "double"),
    [
        ("width", part("width", b"30")),
        ("image", IMAGE_PART),
        ("request", part("request", b"{}")),
    ],
)
def test_a_part_given_twice_is_pointed_at(name, double):
    rest = [part("request", b"{}")] if name == "request" else fields(**WORDS)

    problem = problem_of(from_form, form(IMAGE_PART, *rest, double))

    assert f"/{name}" in pointers(problem)


def test_a_word_given_twice_is_pointed_at():
    assert pointers(problem_of(from_bare, IMAGE, ("width", "30"))) == ["/width"]


# --- Anything at all ------------------------------------------------------------------------------

anything = settings(deadline=None, derandomize=True, database=None)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        *(*WORDS, "image_data", "image_url", "image_id", "enlarge", "output_format", "quality"),
        *("operations", "output", "outputs", "preset", "op", "name", "format", "gravity", "x", "y"),
        *("expect", "size", "autorotate", "priority"),
    ]
)
LIKELY = st.sampled_from(
    [
        *("AAAA", "resize", "thumbnail", 1, 300, 300.0, True, "high", "jpg", "data:;base64,AAAA"),
        *("1e2", "25%", "crop", "9" * 5000, "http://example.org/a", "http://127.1/"),
    ]
)
LIKELY_OBJECTS = st.recursive(
    LIKELY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)


def gives_a_submit_or_a_problem(content_type, body, query) -> None:
    try:
        answer: Submit | Problem = submission(content_type, body, query)
    except Problem as problem:
        answer = problem
    match answer:
        case Submit(image=image, recipe=recipe):
            assert image
            assert decode_recipe(encode_recipe(recipe)) == recipe
        case Problem(kind=kind, code=code):
            assert 400 <= kind.status < 500
            assert json.loads(answer.body())["code"] == code


@anything
@given(st.dictionaries(NAMES | st.text(), LIKELY_OBJECTS | JSON_VALUES, max_size=12))
def test_any_json_object_is_a_submit_or_a_problem(members):
    gives_a_submit_or_a_problem("application/json", json.dumps(members).encode(), ())


@anything
@given(
    st.sampled_from(["application/json", FORM, "image/png", "multipart/form-data"]) | st.text(),
    st.binary(),
    st.lists(st.tuples(NAMES | st.text(), st.text())),
)
def test_any_bytes_are_a_submit_or_a_problem(content_type, body, query):
    gives_a_submit_or_a_problem(content_type, body, query)


@anything
@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"--B", b"--B--", b"\r\n", b"\n", b"\r", b": ", b"; ", b'"', b"="]),
            st.sampled_from(
                [b"Content-Disposition", b"form-data", b'name="image"', b"name*=utf-8''%"]
            ),
            st.sampled_from([IMAGE_PART, part("request", b"{}"), *fields(**WORDS)]),
            st.binary(max_size=5),
        )
    )
)
def test_any_pieces_of_forms_are_a_submit_or_a_problem(pieces):
    gives_a_submit_or_a_problem(FORM, b"".join(pieces), ())


@anything
@given(st.binary(), st.integers(0, 200), st.binary(max_size=3))
def test_a_good_request_with_something_changed_is_a_submit_or_a_problem(image, at, change):
    good = form(part("image", image), *fields(**WORDS))
    gives_a_submit_or_a_problem(FORM, good[:at] + change + good[at + len(change) :], ())
    text = json.dumps({"image_data": base64_of(image), **VALUES}).encode()
    gives_a_submit_or_a_problem("application/json", text[:at] + change + text[at:], ())


@anything
@given(st.binary(min_size=1, max_size=LIMITS.image), st.sampled_from([60, 64, 76]))
def test_base64_in_lines_is_the_same_image(image, width):
    text = base64_of(image)
    lines = "\r\n".join(text[at : at + width] for at in range(0, len(text), width))

    assert from_json({**VALUES, "image_data": lines}).image == image


@anything
@given(st.binary(min_size=1, max_size=LIMITS.image).filter(lambda image: b"--B" not in image))
def test_any_image_comes_through_a_form_unchanged(image):
    assert from_form(form(part("image", image, filename="a"), *fields(**WORDS))).image == image


def test_a_missing_image_is_pointed_at_where_it_belongs():
    assert pointers(problem_of(from_json, VALUES)) == ["/image_data"]
    assert pointers(problem_of(from_form, form(*fields(**WORDS)))) == ["/image"]


def test_an_image_in_a_part_of_another_name_is_pointed_at():
    lost = part("photo", IMAGE, filename="photo.jpg")

    assert pointers(problem_of(from_form, form(*fields(**WORDS), lost))) == ["/photo"]


# --- An image by itself ---------------------------------------------------------------------------


def keep(content_type: str, body: bytes, query: Iterable[tuple[str, str]] = ()) -> bytes:
    return picture(Body(content_type, body, query), LIMITS)


def test_an_image_can_be_sent_in_each_of_the_three_forms():
    as_json = json.dumps({"image_data": base64_of(IMAGE)}).encode()

    assert keep("image/png", IMAGE) == IMAGE
    assert keep("application/json", as_json) == IMAGE
    assert keep(FORM, form(IMAGE_PART)) == IMAGE
    assert keep(FORM, form(part("request", as_json))) == IMAGE


@pytest.mark.parametrize(
    ("content_type", "body", "query", "pointer"),
    [
        ("image/png", IMAGE, [("width", "1")], "/width"),
        ("image/png", b"", [], "/image"),
        ("application/json", b"{}", [], "/image_data"),
        ("application/json", b'{"image_data":"AAAA","operation":"flip"}', [], "/operation"),
        ("application/json", b'{"image_id":"a"}', [], "/image_id"),
        (FORM, form(IMAGE_PART, *fields(priority="high")), [], "/priority"),
    ],
)
def test_nothing_else_may_come_with_it(content_type, body, query, pointer):
    assert pointers(problem_of(keep, content_type, body, query)) == [pointer]


# --- When, and how often --------------------------------------------------------------------------


def when(**said):
    """What is asked for by a job that says this, at noon."""
    limits = replace(LIMITS, delay=100, attempts=3, now=lambda: NOON)
    whole = {**VALUES, "image_data": base64_of(IMAGE), **said}
    body = Body("application/json", json.dumps(whole).encode())
    return order(body, limits, Offer()).job


def faults_of(**said):
    with pytest.raises(Problem) as refused:
        when(**said)
    assert refused.value.code == "invalid"
    return [(fault.pointer, fault.detail) for fault in refused.value.faults]


def test_a_job_may_say_when_it_is_begun_and_how_often():
    assert (when().start, when().max_attempts) == (None, None)
    assert when(delay=2.5).start == timedelta(seconds=2.5)
    assert when(run_at="2026-03-01T14:00:05+02:00").start == NOON + timedelta(seconds=5)
    assert when(run_at="1999-03-01T14:00:05Z").start.year == 1999
    assert when(max_attempts=3).max_attempts == 3


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"delay": 101}, "/delay"),
        ({"delay": -1}, "/delay"),
        ({"delay": "1"}, "/delay"),
        ({"run_at": "2026-03-01T12:01:41Z"}, "/run_at"),
        ({"run_at": "2026-03-01T12:00:05"}, "/run_at"),
        ({"run_at": "0001-01-01T00:00:00+10:00"}, "/run_at"),
        ({"run_at": 1}, "/run_at"),
        ({"delay": 1, "run_at": "2026-03-01T12:00:05Z"}, ""),
        ({"max_attempts": 0}, "/max_attempts"),
        ({"max_attempts": 4}, "/max_attempts"),
    ],
)
def test_what_is_wrong_with_its_time_or_its_attempts_is_told(said, pointer):
    assert [place for place, _ in faults_of(**said)] == [pointer]


def test_the_same_can_be_said_in_a_query():
    query = [("operation", "resize"), ("width", "30"), ("height", "20"), ("delay", "2.5")]
    query.append(("max_attempts", "2"))

    job = order(Body("image/png", IMAGE, query), LIMITS, Offer()).job

    assert (job.start, job.max_attempts) == (timedelta(seconds=2.5), 2)


# --- Webhooks -------------------------------------------------------------------------------------


def json_of(**members):
    return sent({"image_data": "AAAA", "operation": "grayscale", **members})


def sent(members):
    limits = replace(LIMITS, json=10_000)
    return order(Body("application/json", json.dumps(members).encode()), limits, Offer()).job


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("https://example.org/hook?t=1", "https://example.org/hook?t=1"),
        ("HTTPS://Example.ORG", "https://example.org/"),
    ],
)
def test_a_callback_url_is_kept_as_it_will_be_asked(said, asked):
    job = json_of(callback_url=said)

    assert job.callback_url == asked
    assert "example.org/hook" not in repr(job)


def test_a_callback_url_can_be_said_in_a_query():
    words = [("operation", "grayscale"), ("callback_url", "https://example.org/")]

    job = order(Body("image/png", b"picture", words), LIMITS, Offer()).job

    assert job.callback_url == "https://example.org/"


METADATA = {"a": 1, "b": "größer 🖼", "c": None, "d": True, "e": 1.5, "f": 10**30, "": ""}


def test_metadata_is_kept_as_it_was():
    assert json.loads(json_of(metadata=METADATA).metadata) == METADATA


@pytest.mark.parametrize(
    "metadata",
    [
        {"a": {}},
        {"a": [1]},
        {str(n): n for n in range(33)},
        {"a": "x" * 8200},
    ],
)
def test_what_is_no_flat_object_or_too_large_is_no_metadata(metadata):
    with pytest.raises(Problem) as refused:
        json_of(metadata=metadata)

    assert [fault.pointer for fault in refused.value.faults] == ["/metadata"]


@pytest.mark.parametrize("metadata", ["text", 7, []])
def test_what_is_no_object_is_no_metadata_of_the_clients(metadata):
    with pytest.raises(Problem) as refused:
        json_of(metadata=metadata)

    assert [fault.pointer for fault in refused.value.faults] == ["/metadata"]


def test_as_a_text_it_says_what_an_output_keeps_of_its_own():
    job = json_of(metadata="copyright")

    assert job.metadata is None
    assert job.recipe.outputs[0].metadata == "copyright"
