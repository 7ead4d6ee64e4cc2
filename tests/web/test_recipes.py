"""Recipes as clients say them: in three ways, with every fault pointed at."""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect, structs

from actors.imaging.errors import Misfit, Misfits
from actors.imaging.expect import Expect
from actors.imaging.facts import Written
from actors.imaging.operations.covering import Border
from actors.imaging.operations.cropping import Crop
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.operations.turning import Flip, Flop, Rotate
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import (
    MAX_OPERATIONS,
    MAX_OTHERS,
    MAX_OUTPUTS,
    Encoding,
    Operation,
    Output,
    Recipe,
)
from actors.imaging.step import FocalPoint
from web.members import Members
from web.recipes import OPERATIONS, PARAMETERS, Named, take_recipe
from web.wire import Body, Offer, Order, WireLimits, order

ACCEPTS: tuple[Written, ...] = ("avif", "jpeg")
T = TypeVar("T", bound=msgspec.Struct)
PRESET = Recipe((Output(operations=(Flip(),), format="auto"), Output(name="facts", format="json")))
PRESETS: Mapping[str, Recipe] = MappingProxyType({"avatar": PRESET, "banner": PRESET})
NO_FAULTS: list[str] = []


def taken(members: Members) -> tuple[Named | None, dict[str, str]]:
    """Take a recipe. Return it with what was wrong, by pointers, of which none is told twice."""
    named = take_recipe(members, PRESETS, ACCEPTS)
    members.refuse_rest("is no parameter here")
    faults = {fault.pointer: fault.detail for fault in members.faults}
    assert len(faults) == len(members.faults)
    return named, faults


def from_json(said: object) -> Members:
    raw = msgspec.json.decode(json.dumps(said), type=dict[str, msgspec.Raw])
    return Members.of_json(raw)


def recipe_in(members: Members) -> Recipe:
    named, faults = taken(members)
    assert not faults
    assert named
    return named.recipe


def of_json(said: object) -> Recipe:
    return recipe_in(from_json(said))


def of_words(**words: str) -> Recipe:
    return recipe_in(Members.of_query(words.items()))


def faults_of(said: object) -> list[str]:
    """The pointers to what is wrong, in the order in which it is told."""
    _, faults = taken(from_json(said))
    return list(faults)


def only(*operations: Operation, **encoding) -> Recipe:
    return Recipe((Output(operations=operations, **encoding),))


# --- The short form -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "recipe"),
    [
        ({"operation": "resize", "width": 300, "height": 200}, only(Resize(300, 200))),
        ({"operation": "resize", "width": 300}, only(Resize(300))),
        ({"operation": "resize", "width": "25%"}, only(Resize("25%"))),
        ({"operation": "crop", "aspect": "16:9"}, only(Crop(aspect="16:9"))),
        ({"operation": "rotate", "angle": -12.5}, only(Rotate(-12.5))),
        ({"operation": "flip"}, only(Flip())),
        (
            {"operation": "flip", "output_format": "webp", "quality": 30, "lossless": True},
            only(Flip(), format="webp", quality=30, lossless=True),
        ),
        (
            {"operation": "crop", "width": 9, "height": 9, "gravity": {"x": 0.5, "y": 1}},
            only(Crop(width=9, height=9, gravity=FocalPoint(0.5, 1))),
        ),
        (
            {"operation": "flip", "expect": {"size": [1, 2], "frames": "same"}},
            only(Flip(), expect=Expect(size=(1, 2), frames="same")),
        ),
        ({"operation": "flip", "output_format": "jpg"}, only(Flip(), format="jpeg")),
        (
            {"operation": "flip", "autorotate": False},
            Recipe((Output(operations=(Flip(),)),), False),
        ),
    ],
)
def test_the_short_form_is_one_operation_and_one_output(said, recipe):
    assert of_json(said) == recipe


