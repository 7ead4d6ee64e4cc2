"""The recipe: what may be said, and that it stays what was said."""

import json
import subprocess
import sys

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.imaging.expect import Expect
from actors.imaging.operations.scaling import Resize, Thumbnail
from actors.imaging.operations.turning import Flip
from actors.imaging.operations.watermark import Watermark
from actors.imaging.recipe import (
    MAX_OPERATIONS,
    MAX_OUTPUTS,
    Encoding,
    Output,
    Recipe,
    decode_recipe,
    encode_recipe,
)
from tests.imaging.examples import EXAMPLES
from tests.imaging.rendering import recipe_of

expectations = st.builds(
    Expect,
    max_bytes=st.none() | st.integers(1, 10**9),
    frames=st.sampled_from([None, "same"]),
    size=st.none() | st.tuples(st.integers(1, 65_535), st.integers(1, 65_535)),
)
outputs = st.builds(
    Output,
    name=st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True),
    operations=st.lists(st.sampled_from(EXAMPLES), max_size=32).map(tuple),
    format=st.sampled_from([None, "jpeg", "tiff", "auto", "json"]),
    accepts=st.sampled_from([(), ("webp", "gif")]),
    quality=st.none() | st.integers(1, 100),
    lossless=st.booleans(),
    min_ssim=st.none() | st.floats(0.001, 1),
    background=st.sampled_from(["white", "transparent", "#12345678"]),
    expect=st.none() | expectations,
)
recipes = st.builds(
    Recipe, st.lists(outputs, min_size=1, max_size=16).map(tuple), autorotate=st.booleans()
)


def said(operation):
    """A recipe with one operation, as JSON."""
    return f'{{"outputs":[{{"operations":[{operation}]}}]}}'


@given(recipes)
def test_a_recipe_survives_being_written_and_read(recipe):
    assert decode_recipe(encode_recipe(recipe)) == recipe


def test_defaults_are_spelt_out_so_that_a_kept_recipe_keeps_its_meaning():
    text = encode_recipe(recipe_of(Thumbnail(300, 200)))

    assert text == (
        '{"outputs":[{"format":null,"quality":null,"lossless":false,"progressive":false,'
        '"effort":null,"max_bytes":null,"min_ssim":null,"subsampling":null,"colors":null,'
        '"dpi":null,"background":"white","metadata":"none","profile":"srgb","animation":"keep",'
        '"expect":null,"name":"output","accepts":[],'
        '"operations":[{"op":"thumbnail","width":300,"height":200,"enlarge":true}]}],'
        '"autorotate":true}'
    )


def test_defaults_may_be_left_out():
    recipe = decode_recipe(said('{"op":"resize","width":1,"height":4096}'))

    assert recipe == Recipe((Output(operations=(Resize(1, 4096),)),))
    assert recipe.outputs[0].name == "output"
    assert recipe.autorotate


def test_a_recipe_cannot_be_changed():
    operation = Resize(1, 2)

    with pytest.raises(AttributeError):
        operation.width = 3  # type: ignore[misc]  # that it is refused is the point


def test_the_other_images_are_named_once_each():
    first, second = Watermark(image="logo"), Watermark(image="stamp")
    outputs = (
        Output(operations=(first, Flip(), second)),
        Output(name="b", operations=(Watermark(text="me"), first)),
    )

    assert Recipe(outputs).needs == ("logo", "stamp")
    assert recipe_of(Flip()).needs == ()


@pytest.mark.parametrize(
    "operation",
    [
        '{"op":"resize","width":0,"height":1}',
        '{"op":"resize","width":4097,"height":1}',
        '{"op":"resize","width":-1,"height":1}',
        '{"op":"resize","width":1.5,"height":1}',
        '{"op":"resize","width":"1","height":1}',
        '{"op":"resize","width":"-1%","height":1}',
        '{"op":"resize","width":"1000.00001%","height":1}',
        '{"op":"resize","width":true,"height":1}',
        '{"op":"resize","width":1,"height":1,"depth":1}',
        '{"op":"resize","width":1,"height":1,"dpr":5}',
        '{"op":"resize","width":1,"height":1,"gravity":{"x":1.1,"y":0}}',
        '{"op":"resize","width":1,"height":1,"gravity":"up"}',
        '{"op":"resize","width":1,"height":1,"background":"#ff"}',
        '{"op":"thumbnail","width":1,"height":1,"enlarge":1}',
        '{"op":"thumbnail","width":1}',
        '{"op":"crop","aspect":"0:1"}',
        '{"op":"crop","aspect":"16/9"}',
        '{"op":"flip","angle":1}',
        '{"op":"blur"}',
        '{"op":"blur","sigma":0}',
        '{"op":"blur","sigma":101}',
        '{"op":"posterize","bits":9}',
        '{"op":"rotate","angle":361}',
        '{"op":"rotate","angle":1e999}',
        '{"op":"watermark","text":"\\u0000"}',
        '{"op":"watermark","image":"../logo"}',
        '{"op":"explode","width":1,"height":1}',
        '{"width":1,"height":1}',
    ],
)
def test_an_operation_that_is_not_in_the_vocabulary_is_refused(operation):
    with pytest.raises(msgspec.ValidationError):
        decode_recipe(said(operation))


