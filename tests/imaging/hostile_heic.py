"""More of the files of `hostile`: HEIC."""

import struct

from PIL import Image

from tests.imaging.containers import box, full, grid, ispe, reference
from tests.imaging.heics import (
    ALPHA,
    PICTURE_PARAMETERS,
    SEQUENCE_PARAMETERS,
    VIDEO_PARAMETERS,
    assembled,
    coded,
    configured,
    heic,
    sized,
    tiled,
    units_of,
    with_size,
)
from tests.imaging.hostile_boxes import circular_exif
from tests.imaging.outcomes import BROKEN, PICTURE, TOO_LARGE, UNSUPPORTED, Files
from tests.imaging.pictures import photograph


def heics() -> Files:
    """HEIC."""
    stream, config = coded(photograph(64, 64))
    other, other_config = coded(photograph(128, 128))
    fast = {"preset": "ultrafast"}
    large, large_config = coded(Image.new("RGB", (4992, 4992)), quality=10, enc_params=fast)
    grey, grey_config = coded(photograph(64, 64).convert("L"))
    good = assembled([(b"hvc1", stream)], [ispe(64, 64), config], {1: [1, 2]})
    padded = heic(photograph(60, 50))
    units = units_of(config)
    about_it = reference(b"cdsc", 2, 1)

    def still(data=stream, size=(64, 64), configuration=config, **more):
        properties = [ispe(*size), configuration]
        return assembled([(b"hvc1", data)], properties, {1: [1, 2]}, **more)

    def with_property(*bodies, **more):
        properties = [ispe(64, 64), config, *bodies]
        numbers = {1: [*range(1, len(properties) + 1)]}
        return assembled([(b"hvc1", stream)], properties, numbers, **more)

    def with_item(kind, body, **more):
        return assembled(
            [(b"hvc1", stream), (kind, body)], [ispe(64, 64), config], {1: [1, 2]}, **more
        )

    def with_alpha(data, configuration, size=(64, 64), **more):
        links = {"references": reference(b"auxl", 2, 1), **more}
        return assembled(
            [(b"hvc1", stream), (b"hvc1", data)],
            [ispe(64, 64), config, ispe(*size), configuration, ALPHA],
            {1: [1, 2], 2: [3, 4, 5]},
            **links,
        )

    def cropped(*numbers):
        return with_property(box(b"clap", struct.pack(">8i", *numbers)))

    def unit(kind, body):
        return struct.pack(">I", 2 + len(body)) + bytes((kind << 1, 1)) + body

    def units_with(*more):
        return configured(config, [*units.items(), *more])

    wide = units[SEQUENCE_PARAMETERS]
    return {
        "claims-to-be-huge": (still(size=(2**32 - 1, 2**32 - 1)), BROKEN),
        "holds-25-megapixels-in-64-by-64": (still(large, configuration=large_config), BROKEN),
        "holds-less-than-it-says": (still(size=(4992, 4992)), BROKEN),
        "holds-more-than-may-be": (
            still(size=(16_384, 16_384), configuration=with_size(config, 16_384, 16_384)),
            TOO_LARGE),
        "holds-65,536-by-65,536-in-a-window": (
            still(configuration=with_size(config, 65_536, 65_536, (0, 32_736, 0, 32_736))),
            TOO_LARGE),
        "window-of-nothing": (
            still(configuration=with_size(config, 64, 64, (0, 32, 0, 0))), BROKEN),
        "window-beyond-measure": (
            still(configuration=with_size(config, 64, 64, (2**31, 2**31, 0, 0))), BROKEN),
        "size-beyond-measure": (
            still(configuration=with_size(config, 2**32 - 2, 2**32 - 2)), BROKEN),
        "larger-than-its-data": (
            still(size=(4992, 4992), configuration=with_size(config, 4992, 4992)), PICTURE),
        "of-25-megapixels": (still(large, (4992, 4992), large_config), PICTURE),
        "of-two-sizes": (
            still(configuration=units_with((SEQUENCE_PARAMETERS, sized(wide, 4992, 4992)))),
            BROKEN),
        "parameters-in-its-data": (
            still(unit(SEQUENCE_PARAMETERS, sized(wide, 4992, 4992)[2:]) + stream), UNSUPPORTED),
        "parameters-in-its-data-after-it": (
            still(stream + unit(PICTURE_PARAMETERS, bytes(9))), UNSUPPORTED),
        "parameters-where-they-do-not-belong": (
            still(configuration=units_with((SEQUENCE_PARAMETERS, stream[4:]))), BROKEN),
        "picture-that-brings-its-parameters": (
            assembled([(b"hev1", stream)], [ispe(64, 64), config], {1: [1, 2]}), UNSUPPORTED),
        "two-pictures-in-one": (still(stream + stream), BROKEN),
        "20,001-units": (still(unit(35, b"\x50") * 20_001 + stream), TOO_LARGE),
        "19,000-units": (still(unit(35, b"\x50") * 19_000 + stream), PICTURE),
        "no-unit": (still(b""), BROKEN),
        "unit-of-nothing": (still(bytes(4) + stream), BROKEN),
        "unit-without-a-body": (still(struct.pack(">I", 2) + b"\x28\1" + stream), BROKEN),
        "unit-of-four-gigabytes": (still(b"\xff" * 4 + stream), BROKEN),
        "unit-of-a-picture-that-needs-others": (still(unit(1, b"\x80" + bytes(99))), UNSUPPORTED),
        "unit-of-another-layer": (
            still(struct.pack(">I", 9) + b"\x29\1" + bytes(7) + stream), UNSUPPORTED),
        "stream-of-rubbish": (still(unit(20, b"\xa5" * 300)), BROKEN),
        "cut-in-its-boxes": (good[:99], BROKEN),
        "cut-in-its-data": (good[:-9], BROKEN),
        "ends-before-its-picture": (
            still(struct.pack(">I", 200) + stream[4:204]), PICTURE),
        "item-behind-the-end": (still(extents=lambda *_: [(2**31, 99)]), BROKEN),
        "item-of-four-gigabytes": (still(extents=lambda *_: [(0, 2**32 - 1)]), BROKEN),
        "item-of-1,000-equal-parts": (
            still(extents=lambda _n, start, length: [(start, length)] * 1_000), BROKEN),
        "item-of-65,535-equal-parts": (
            still(extents=lambda _n, start, length: [(start, length)] * 65_535), TOO_LARGE),
        "item-in-parts": (
            still(extents=lambda _n, start, length: [
                (start, 9), (start + 9, 0), (start + 9, length - 9)]), PICTURE),
        "without-size": (assembled([(b"hvc1", stream)], [config], {1: [1]}), BROKEN),
        "without-configuration": (assembled([(b"hvc1", stream)], [ispe(64, 64)], {1: [1]}), BROKEN),
        "configuration-that-is-cut": (still(configuration=box(b"hvcC", config[8:40])), BROKEN),
        "configuration-of-nothing": (still(configuration=configured(config, [])), BROKEN),
        "configuration-of-another-depth": (
            still(configuration=config[: 8 + 17] + b"\xfa\xfa" + config[8 + 19 :]), BROKEN),
        "configuration-of-other-colours": (
            still(configuration=config[: 8 + 16] + b"\xfc" + config[8 + 17 :]), BROKEN),
        "configuration-without-pictures": (
            still(configuration=configured(
                config, [(k, units[k]) for k in (VIDEO_PARAMETERS, SEQUENCE_PARAMETERS)])), BROKEN),
        "65,535-parameters": (
            still(configuration=box(b"hvcC", config[8:30], b"\1\x21\xff\xff", bytes(131_070))),
            TOO_LARGE),
        "parameters-of-rubbish": (
            still(configuration=configured(
                config, [(SEQUENCE_PARAMETERS, b"\x42\1" + b"\xa5" * 99)])), BROKEN),
        "parameters-of-zeros": (
            still(configuration=configured(config, [(SEQUENCE_PARAMETERS, b"\x42\1" + bytes(99))])),
            BROKEN),
        "turned-by-nothing": (with_property(box(b"irot")), BROKEN),
        "turned-in-no-way": (with_property(box(b"irot", b"\xff")), PICTURE),
        "turned-before-it-is-cropped": (
            with_property(box(b"irot", b"\1"), box(b"clap", struct.pack(
                ">8i", 32, 1, 32, 1, 0, 1, 0, 1))), UNSUPPORTED),
        "cropped": (cropped(32, 1, 16, 1, 0, 1, 0, 1), PICTURE),
        "cropped-to-a-third": (cropped(64, 3, 16, 1, 0, 1, 0, 1), BROKEN),
        "cropped-to-nothing": (cropped(0, 1, 16, 1, 0, 1, 0, 1), BROKEN),
        "cropped-to-less": (cropped(-9, 1, 16, 1, 0, 1, 0, 1), BROKEN),
        "cropped-by-nothing": (cropped(32, 0, 16, 0, 0, 0, 0, 0), BROKEN),
        "cropped-beyond-its-edge": (cropped(32, 1, 16, 1, 17, 1, 0, 1), BROKEN),
        "cropped-beyond-measure": (cropped(2**31 - 1, 1, 16, 1, -(2**31), 1, 0, 1), BROKEN),
        "cropped-twice": (
            with_property(*[box(b"clap", struct.pack(">8i", 32, 1, 32, 1, 0, 1, 0, 1))] * 2),
            BROKEN),
        "crop-that-is-cut": (with_property(box(b"clap", bytes(9))), BROKEN),
        "picture-that-is-not-there": (still(primary=99), BROKEN),
        "picture-that-is-exif": (with_item(b"Exif", bytes(99), primary=2), BROKEN),
        "picture-of-another-kind": (
            assembled([(b"av01", stream)], [ispe(64, 64), config], {1: [1, 2]}), UNSUPPORTED),
        "overlay": (
            assembled([(b"iovl", bytes(99)), (b"hvc1", stream)], [ispe(64, 64), config],
                      {1: [1], 2: [1, 2]}, references=reference(b"dimg", 1, 2)), UNSUPPORTED),
        "1,001-boxes": (still(inside=box(b"free") * 1_001), TOO_LARGE),
        "a-million-boxes": (still(inside=box(b"free") * 1_000_000), TOO_LARGE),
        "box-to-the-end": (still(inside=struct.pack(">I4s", 0, b"free")), PICTURE),
        "names-without-end": (still(brands=(b"heic",) * 2_000), BROKEN),
        "nothing-but-its-names": (box(b"ftyp", b"heic", bytes(4), b"mif1heic"), BROKEN),
        "of-tracks": (
            box(b"ftyp", b"hevc", bytes(4), b"msf1hevc") + box(b"moov", bytes(99)), UNSUPPORTED),
        "of-tracks-and-nothing-else": (
            box(b"ftyp", b"heic", bytes(4), b"heichevc") + box(b"moov", bytes(99)), BROKEN),
        "tracks-behind-it": (good + box(b"moov", b"\xff" * 999), PICTURE),
        "refers-to-itself": (
            still(references=reference(b"auxl", 1, 1) + reference(b"dimg", 1, 1)), PICTURE),
        "20,001-references": (still(references=reference(b"cdsc", 9, *[9] * 20_001)), TOO_LARGE),
        "grid": (tiled(stream, config, 2, 2, (128, 128)), PICTURE),
        "grid-with-a-border": (tiled(stream, config, 2, 2, (100, 70)), PICTURE),
        "grid-of-256-by-256": (tiled(stream, config, 256, 256, (16_000, 16_000), number=4), BROKEN),
        "grid-of-900-tiles": (tiled(stream, config, 30, 30, (1920, 1920)), PICTURE),
        "grid-that-lacks-a-tile": (tiled(stream, config, 2, 2, (128, 128), number=3), BROKEN),
        "grid-with-a-tile-too-many": (tiled(stream, config, 2, 2, (128, 128), number=5), BROKEN),
        "grid-larger-than-its-tiles": (tiled(stream, config, 2, 2, (4000, 4000)), BROKEN),
        "grid-smaller-than-its-tiles": (tiled(stream, config, 2, 2, (64, 128)), BROKEN),
        "grid-of-no-width": (tiled(stream, config, 1, 1, (0, 64)), BROKEN),
        "grid-that-claims-to-be-huge": (tiled(stream, config, 1, 1, (65_535, 65_535)), BROKEN),
        "grid-of-large-tiles": (
            tiled(large, large_config, 3, 3, (14_976, 14_976), said=(4992, 4992)), TOO_LARGE),
        "grid-of-large-tiles-of-which-little-is-seen": (
            tiled(large, large_config, 2, 2, (4993, 4993), said=(4992, 4992)), PICTURE),
        "grid-of-the-same-tile-900-times": (
            assembled([(b"grid", grid(30, 30, 1920, 1920)), (b"hvc1", stream)],
                      [ispe(1920, 1920), ispe(64, 64), config], {1: [1], 2: [2, 3]},
                      references=reference(b"dimg", 1, *[2] * 900)), PICTURE),
        "grid-of-itself": (
            assembled([(b"grid", grid(1, 1, 64, 64))], [ispe(64, 64), config], {1: [1, 2]},
                      references=reference(b"dimg", 1, 1)), UNSUPPORTED),
        "grid-of-unequal-tiles": (
            assembled(
                [(b"grid", grid(2, 1, 128, 64)), (b"hvc1", stream), (b"hvc1", other)],
                [ispe(128, 64), ispe(64, 64), config, ispe(128, 128), other_config],
                {1: [1], 2: [2, 3], 3: [4, 5]}, references=reference(b"dimg", 1, 2, 3)), BROKEN),
        "grid-of-turned-tiles": (
            assembled(
                [(b"grid", grid(2, 1, 128, 64)), (b"hvc1", stream)],
                [ispe(128, 64), ispe(64, 64), config, box(b"irot", b"\1")], {1: [1], 2: [2, 3, 4]},
                references=reference(b"dimg", 1, 2, 2)), UNSUPPORTED),
        "alpha": (with_alpha(grey, grey_config), PICTURE),
        "alpha-in-colours": (with_alpha(stream, config), PICTURE),
        "alpha-of-another-size": (with_alpha(other, other_config, (128, 128)), BROKEN),
        "alpha-of-itself": (
            with_alpha(grey, grey_config, references=reference(b"auxl", 2, 2)), PICTURE),
        "alpha-twice": (
            assembled(
                [(b"hvc1", stream), (b"hvc1", grey), (b"hvc1", grey)],
                [ispe(64, 64), config, grey_config, ALPHA],
                {1: [1, 2], 2: [1, 3, 4], 3: [1, 3, 4]},
                references=reference(b"auxl", 2, 1) + reference(b"auxl", 3, 1)), BROKEN),
        "alpha-of-rubbish": (with_alpha(unit(20, b"\xa5" * 99), grey_config), BROKEN),
        "thumbnail-of-rubbish": (
            with_item(b"hvc1", b"\xa5" * 99, references=reference(b"thmb", 2, 1)), PICTURE),
        "depth-of-rubbish": (
            with_item(b"hvc1", b"\xa5" * 99, references=reference(b"auxl", 2, 1)), PICTURE),
        "exif-of-rubbish": (with_item(b"Exif", b"\xff" * 99, references=about_it), PICTURE),
        "exif-that-points-at-itself": (
            with_item(b"Exif", bytes(4) + circular_exif(), references=about_it), PICTURE),
        "xmp-of-9-megabytes": (with_item(b"mime", bytes(9_000_000), references=about_it), PICTURE),
        "profile-of-9-megabytes": (
            with_property(box(b"colr", b"prof", bytes(9_000_000))), PICTURE),
        "profile-of-rubbish": (with_property(box(b"colr", b"prof", b"x" * 999)), PICTURE),
        "colours-that-are-cut": (with_property(box(b"colr", b"nclx\0")), BROKEN),
        "colours-of-no-kind": (with_property(box(b"colr", b"nclx", b"\xff" * 7)), BROKEN),
        "property-that-nobody-knows": (with_property(full(b"evil", b"\xff" * 99)), PICTURE),
        "with-a-border": (padded, PICTURE),
        "page-behind-it": (good + b"<script>x()</script>", PICTURE),
    }  # fmt: skip