@pytest.mark.parametrize(
    ("words", "recipe"),
    [
        ({"operation": "resize", "width": "300", "height": "25%"}, only(Resize(300, "25%"))),
        ({"operation": "pad", "top": "0", "left": "2.5%"}, only(Pad(top=0, left="2.5%"))),
        ({"operation": "rotate", "angle": "-12.5"}, only(Rotate(-12.5))),
        ({"operation": "rotate", "angle": "90"}, only(Rotate(90))),
        (
            {"operation": "flip", "lossless": "true", "min_ssim": "0.98", "max_bytes": "9999"},
            only(Flip(), lossless=True, min_ssim=0.98, max_bytes=9999),
        ),
        ({"operation": "flip", "output_format": "jpg"}, only(Flip(), format="jpeg")),
        (
            {"operation": "flip", "autorotate": "false"},
            Recipe((Output(operations=(Flip(),)),), False),
        ),
        # What is text stays text, whatever it looks like.
        ({"operation": "watermark", "text": "2026"}, only(Watermark(text="2026"))),
        ({"operation": "watermark", "text": "null"}, only(Watermark(text="null"))),
    ],
)
def test_words_say_the_same_as_json(words, recipe):
    assert of_words(**words) == recipe


@pytest.mark.parametrize(
    "word",
    ["", "0300", "-0", "1.5", "300px", "٣", "25 %", "1e2", "-5%", "25%\n", "300\n", "9" * 5000],
)
def test_a_word_that_is_no_length_is_refused_with_what_would_be_one(word):
    _, faults = taken(Members.of_query([("operation", "resize"), ("width", word)]))

    assert faults == {"/width": 'must be pixels from 1 to 4096, or a share above 0 such as "25%"'}


@pytest.mark.parametrize("nothing", ["0%", "000%", "0.0%", "00.0000%"])
@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ({"operation": "resize"}, "width"),
        ({"operation": "thumbnail", "width": 9}, "height"),
        ({"operation": "crop", "height": 9}, "width"),
        ({"operation": "pad"}, "height"),
        ({"operation": "round"}, "radius"),
        ({"operation": "border"}, "width"),
        ({"operation": "pixelate"}, "size"),
        ({"operation": "redact", "x": 0, "y": 0, "width": 9}, "height"),
    ],
    ids=str,
)
def test_a_length_of_nothing_is_refused_in_shares_as_well_as_in_pixels(operation, name, nothing):
    _, faults = taken(Members.of_query([*operation.items(), (name, nothing)]))
    _, in_pixels = taken(Members.of_query([*operation.items(), (name, "0")]))

    assert list(faults) == list(in_pixels) == [f"/{name}"]


@pytest.mark.parametrize("little", ["0.0001%", "000.1%", "100.0%", "10%"])
def test_a_share_of_little_is_a_length(little):
    assert of_words(operation="border", width=little) == only(Border(little))


def test_an_offset_may_be_a_share_of_nothing():
    assert of_words(operation="pad", left="0%", top="0.0%") == only(Pad(left="0%", top="0.0%"))


def test_a_text_that_cannot_be_seen_is_refused():
    _, faults = taken(Members.of_query([("operation", "watermark"), ("text", " \n ")]))

    assert faults == {"/text": "must have something that can be seen"}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        *(("angle", word) for word in ("", "nan", "inf", "-inf", "1e400", "true", "null", " 5")),
        *(("quality", word) for word in ("null", "Null", "1e1", "true", "101")),
        *(("lossless", word) for word in ("null", "yes", "2", "")),
        ("min_ssim", "nan"),
        ("background", "red\n"),
        ("output_format", "auto,json"),
    ],
)
def test_a_word_that_means_nothing_here_is_refused(name, word):
    words = {"operation": "rotate", "angle": "1", name: word}

    assert list(taken(Members.of_query(words.items()))[1]) == [f"/{name}"]


def test_a_background_is_that_of_the_operation_and_of_the_output():
    assert of_words(operation="rotate", angle="5", background="red") == only(
        Rotate(5, "red"), background="red"
    )
    assert of_words(operation="flip", background="red") == only(Flip(), background="red")


def test_a_wrong_background_is_told_once():
    assert faults_of({"operation": "rotate", "angle": 5, "background": "reddish"}) == [
        "/background"
    ]


def test_no_other_name_means_two_things():
    of_encoding = {field.name for field in structs.fields(Encoding)}
    of_jobs = {"operation", "operations", "output", "outputs", "preset", "priority", "autorotate"}

    assert PARAMETERS & of_encoding == {"background"}
    assert not PARAMETERS & (of_jobs | {"output_format", "image_id", "image_data", "image_url"})


# --- A list of operations, and several outputs ----------------------------------------------------


