"""docs/recipes.md: that it says what the code says, and that its examples can be made."""

import functools
import json
import operator
import re
import tomllib

import msgspec
import pytest
from PIL import Image

from actors.imaging.facts import DEFAULT_LIMITS
from actors.imaging.recipe import Encoding, Recipe
from actors.imaging.render import render
from tests.docs.reference import PAGE, made, page
from tests.docs.test_examples import ROOT, Block, blocks_of
from tests.imaging.examples import EXAMPLES
from tests.imaging.pictures import written
from web.members import Members
from web.recipes import OPERATIONS, take_recipe
from web.schema import schema

EXAMPLES_ON_THE_PAGE = [block for block in blocks_of(PAGE) if block.language == "json"]
PHOTO = (ROOT / "examples" / "photo.jpg").read_bytes()
LOGO = written(Image.new("RGBA", (120, 60), (200, 30, 30, 200)), "png")

# Through JSON, which it is for.
SCHEMA = json.loads(json.dumps(schema()._asdict()))
IGNORED = {"title", "description", "default", "discriminator"}


def read(text: str, presets=None) -> Recipe:
    """The recipe that a request with these members asks for."""
    members = Members.of_json(msgspec.json.decode(text, type=dict[str, msgspec.Raw]))
    named = take_recipe(members, presets or {}, ("webp", "jpeg", "png", "gif"))
    members.refuse_rest("is unknown")
    assert not members.faults
    assert named
    return named.recipe


def preset() -> Recipe:
    """The recipe of the preset that the page names."""
    (block,) = (block for block in blocks_of(PAGE) if block.language == "toml")
    (table,) = tomllib.loads(block.text).values()
    return read(json.dumps(table))


def test_the_page_says_what_the_code_says():
    assert PAGE.read_text("utf-8") == page(), "make docs writes it anew"


def test_everything_that_can_be_said_is_described():
    text = made()

    for name, kind in OPERATIONS.items():
        part = text.split(f"\n### {name}\n")[1].split("\n### ")[0]
        for field in msgspec.structs.fields(kind):
            assert f"`{field.name}`" in part.split("| parameter |")[0], (name, field.name)
    output = text.split("\n## Output\n")[1].split("| parameter |")[0]
    assert {field.name for field in msgspec.structs.fields(Encoding)} <= set(
        re.findall(r"`(\w+)`", output)
    )


@pytest.mark.parametrize("block", EXAMPLES_ON_THE_PAGE, ids=str)
def test_every_example_can_be_made(block: Block):
    recipe = read(block.text, {"avatar": preset()})

    others = dict.fromkeys(recipe.needs, LOGO)
    results = render(PHOTO, recipe, DEFAULT_LIMITS, others=others)

    assert [each.name for each in results] == [output.name for output in recipe.outputs]
    assert all(each.data for each in results)


# The schema


def is_valid(value, described) -> bool:
    """Whether JSON Schema takes `value` for what is `described`. Of it, only what occurs here."""
    said = {word: each for word, each in described.items() if word not in IGNORED}
    if "$ref" in said:
        name, *path = said.pop("$ref").removeprefix("#/components/schemas/").split("/")
        found = functools.reduce(operator.getitem, path, SCHEMA["components"][name])
        if not is_valid(value, found):
            return False
    return all(CHECKS[word](value, each, said) for word, each in said.items())


def is_of_type(value, said, _) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "null": value is None,
        "number": number,
        "integer": number and float(value).is_integer(),
    }[said]


def have_their_types(value, said, _) -> bool:
    return all(is_valid(each, said[name]) for name, each in value.items() if name in said)


CHECKS = {
    "type": is_of_type,
    "enum": lambda value, said, _: value in said,
    "anyOf": lambda value, said, _: any(is_valid(value, each) for each in said),
    "pattern": lambda value, said, _: not isinstance(value, str) or re.search(said, value),
    "minimum": lambda value, said, _: not isinstance(value, int | float) or value >= said,
    "maximum": lambda value, said, _: not isinstance(value, int | float) or value <= said,
    "exclusiveMinimum": lambda value, said, _: not isinstance(value, int | float) or value > said,
    "minLength": lambda value, said, _: not isinstance(value, str) or len(value) >= said,
    "maxLength": lambda value, said, _: not isinstance(value, str) or len(value) <= said,
    "minItems": lambda value, said, _: not isinstance(value, list) or len(value) >= said,
    "maxItems": lambda value, said, _: not isinstance(value, list) or len(value) <= said,
    "items": lambda value, said, _: said is False or all(is_valid(each, said) for each in value),
    "prefixItems": lambda value, said, _: all(map(is_valid, value, said)),
    "required": lambda value, said, _: set(said) <= value.keys(),
    "properties": have_their_types,
    "additionalProperties": lambda value, _, described: (
        value.keys() <= described["properties"].keys()
    ),
}


@pytest.mark.parametrize("block", EXAMPLES_ON_THE_PAGE, ids=str)
def test_every_example_is_valid(block: Block):
    value = json.loads(block.text)

    assert is_valid(value, SCHEMA["recipe"])


@pytest.mark.parametrize("step", EXAMPLES, ids=repr)
def test_every_operation_is_valid(step):
    operation = msgspec.to_builtins(step)
    short = {"operation" if name == "op" else name: each for name, each in operation.items()}

    assert is_valid({"operations": [operation]}, SCHEMA["recipe"])
    assert is_valid({**short, "output_format": "webp", "quality": 80}, SCHEMA["recipe"])
    assert read(json.dumps({"operations": [operation]})).outputs[0].operations == (step,)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"operation": "explode"},
        {"operation": "resize", "width": 0},
        {"operation": "resize", "width": 10, "quality": 101},
        {"operation": "resize", "width": 10, "background": "whitish"},
        {"operation": "blur"},
        {"operation": "flip", "autorotate": 1},
        {"operations": [{"op": "flip", "angle": 1}]},
        {"operations": [{"op": "flip"}] * 33},
        {"operations": [], "output": {"format": "bmp"}},
        {"operations": [], "output": {"accepts": ["webp"]}},
        {"operations": [], "output": {"expect": {"size": [1]}}},
        {"outputs": []},
        {"outputs": [{"format": "png"}]},
        {"outputs": [{"name": "A"}]},
        {"outputs": [{"name": "a", "output_format": "png"}]},
        {"preset": 3},
    ],
)
def test_what_is_no_recipe_is_not_valid(value):
    assert not is_valid(value, SCHEMA["recipe"])


# What others call it

OTHERS = ROOT / "docs" / "coming-from.md"
SAID = re.compile(r"`(\{\"op\":.*?\})`")


def test_what_others_call_it_is_said_in_operations_that_exist():
    said = SAID.findall(OTHERS.read_text("utf-8"))

    assert len(said) > 50
    for operation in said:
        read(f'{{"operations":[{operation}]}}')


def test_what_others_call_it_is_said_in_parameters_that_exist():
    text = SAID.sub("", OTHERS.read_text("utf-8"))
    resized = {"fit", "gravity", "enlarge", "dpr", "tile", "scale"}

    for name, value in re.findall(r"`\"(\w+)\":(.*?)`", text):
        member = f'"{name}":{value}'
        if name in {"operation", "autorotate", "output_format"}:
            read(f'{{"operation":"flip",{member}}}')
        elif name in {"tile", "scale"}:
            read(f'{{"operations":[{{"op":"watermark","text":"x",{member}}}]}}')
        elif name in resized:
            read(f'{{"operations":[{{"op":"resize","width":9,"height":9,{member}}}]}}')
        else:
            read(f'{{"operations":[],"output":{{{member}}}}}')
