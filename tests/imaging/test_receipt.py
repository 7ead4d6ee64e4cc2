"""What is told of outputs besides their bytes."""

import json
from importlib import metadata

import PIL
import pytest

from actors.imaging.operations.covering import Border, Redact
from actors.imaging.operations.cropping import Crop, Trim
from actors.imaging.operations.framing import Pad
from actors.imaging.operations.scaling import Resize
from actors.imaging.operations.turning import Flip, Rotate
from actors.imaging.operations.watermark import Watermark
from actors.imaging.receipt import as_made, as_said, details, media_type, receipt, suffix
from actors.imaging.recipe import Output, decode_recipe
from actors.imaging.step import FocalPoint
from tests.imaging.pictures import photograph, written
from tests.imaging.rendering import made


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Flip(), {"op": "flip"}),
        (Resize(30, 20), {"op": "resize", "width": 30, "height": 20}),
        (Resize("50%", fit="inside"), {"op": "resize", "width": "50%", "fit": "inside"}),
        (Crop(0, 0, 5, 6), {"op": "crop", "x": 0, "y": 0, "width": 5, "height": 6}),
        (Trim(), {"op": "trim"}),
        (Trim(threshold=0), {"op": "trim", "threshold": 0}),
        (Pad(0, 0, 0, 4), {"op": "pad", "top": 0, "right": 0, "bottom": 0, "left": 4}),
        (Rotate(90), {"op": "rotate", "angle": 90}),
        (Border(2), {"op": "border", "width": 2}),
        (
            Redact(1, 2, 3, 4, "fill"),
            {"op": "redact", "x": 1, "y": 2, "width": 3, "height": 4, "style": "fill"},
        ),
        (Watermark(text="me", opacity=0), {"op": "watermark", "text": "me", "opacity": 0}),
    ],
)
def test_an_operation_is_said_with_what_is_not_the_default(step, said):
    assert as_said(step) == said


@pytest.mark.parametrize(
    "step", [Resize(30, 20, "cover", FocalPoint(0.3, 1)), Crop(aspect="1:1"), Pad(top="5%")]
)
def test_what_is_said_means_the_same(step):
    operation = json.loads(
        json.dumps(as_said(step), default=lambda point: {"x": point.x, "y": point.y})
    )

    recipe = decode_recipe(json.dumps({"outputs": [{"operations": [operation]}]}))

    assert recipe.outputs[0].operations == (step,)


def test_a_receipt_tells_the_versions_of_what_made_it():
    versions = json.loads(receipt({}))["versions"]

    assert versions["calotype"] == metadata.version("calotype")
    assert versions["pillow"] == PIL.__version__
    assert versions["pillow_heif"] == metadata.version("pillow-heif")
    assert {"libjpeg_turbo", "webp", "avif", "freetype2"} <= versions.keys()
    assert all(isinstance(version, str) and version for version in versions.values())


def test_a_receipt_tells_what_else_it_was_made_of():
    assert json.loads(receipt({"logo": "1a2b"}))["images"] == {"logo": "1a2b"}


def test_what_was_left_to_the_picture_is_told():
    asked = Output(name="x", format="auto", accepts=("webp",), effort=3, operations=(Flip(),))

    assert as_made(asked, "image/webp", 80) == {"format": "webp", "quality": 80, "effort": 3}
    assert as_made(Output(quality=50), "image/png", None) == {"format": "png", "quality": 50}
    assert as_made(Output(format="json"), "application/json", None) == {"format": "json"}


def test_details_tell_what_was_done_and_what_was_found():
    original = written(photograph(64, 48), "png")

    searched = json.loads(details(made(original, Resize("50%"), format="jpeg", min_ssim=0.9)))
    plain = json.loads(details(made(original, format="png")))

    assert searched["operations"] == [{"op": "resize", "width": 32, "height": 24}]
    assert searched["frames"] == 1
    assert 1 <= searched["quality"] <= 100
    assert 0.9 <= searched["ssim"] <= 1
    assert plain == {"frames": 1, "operations": []}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("jpeg", ("image/jpeg", ".jpg")),
        ("png", ("image/png", ".png")),
        ("webp", ("image/webp", ".webp")),
        ("avif", ("image/avif", ".avif")),
        ("gif", ("image/gif", ".gif")),
        ("tiff", ("image/tiff", ".tif")),
        ("json", ("application/json", ".json")),
    ],
)
def test_each_output_has_a_type_and_a_suffix(kind, expected):
    output = made(written(photograph(8, 8), "png"), format=kind)

    assert (media_type(output), suffix(output)) == expected