def test_operations_are_done_in_their_order():
    said = {
        "operations": [{"op": "flip"}, {"op": "resize", "width": 9}, {"op": "flop"}],
        "output": {"format": "webp", "quality": 80},
        "autorotate": False,
    }

    output = Output(operations=(Flip(), Resize(9), Flop()), format="webp", quality=80)
    assert of_json(said) == Recipe((output,), autorotate=False)


@pytest.mark.parametrize("said", [{"operations": []}, {"operations": [], "output": None}])
def test_no_operation_at_all_is_a_conversion(said):
    assert of_json(said) == only()


def test_of_several_outputs_each_has_its_own_operations():
    said = {
        "outputs": [
            {"name": "large", "format": "jpg", "background": "red"},
            {"name": "thumb", "operations": [{"op": "thumbnail", "width": 9, "height": 9}]},
        ]
    }

    assert of_json(said) == Recipe(
        (
            Output(name="large", format="jpeg", background="red"),
            Output(name="thumb", operations=(Thumbnail(9, 9),)),
        )
    )


@pytest.mark.parametrize(
    ("said", "operation"),
    [
        ({"operation": "flip"}, "flip"),
        ({"operations": [{"op": "flip"}]}, "flip"),
        ({"operations": [{"op": "flip"}, {"op": "flop"}]}, ""),
        ({"operations": []}, ""),
        ({"outputs": [{"name": "a", "operations": [{"op": "flip"}]}]}, ""),
        ({"preset": "avatar"}, ""),
    ],
)
def test_a_recipe_of_one_operation_is_called_after_it(said, operation):
    named, _ = taken(from_json(said))

    assert named
    assert named.operation == operation
    assert named.preset == said.get("preset")


def test_null_is_as_good_as_absent_at_every_depth():
    step = {"op": "crop", "aspect": "1:1", "x": None, "any": None}
    said = {
        "operation": None,
        "operations": [step],
        "output": {"format": None, "expect": {"size": None, "any": None}, "any": None},
        "preset": None,
        "autorotate": None,
    }

    assert of_json(said) == only(Crop(aspect="1:1"), expect=Expect())


# --- Presets, and what only the request knows -----------------------------------------------------


def test_a_preset_is_the_operators_recipe():
    expected = structs.replace(PRESET.outputs[0], accepts=ACCEPTS)

    assert of_json({"preset": "avatar"}) == Recipe((expected, PRESET.outputs[1]))
    assert of_words(preset="avatar") == of_json({"preset": "avatar"})


@pytest.mark.parametrize("name", ["Avatar", "", "secret", 1, ["avatar"], {}])
def test_an_unknown_preset_is_told_which_there_are(name):
    _, faults = taken(from_json({"preset": name}))

    assert faults == {"/preset": "must be one of avatar, banner"}


def test_without_presets_there_is_none_to_name():
    members = from_json({"preset": "avatar"})

    assert take_recipe(members, {}) is None
    assert members.faults[0].detail == "must be one of none, since none is configured"


def test_nothing_can_be_said_besides_a_preset():
    said = {"preset": "avatar", "width": 1, "quality": 1, "autorotate": False}

    assert faults_of(said) == ["/width", "/quality", "/autorotate"]


def test_what_loses_something_is_not_asked_for_without_loss():
    avif = {"format": "avif", "lossless": True}

    assert faults_of({"operation": "flip", "output_format": "jpg", "lossless": True}) == [
        "/lossless"
    ]
    assert faults_of({"operations": [], "output": avif}) == ["/output/lossless"]
    assert faults_of({"outputs": [{"name": "a"}, {"name": "b", **avif}]}) == ["/outputs/1/lossless"]
    assert faults_of({"operations": [], "output": {"format": "json", "max_bytes": 9}}) == [
        "/output/max_bytes"
    ]


def test_only_auto_needs_to_know_what_the_client_accepts():
    outputs = [{"name": "a", "format": "auto"}, {"name": "b", "format": "webp"}, {"name": "c"}]

    assert [each.accepts for each in of_json({"outputs": outputs}).outputs] == [ACCEPTS, (), ()]


def test_nobody_can_say_what_auto_may_choose_from():
    assert faults_of({"operation": "flip", "accepts": ["webp"]}) == ["/accepts"]
    assert faults_of({"outputs": [{"name": "a", "accepts": ["webp"]}]}) == ["/outputs/0/accepts"]


