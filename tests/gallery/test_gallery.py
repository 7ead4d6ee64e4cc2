"""The gallery: that it shows everything there is."""

import re
from typing import get_args

import msgspec

from actors.imaging.recipe import Encoding, Operation
from tests.gallery.__main__ import main
from tests.gallery.exhibits import exhibits
from tests.gallery.originals import ORIGINALS

# What can be seen of these is shown by none of its pictures alone.
UNSEEN = {"dpi", "metadata", "expect"}

SHOWN = [exhibit for rows in exhibits().values() for exhibit in rows]


def test_every_operation_and_every_original_is_shown():
    steps = {type(step) for exhibit in SHOWN for step in exhibit.output.operations}

    assert steps == set(get_args(Operation))
    assert {exhibit.original for exhibit in SHOWN} == ORIGINALS.keys()


def test_every_parameter_of_an_output_that_can_be_seen_is_shown():
    parameters = {
        field.name
        for exhibit in SHOWN
        for field in msgspec.structs.fields(Encoding)
        if getattr(exhibit.output, field.name) != field.default
    }

    assert parameters == {field.name for field in msgspec.structs.fields(Encoding)} - UNSEEN


def test_the_page_and_its_pictures_can_be_made(tmp_path):
    main(tmp_path)

    page = (tmp_path / "index.html").read_text("utf-8")
    assert page.count("<figure>") == len(SHOWN)
    for name in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (tmp_path / name).stat().st_size > 0
