"""Which formats a client takes."""

import pytest
from werkzeug.datastructures import MIMEAccept
from werkzeug.http import parse_accept_header

from web.accept import accepted

SHOWN = ("jpeg", "png", "gif")


@pytest.mark.parametrize(
    ("accept", "formats"),
    [
        # It says nothing of pictures.
        ("", SHOWN),
        ("application/json", SHOWN),
        ("text/html, application/json;q=0.5", SHOWN),
        # It names none.
        ("*/*", SHOWN),
        ("image/*", SHOWN),
        ("image/*, application/json;q=0.5", SHOWN),
        ("image/jxl, */*;q=0.1", SHOWN),
        # It names some, and no others.
        ("image/png", ("png",)),
        ("image/jpeg, image/png", ("jpeg", "png")),
        ("image/webp, application/json", ("webp",)),
        ("IMAGE/WEBP", ("webp",)),
        # It likes one better.
        ("image/png, image/jpeg;q=0.5", ("png",)),
        ("image/webp;q=0.5, image/jpeg", ("jpeg",)),
        ("image/avif;q=0.5, image/webp", ("webp",)),
        ("image/avif;q=0, image/webp;q=0.1", ("webp",)),
        ("image/webp;q=0.5, image/*", SHOWN),
        ("image/gif;q=0.5, image/*", ("jpeg", "png")),
        # It takes others as well.
        ("image/png;q=0, image/*", ("jpeg", "gif")),
        ("image/png, image/*;q=0.8, */*;q=0.5", ("jpeg", "png", "gif")),
        ("image/webp, */*;q=0.8", ("webp", *SHOWN)),
        ("image/webp, image/*;q=0, */*", ("webp",)),
        # Chrome, Firefox and Safari.
        ("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
         ("avif", "webp", *SHOWN)),
        ("image/avif,image/webp,image/png,image/svg+xml,image/*;q=0.8,*/*;q=0.5",
         ("avif", "webp", *SHOWN)),
        ("image/webp,image/avif,image/jxl,image/heic,video/*;q=0.8,image/png,image/*;q=0.8",
         ("avif", "webp", *SHOWN)),
        # It takes none of ours.
        ("image/jxl, image/bmp", ()),
        ("image/tiff", ()),
        ("image/*;q=0", ()),
        ("image/png;q=0", ()),
    ],
)  # fmt: skip
def test_what_a_client_takes(accept, formats):
    assert accepted(parse_accept_header(accept, MIMEAccept)) == formats