# --- Faults ---------------------------------------------------------------------------------------

STEPS = "/operations"


def operation_faults(*operations: object) -> list[str]:
    return faults_of({"operations": [*operations]})


@pytest.mark.parametrize(
    ("operation", "faults"),
    [
        ({"op": "melt"}, ["/op"]),
        ({"op": 1}, ["/op"]),
        ({"op": ["flip"]}, ["/op"]),
        ({}, ["/op"]),
        ({"operation": "flip"}, ["/op", "/operation"]),
        # Of an unknown operation nobody knows the parameters, but there are some that none has.
        ({"op": "melt", "width": 0, "heat": 9}, ["/op", "/heat"]),
        ({"op": "flip", "width": 1, "format": "png"}, ["/width", "/format"]),
        ({"op": "resize", "width": 0, "height": "a", "z": 1}, ["/width", "/height", "/z"]),
        ({"op": "resize", "width": 5, "gravity": "up"}, ["/gravity"]),
        ({"op": "resize", "width": 5, "gravity": []}, ["/gravity"]),
        ({"op": "resize", "width": 5, "gravity": {"x": 2, "y": -1}}, ["/gravity/x", "/gravity/y"]),
        ({"op": "resize", "width": 5, "gravity": {"x": "0", "z": 1, "a/b": 1}}, [
            "/gravity/x", "/gravity/y", "/gravity/z", "/gravity/a~1b",
        ]),
        ({"op": "resize", "width": 5, "background": "reddish"}, ["/background"]),
        ({"op": "rotate", "angle": True}, ["/angle"]),
        ({"op": "rotate", "angle": 10**400}, ["/angle"]),
        # What is right by itself, but not together.
        ({"op": "resize"}, ["/width"]),
        ({"op": "crop", "aspect": "1:1", "width": 1, "x": 2}, ["/x", "/width"]),
        ({"op": "crop", "x": 1}, ["/width", "/height", "/y"]),
        ({"op": "watermark"}, ["/image"]),
        ({"op": "watermark", "image": "a", "text": "b", "color": "red"}, ["/text", "/color"]),
    ],
)  # fmt: skip
def test_every_fault_of_an_operation_is_pointed_at(operation, faults):
    assert operation_faults({"op": "flip"}, operation) == [
        f"/operations/1{each}" for each in faults
    ]
    nested = {"outputs": [{"name": "a"}, {"name": "b", "operations": [operation]}]}
    assert faults_of(nested) == [f"/outputs/1/operations/0{each}" for each in faults]


@pytest.mark.parametrize(
    ("output", "faults"),
    [
        ({"format": "bmp", "quality": 0, "z": 1}, ["/format", "/quality", "/z"]),
        ({"expect": 1}, ["/expect"]),
        ({"expect": []}, ["/expect"]),
        ({"expect": {"size": [0, 1]}}, ["/expect/size/0"]),
        ({"expect": {"size": [1, "1"]}}, ["/expect/size/1"]),
        ({"expect": {"size": [1]}}, ["/expect/size"]),
        ({"expect": {"size": [1, 2, 3]}}, ["/expect/size"]),
        ({"expect": {"size": {"0": 1}}}, ["/expect/size"]),
        ({"expect": {"frames": 3, "min_ssim": 2, "z": 1}}, [
            "/expect/min_ssim", "/expect/frames", "/expect/z",
        ]),
        ({"format": "json", "expect": {"frames": "same"}}, ["/expect"]),
        ({"operations": {}}, ["/operations"]),
        ({"operations": [1, {"op": "flip"}, None]}, ["/operations/0", "/operations/2"]),
    ],
)  # fmt: skip
def test_every_fault_of_an_output_is_pointed_at(output, faults):
    named = {"outputs": [{"name": "a", **output}]}
    assert faults_of(named) == [f"/outputs/0{each}" for each in faults]
    if "operations" not in output:
        assert faults_of({"operations": [], "output": output}) == [
            f"/output{each}" for each in faults
        ]


