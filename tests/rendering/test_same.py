"""What a process makes that may do nothing else is what is made here, byte for byte."""

from collections.abc import Iterator
from typing import get_args

import pytest
import trio
from msgspec.structs import replace

from actors.imaging.facts import NO_LIMITS, Limits, Written
from actors.imaging.operations.scaling import Thumbnail
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import MAX_OTHERS, MAX_OUTPUTS, Output, Recipe, encode_recipe
from actors.imaging.render import render
from actors.rendering.process import Finished
from actors.rendering.protocol import in_memory
from actors.rendering.renderer import Renderer, Rendering
from tests.conftest import draw
from tests.gallery.exhibits import OTHERS, exhibits
from tests.gallery.originals import original
from tests.imaging.examples import EXAMPLES
from tests.imaging.heics import heic
from tests.imaging.pictures import photograph


def recipes() -> Iterator[tuple[str, Recipe]]:
    """Everything that the gallery shows, as few renders."""
    shown = [each for row in exhibits().values() for each in row]
    for key in dict.fromkeys((each.original, each.autorotate) for each in shown):
        those = [each.output for each in shown if (each.original, each.autorotate) == key]
        named = [replace(output, name=f"no-{number}") for number, output in enumerate(those)]
        for first in range(0, len(named), MAX_OUTPUTS):
            yield key[0], Recipe(tuple(named[first : first + MAX_OUTPUTS]), key[1])


RECIPES = tuple(recipes())


async def compare(renderer, image, recipe, others):
    there = await renderer.render(
        in_memory(image),
        encode_recipe(recipe),
        {name: in_memory(data) for name, data in others.items()},
    )

    assert isinstance(there, Finished)
    assert there.made == render(image, recipe, renderer.limits, others=others)
    return there


@pytest.mark.parametrize(
    ("name", "recipe"), RECIPES, ids=[f"{name}-{n}" for n, (name, _) in enumerate(RECIPES)]
)
async def test_every_exhibit_of_the_gallery_is_the_same(renderer, name, recipe):
    await compare(renderer, original(name), recipe, {k: original(v) for k, v in OTHERS.items()})


@pytest.mark.parametrize("first", range(0, len(EXAMPLES), MAX_OUTPUTS))
async def test_every_operation_gives_the_same(renderer, first):
    steps = EXAMPLES[first : first + MAX_OUTPUTS]
    outputs = (
        Output(name=f"no-{number}", operations=(step,), format="png")
        for number, step in enumerate(steps)
    )

    await compare(renderer, draw(120, 90), Recipe(tuple(outputs)), {"logo": draw(20, 20, "PNG")})


@pytest.fixture(scope="module")
def reader():
    """A renderer that reads all that can be read."""
    limits = Limits(formats=NO_LIMITS.formats)
    renderer = Renderer(Rendering(renders=1, limits=limits))
    yield renderer
    trio.run(renderer.close)


@pytest.mark.parametrize("kind", get_args(Written))
async def test_every_format_is_read_where_nothing_more_can_be_loaded(reader, kind):
    film = kind in {"gif", "webp", "png", "avif"}
    as_that = Recipe((Output(format=kind),))
    (made,) = render(original("ball.gif" if film else "scan.jpg"), as_that)
    small = (Thumbnail(40, 40),)
    outputs = Output(name="a", format="webp", operations=small), Output(name="b", format="json")

    await compare(reader, made.data, Recipe(outputs), {})


async def test_a_heic_is_read_where_nothing_more_can_be_loaded(reader):
    await compare(reader, heic(photograph(128, 64)), Recipe((Output(format="png"),)), {})


async def test_a_recipe_with_all_that_may_be_in_it_fits_into_the_messages(renderer):
    # As long as the ids of images are.
    marks = [f"{number:064x}" for number in range(MAX_OTHERS)]
    outputs = tuple(
        Output(
            name=f"{number:02}".rjust(32, "n"),
            format="png",
            operations=tuple(Watermark(image=mark) for mark in marks),
        )
        for number in range(MAX_OUTPUTS)
    )

    there = await compare(renderer, draw(), Recipe(outputs), {m: draw(9, 9) for m in marks})

    assert set(there.others) == set(marks)
