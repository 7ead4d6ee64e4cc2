"""The recipe: what may be said, and that it stays what was said."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.imaging.recipe import (
    Output,
    Recipe,
    Resize,
    Thumbnail,
    decode_recipe,
    encode_recipe,
)

dimensions = st.integers(1, 4096)
operations = st.builds(Resize, dimensions, dimensions) | st.builds(
    Thumbnail, dimensions, dimensions, st.booleans()
)
outputs = st.builds(
    Output, st.sampled_from([None, "jpeg", "png", "webp", "gif"]), st.integers(1, 100)
)
recipes = st.builds(Recipe, st.lists(operations, max_size=32).map(tuple), outputs)


@given(recipes)
def test_a_recipe_survives_being_written_and_read(recipe):
    assert decode_recipe(encode_recipe(recipe)) == recipe


def test_defaults_are_spelt_out_so_that_a_kept_recipe_keeps_its_meaning():
    recipe = Recipe((Thumbnail(300, 200),))

    text = encode_recipe(recipe)

    assert text == (
        '{"operations":[{"op":"thumbnail","width":300,"height":200,"enlarge":true}],'
        '"output":{"format":null,"quality":90}}'
    )


def test_defaults_may_be_left_out():
    text = '{"operations":[{"op":"resize","width":1,"height":4096}]}'

    recipe = decode_recipe(text)

    assert recipe == Recipe((Resize(1, 4096),), Output(format=None, quality=90))


def test_a_recipe_cannot_be_changed():
    operation = Resize(1, 2)

    with pytest.raises(AttributeError):
        operation.width = 3  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize(
    "operation",
    [
        '{"op":"resize","width":0,"height":1}',
        '{"op":"resize","width":4097,"height":1}',
        '{"op":"resize","width":-1,"height":1}',
        '{"op":"resize","width":1.5,"height":1}',
        '{"op":"resize","width":"1","height":1}',
        '{"op":"resize","width":true,"height":1}',
        '{"op":"resize","width":null,"height":1}',
        '{"op":"resize","width":1}',
        '{"op":"resize","width":1,"height":1,"enlarge":true}',
        '{"op":"thumbnail","width":1,"height":1,"enlarge":1}',
        '{"op":"explode","width":1,"height":1}',
        '{"width":1,"height":1}',
    ],
)
def test_an_operation_that_is_not_in_the_vocabulary_is_refused(operation):
    with pytest.raises(msgspec.ValidationError):
        decode_recipe(f'{{"operations":[{operation}],"output":{{}}}}')


@pytest.mark.parametrize(
    "output",
    ['{"quality":0}', '{"quality":101}', '{"format":"tiff"}', '{"format":"JPEG"}', '{"effort":1}'],
)
def test_an_output_that_is_not_in_the_vocabulary_is_refused(output):
    with pytest.raises(msgspec.ValidationError):
        decode_recipe(f'{{"operations":[],"output":{output}}}')


def test_more_than_32_operations_are_refused():
    operation = '{"op":"resize","width":1,"height":1}'

    with pytest.raises(msgspec.ValidationError):
        decode_recipe(f'{{"operations":[{",".join([operation] * 33)}]}}')


def test_the_place_of_the_fault_is_named():
    text = '{"operations":[{"op":"resize","width":1,"height":1},{"op":"resize","width":0}]}'

    with pytest.raises(msgspec.ValidationError, match=r"\$\.operations\[1\]\.width"):
        decode_recipe(text)