@pytest.mark.parametrize(
    ("said", "faults"),
    [
        ({}, ["/operation"]),
        ({"operation": "melt", "quality": 0}, ["/operation", "/quality"]),
        ({"operation": "melt", "width": 0, "background": 1, "z": 1}, ["/operation", "/z"]),
        ({"operation": {"op": "flip"}}, ["/operation"]),
        ({"operation": "flip", "output": {"format": "png"}}, ["/output"]),
        ({"operation": "flip", "format": "png"}, ["/format"]),
        ({"operation": "flip", "op": "flip", "name": "a"}, ["/op", "/name"]),
        ({"operations": [], "output_format": "png", "quality": 5}, ["/output_format", "/quality"]),
        ({"operations": [], "output": []}, ["/output"]),
        ({"operations": [], "output": {"name": "a"}}, ["/output/name"]),
        ({"operations": {}}, ["/operations"]),
        ({"operations": "flip"}, ["/operations"]),
        ({"outputs": []}, ["/outputs"]),
        ({"outputs": {"name": "a"}}, ["/outputs"]),
        ({"outputs": [1, [], "a"]}, ["/outputs/0", "/outputs/1", "/outputs/2"]),
        ({"outputs": [{"name": "a"}], "output": {}}, ["/output"]),
        ({"outputs": [{"name": "a"}], "autorotate": 1}, ["/autorotate"]),
        ({"outputs": [{"name": "a", "autorotate": False}]}, ["/outputs/0/autorotate"]),
        # Two ways at once.
        ({"operation": "flip", "operations": []}, ["/operations"]),
        ({"operations": [], "outputs": [], "preset": "x"}, ["/outputs", "/preset"]),
        ({"operation": "melt", "preset": "avatar"}, ["/preset", "/operation"]),
    ],
)
def test_every_fault_of_a_recipe_is_pointed_at(said, faults):
    assert faults_of(said) == faults


@pytest.mark.parametrize(
    "name",
    ["", "A", "-a", "_a", "a" * 33, "a b", "a/b", "a\n", "ä", "..", 1, None, ["a"]],
)
def test_a_name_of_an_output_is_plain(name):
    assert faults_of({"outputs": [{"name": name}]}) == ["/outputs/0/name"]


def test_the_longest_names_are_taken():
    names = ["a", "0", "a" * 32, "a-b_c"]

    assert [each.name for each in of_json({"outputs": [{"name": n} for n in names]}).outputs] == (
        names
    )


def test_each_output_has_a_name_of_its_own():
    outputs = [{"name": "a"}, {"name": "b"}, {"name": "a"}, {"name": "a", "quality": 0}]

    assert faults_of({"outputs": outputs}) == [
        *("/outputs/2/name", "/outputs/3/name", "/outputs/3/quality"),
    ]


def test_there_are_so_many_operations_and_outputs_and_no_more():
    flip, outputs = {"op": "flip"}, [{"name": f"a{n}"} for n in range(MAX_OUTPUTS + 1)]

    assert (MAX_OPERATIONS, MAX_OUTPUTS) == (32, 16)
    assert operation_faults(*[flip] * 32) == NO_FAULTS
    assert operation_faults(*[flip] * 33) == ["/operations"]
    assert faults_of({"outputs": outputs[:16]}) == NO_FAULTS
    assert faults_of({"outputs": outputs}) == ["/outputs"]
    assert faults_of({"outputs": [{"name": "a", "operations": [flip] * 33}]}) == [
        "/outputs/0/operations"
    ]


@pytest.mark.parametrize(
    "said",
    [
        {"operation": "secret"},
        {"operation": "resize", "width": "secret"},
        {"operation": "resize", "width": 1, "fit": "secret"},
        {"operation": "resize", "width": 1, "gravity": "secret"},
        {"operation": "resize", "width": 1, "background": "secret"},
        {"operation": "flip", "output_format": "secret"},
        {"operation": "flip", "expect": {"frames": "secret"}},
        {"operation": "flip", "expect": {"size": ["secret", {"secret": 1}]}},
        {"operation": "crop", "aspect": "secret"},
        {"preset": "secret"},
        {"outputs": [{"name": "SECRET/secret"}]},
    ],
)
def test_a_wrong_value_is_not_repeated(said):
    _, faults = taken(from_json(said))

    assert faults
    assert "secret" not in str(faults).lower()