@pytest.mark.parametrize(
    "output",
    [
        '{"quality":0}',
        '{"quality":101}',
        '{"format":"bmp"}',
        '{"format":"JPEG"}',
        '{"effort":10}',
        '{"colors":1}',
        '{"min_ssim":0}',
        '{"min_ssim":1.1}',
        '{"max_bytes":0}',
        '{"subsampling":"4:1:1"}',
        '{"metadata":"gps"}',
        '{"profile":"p3"}',
        '{"animation":"last"}',
        '{"background":"whitish"}',
        '{"expect":{"frames":3}}',
        '{"expect":{"size":[1]}}',
        '{"name":""}',
        '{"name":"A"}',
        '{"name":"-a"}',
        '{"name":"a/b"}',
        '{"name":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}',
        '{"strip":true}',
    ],
)
def test_an_output_that_is_not_in_the_vocabulary_is_refused(output):
    with pytest.raises(msgspec.ValidationError):
        decode_recipe(f'{{"outputs":[{output}]}}')


def test_there_are_so_many_operations_and_outputs_and_no_more():
    flips, outputs = ['{"op":"flip"}'] * 32, [{"name": f"a{number}"} for number in range(16)]
    assert (MAX_OPERATIONS, MAX_OUTPUTS) == (32, 16)
    assert len(decode_recipe(said(",".join(flips))).outputs[0].operations) == 32
    assert len(decode_recipe(json.dumps({"outputs": outputs})).outputs) == 16

    with pytest.raises(msgspec.ValidationError):
        decode_recipe(said(",".join([*flips, flips[0]])))
    with pytest.raises(msgspec.ValidationError):
        decode_recipe(json.dumps({"outputs": [*outputs, {"name": "one-more"}]}))
    with pytest.raises(msgspec.ValidationError):
        decode_recipe('{"outputs":[]}')


def test_the_place_of_the_fault_is_named():
    text = said('{"op":"resize","width":1,"height":1},{"op":"resize","width":0}')

    with pytest.raises(msgspec.ValidationError, match=r"\$\.outputs\[0\]\.operations\[1\]\.width"):
        decode_recipe(text)


def test_of_facts_nothing_can_be_demanded():
    expect = Expect(max_bytes=1)

    facts = Encoding(format="json", quality=50)
    demanding = replace(facts, lossless=True, max_bytes=10, min_ssim=0.9, expect=expect)

    assert list(facts.faults()) == []
    assert list(demanding.faults()) == [
        (demand, "goes with no json") for demand in ("lossless", "max_bytes", "min_ssim", "expect")
    ]
    assert list(replace(demanding, format="png").faults()) == []


@pytest.mark.parametrize("kind", ["jpeg", "avif", "gif"])
def test_what_always_loses_something_goes_with_no_lossless(kind):
    assert list(Encoding(format=kind).faults()) == []
    assert list(Encoding(format=kind, lossless=True).faults()) == [
        ("lossless", f"goes with no {kind}, but with webp, png and tiff")
    ]


@pytest.mark.parametrize("kind", [None, "auto", "webp", "png", "tiff"])
def test_without_loss_colors_cannot_be_left_out(kind):
    assert list(Encoding(format=kind, lossless=True).faults()) == []
    assert list(Encoding(format=kind, lossless=True, colors=256).faults()) == [
        ("colors", "goes with no lossless")
    ]


READERS = """
import sys, threading
from actors.imaging.recipe import decode_recipe
sys.setswitchinterval(1e-6)
start = threading.Barrier(8)
def read():
    start.wait()
    decode_recipe('{"outputs":[{"operations":[{"op":"flip"}]}]}')
threads = [threading.Thread(target=read) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def test_the_first_recipes_may_be_read_by_several_threads_at_once():
    # It would end with a fault of the process, so it needs one of its own.
    ended = subprocess.run([sys.executable, "-c", READERS], check=False)

    assert ended.returncode == 0