def test_a_fault_says_what_would_be_right():
    _, faults = taken(
        from_json(
            {
                "operations": [
                    {"op": "resize", "width": 1, "fit": "x", "gravity": "x", "background": "x"},
                    {"op": "crop", "aspect": 1},
                    {"op": "melt"},
                ],
                "output": {"format": "x", "expect": {"frames": "x"}},
            }
        )
    )

    assert faults == {
        "/operations/0/fit": "must be one of fill, cover, contain, inside, outside",
        "/operations/0/gravity": "must be a direction such as north, or smart, or a point such as "
        '{"x":0.5,"y":0.3}',
        "/operations/0/background": "must be a color: #rgb, #rgba, #rrggbb, #rrggbbaa, a CSS "
        "name or transparent",
        "/operations/1/aspect": "must be as in 16:9",
        "/operations/2/op": f"must be one of {', '.join(OPERATIONS)}",
        "/output/format": "must be one of jpeg, png, webp, gif, avif, tiff, auto, json",
        "/output/expect/frames": "must be one of same",
    }


# --- Images that are not there --------------------------------------------------------------------

LOGO = {"op": "watermark", "image": "logo"}


@pytest.mark.parametrize(
    ("said", "image_id", "pointer"),
    [
        ({"operation": "flip"}, "photo", "/image_id"),
        ({"operation": "watermark", "image": "logo"}, "logo", "/image"),
        ({"operations": [{"op": "flip"}, LOGO]}, "logo", "/operations/1/image"),
        (
            {"outputs": [{"name": "a"}, {"name": "b", "operations": [LOGO]}]},
            "logo",
            "/outputs/1/operations/0/image",
        ),
        ({"preset": "branded"}, "logo", "/preset"),
        # What both name is missed where it matters most.
        ({"operation": "watermark", "image": "photo"}, "photo", "/image_id"),
    ],
)
def test_an_image_that_is_not_there_is_pointed_at(said, image_id, pointer):
    problem = ordered({"image_id": "photo", **said}).without(image_id)

    assert (problem.code, problem.kind.status) == ("invalid", 422)
    assert [fault.pointer for fault in problem.faults] == [pointer]


@pytest.mark.parametrize(
    ("said", "pointers"),
    [
        ({"operation": "flip"}, ["", ""]),
        ({"operations": [{"op": "flip"}, {"op": "flop"}]}, ["/operations/1", ""]),
        ({"outputs": [{"name": "a"}]}, ["/outputs/0/operations/1", "/outputs/0"]),
        ({"preset": "branded"}, ["/preset", "/preset"]),
    ],
    ids=str,
)
def test_what_does_not_fit_the_image_is_pointed_at(said, pointers):
    misfits = Misfits(Misfit(0, 1, "It is too wide."), Misfit(0, None, "It is too high."))

    problem = ordered({"image_id": "photo", **said}).misfitting(misfits)

    assert (problem.code, problem.detail) == ("invalid", "It is too wide. It is too high.")
    assert [fault.pointer for fault in problem.faults] == pointers
    assert [fault.detail for fault in problem.faults] == ["It is too wide.", "It is too high."]


def ordered(said: object) -> Order:
    body = Body("application/json", json.dumps(said).encode())
    presets = {"branded": only(Flip(), Watermark(image="logo"))}
    return order(body, WireLimits(100, 10_000), Offer(presets))


# --- Any recipe at all ----------------------------------------------------------------------------

COLORS = ("white", "transparent", "navy", "#012345", "#abcdef80")
TEXTS = {
    "color": st.sampled_from(COLORS),
    "aspect": st.sampled_from(["1:1", "16:9", "99999:1"]),
    "text": st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=500),
    "image": st.sampled_from(["a", "A-b_9", "a" * 64]),
    "share": st.one_of(
        st.integers(0, 999).map(lambda n: f"{n}%"),
        st.decimals(0, 999, places=4).map(lambda n: f"{n:.4f}%"),
    ),
}


def text_of(name: str, pattern: str) -> st.SearchStrategy[str]:
    """Texts for a field of this name."""
    if name in {"background", "dark", "light"} or "transparent" in pattern:
        return TEXTS["color"]
    return TEXTS.get(name, TEXTS["share"].filter(lambda text: re.search(pattern, text)))


def values(  # noqa: PLR0911 - one for each kind
    kind: inspect.Type, name: str = ""
) -> st.SearchStrategy[object]:
    """Values of this type."""
    match kind:
        case inspect.IntType(ge=least, le=most):
            return st.integers(least, most)
        case inspect.FloatType(ge=least, gt=above, le=most):
            return st.floats(least if above is None else above, most, exclude_min=above is not None)
        case inspect.StrType(pattern=pattern):
            return text_of(name, pattern or "")
        case inspect.LiteralType(values=choices):
            return st.sampled_from(choices)
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.Metadata(type=inner):
            return values(inner, name)
        case inspect.UnionType(types=alternatives):
            return st.one_of(*(values(each, name) for each in alternatives))
        case inspect.TupleType(item_types=items):
            return st.tuples(*(values(each) for each in items))
        case inspect.StructType(cls=struct):
            return structures(struct)
    raise AssertionError(kind)


@st.composite
def structures(draw: st.DrawFn, struct: type[T]) -> T:
    """Structs of this type, with some of what may be left out."""
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    chosen = {
        field.name: draw(values(field.type, field.name))
        for field in described.fields
        if field.required or draw(st.booleans())
    }
    made = struct(**chosen)
    # What does not go together is left out, or put in, one after the other.
    while faults := [*getattr(made, "faults", list)()]:
        (wrong, why) = faults[0]
        field = next(each for each in described.fields if each.name == wrong)
        redrawn = field.required or "missing" in why
        value = draw(values(field.type, wrong)) if redrawn else field.default
        made = structs.replace(made, **{wrong: value})
    return made


@st.composite
def outputs(draw: st.DrawFn, name: str = "output") -> Output:
    encoding = draw(structures(Encoding))
    kinds = draw(st.lists(st.sampled_from([*OPERATIONS.values()]), max_size=4))
    return Output(
        name=name,
        operations=tuple(draw(structures(kind)) for kind in kinds),
        accepts=ACCEPTS if encoding.format == "auto" else (),
        **structs.asdict(encoding),
    )


def said_shortly(struct: msgspec.Struct) -> dict[str, object]:
    """A struct as a client would say it: without what is the default anyway."""
    fields = structs.fields(type(struct))
    differing = {
        each.name: getattr(struct, each.name)
        for each in fields
        if getattr(struct, each.name) != each.default and each.name != "accepts"
    }
    tag = struct.__struct_config__.tag
    said = {
        name: said_shortly(value) if isinstance(value, FocalPoint | Expect) else value
        for name, value in differing.items()
    }
    return said if tag is None else {"op": tag, **said}


def said_at_length(struct: msgspec.Struct) -> dict[str, object]:
    said = msgspec.to_builtins(struct)
    said.pop("accepts", None)
    assert isinstance(said, dict)
    return said


anything = settings(deadline=None, derandomize=True, database=None)
WAYS = st.sampled_from([said_shortly, said_at_length])


@anything
@given(st.integers(1, 3).flatmap(lambda n: st.tuples(*(outputs(f"o{i}") for i in range(n)))), WAYS)
def test_any_recipe_can_be_said_as_outputs(wanted, way):
    said = [
        {**way(output), "operations": [way(step) for step in output.operations]}
        for output in wanted
    ]

    assert of_json({"outputs": said}) == Recipe(wanted)


@anything
@given(outputs(), st.booleans(), WAYS)
def test_any_recipe_of_one_output_can_be_said_as_operations(wanted, autorotate, way):
    output = way(structs.replace(wanted, operations=()))
    for name in ("name", "operations"):
        output.pop(name, None)
    said = {"operations": [way(step) for step in wanted.operations], "output": output}

    assert of_json({**said, "autorotate": autorotate}) == Recipe((wanted,), autorotate)


@anything
@given(st.sampled_from([*OPERATIONS.values()]).flatmap(structures), structures(Encoding), WAYS)
def test_any_operation_and_output_can_be_said_in_the_short_form(step, encoding, way):
    if hasattr(step, "background"):
        encoding = structs.replace(encoding, background=step.background or "white")
    said = way(encoding) | way(step)
    said["operation"] = said.pop("op")
    if "format" in said:
        said["output_format"] = said.pop("format")

    accepts = ACCEPTS if encoding.format == "auto" else ()
    assert of_json(said) == only(step, accepts=accepts, **structs.asdict(encoding))


def test_the_other_images_of_a_recipe_are_bounded():
    marks = [{"op": "watermark", "image": f"mark-{n}"} for n in range(MAX_OTHERS + 1)]

    assert faults_of({"operations": [*marks[:-1], marks[0]]}) == []
    assert faults_of({"operations": marks}) == ["/operations"]
