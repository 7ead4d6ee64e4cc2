"""Images that are uploaded once, and what is foreseen of them: on a running service."""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import draw
from tests.web.raw import Answer, ask
from tests.web.running import Server

pytestmark = pytest.mark.service

PNG = draw(64, 48, "PNG", color="navy")
SHA256 = hashlib.sha256(PNG).hexdigest()
ETAG = f'"{SHA256}"'
NOWHERE = "8c62eb38-78f3-4ae9-b9f4-1d6072429ca6"


def turned() -> bytes:
    """A JPEG of 40 x 20 that is to be shown upright: 20 x 40."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(file, "JPEG", exif=exif)
    return file.getvalue()


def form(*parts: tuple[str, bytes]) -> bytes:
    body = b"".join(
        b'--B\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), data)
        for name, data in parts
    )
    return body + b"--B--\r\n"


def as_json(**members: object) -> bytes:
    return json.dumps(members).encode()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def post(server: Server, path: str, body: bytes, kind: str = "json", *fields: str) -> Answer:
    media_type = {
        "json": "application/json",
        "form": "multipart/form-data; boundary=B",
        "bare": "image/png",
    }[kind]
    return ask(server.port, f"POST {path}", f"Content-Type: {media_type}", *fields, body=body)


def told(answer: Answer, status: int = 200) -> dict[str, Any]:
    assert answer.status == status, answer.body
    members: dict[str, Any] = json.loads(answer.body)
    return members


def pointers(answer: Answer) -> list[str]:
    return [fault["pointer"] for fault in told(answer, 422)["errors"]]


def upload(server: Server, image: bytes = PNG) -> str:
    """Upload an image, and return its id."""
    return str(told(post(server, "/images", image, "bare"), 201)["image_id"])


def make(server: Server, **said: object) -> Answer:
    """Submit a job, and wait for its end."""
    return post(server, "/jobs", as_json(**said), "json", "Prefer: wait=30")


def delete(server: Server, path: str) -> int:
    return ask(server.port, f"DELETE {path}").status


# --- Upload ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("bare", PNG),
        ("form", form(("image", PNG))),
        ("form", form(("request", as_json(image_data=base64_of(PNG))))),
        ("json", as_json(image_data=base64_of(PNG))),
    ],
)
def test_an_image_can_be_uploaded_in_each_of_the_three_forms(server, kind, body):
    answer = post(server, "/images", body, kind)

    image = told(answer, 201)
    assert answer.headers["location"] == f"/images/{image['image_id']}"
    assert (image["format"], image["width"], image["height"]) == ("png", 64, 48)
    assert (image["size_bytes"], image["sha256"]) == (len(PNG), SHA256)
    assert image == told(ask(server.port, f"GET /images/{image['image_id']}"))


def test_the_facts_of_an_image_are_told(server):
    image = told(post(server, "/images", turned(), "bare"), 201)

    # As a viewer sees it.
    assert (image["width"], image["height"], image["frames"]) == (20, 40, 1)
    assert (image["mode"], image["depth"], image["opaque"]) == ("RGB", 8, True)
    assert image["exif"] == {"Orientation": 6}
    assert image["dominant_color"].startswith("#fe") or image["dominant_color"] == "#ff0000"
    assert image["palette"][0]["share"] == 1
    assert image["blurhash"]
    assert image["created_at"].endswith("Z")


def test_each_upload_is_an_image_of_its_own(server):
    assert upload(server) != upload(server)


@pytest.mark.parametrize(
    ("image", "status", "code"),
    [
        (b"This is no picture.", 415, "unsupported_media_type"),
        (PNG[:-20], 415, "unsupported_media_type"),
        (PNG[:40], 415, "unsupported_media_type"),
        (b"II*\0" + bytes(100), 415, "unsupported_media_type"),
        (draw(16_385, 1, "PNG"), 413, "too_large"),
        (bytes(10 * 1024 * 1024 + 1), 413, "too_large"),
    ],
    ids=["text", "truncated", "header", "tiff", "long", "heavy"],
)
def test_what_is_no_image_is_refused_at_once(server, image, status, code):
    answer = post(server, "/images", image, "bare")

    assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize(
    ("kind", "body", "pointer"),
    [
        ("bare", b"", "/image"),
        ("json", b"{}", "/image_data"),
        ("json", as_json(image_id=NOWHERE), "/image_id"),
        ("json", as_json(image_data=base64_of(PNG), operation="flip"), "/operation"),
        ("form", form(("image", PNG), ("metadata", b"a")), "/metadata"),
    ],
)
def test_an_upload_is_an_image_and_nothing_else(server, kind, body, pointer):
    assert pointers(post(server, "/images", body, kind)) == [pointer]


def test_what_was_refused_leaves_nothing(start_server):
    with start_server() as server:
        post(server, "/images", b"This is no picture.", "bare")
        post(server, "/images", PNG[:-20], "bare")

        files = [path for path in (server.dir / "uploads").rglob("*") if path.is_file()]
        assert [path.name for path in files] == [".calotype"]


# --- Content --------------------------------------------------------------------------------------


def test_the_content_of_an_image_is_what_was_uploaded(server):
    path = f"/images/{upload(server)}/content"

    whole, head = ask(server.port, f"GET {path}"), ask(server.port, f"HEAD {path}")
    part = ask(server.port, f"GET {path}", "Range: bytes=1-3")
    same = ask(server.port, f"GET {path}", f"If-None-Match: {ETAG}")
    beyond = ask(server.port, f"GET {path}", f"Range: bytes={len(PNG)}-")

    assert (whole.status, whole.body) == (200, PNG)
    assert whole.headers["content-type"] == "image/png"
    assert whole.headers["etag"] == ETAG
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(PNG))
    assert (part.status, part.body) == (206, b"PNG")
    assert part.headers["content-range"] == f"bytes 1-3/{len(PNG)}"
    assert (same.status, same.body) == (304, b"")
    assert (beyond.status, beyond.code) == (416, "range_not_satisfiable")


@pytest.mark.parametrize("image_id", [NOWHERE, "x", "..", "%2e%2e%2fjobs", "a" * 1000, "%00"])
@pytest.mark.parametrize("line", ["GET /images/{}", "GET /images/{}/content", "DELETE /images/{}"])
def test_an_unknown_image_is_not_found(server, line, image_id):
    answer = ask(server.port, line.format(image_id))

    assert (answer.status, answer.code) == (404, "not_found")


def test_only_what_can_be_done_with_images_is_allowed(server):
    assert ask(server.port, "GET /images").headers["allow"] == "OPTIONS, POST"
    assert ask(server.port, "GET /plan").headers["allow"] == "OPTIONS, POST"
    assert ask(server.port, f"PUT /images/{NOWHERE}", body=b"a").status == 405


# --- In jobs --------------------------------------------------------------------------------------


def test_an_image_can_be_used_in_many_jobs(server):
    image_id = upload(server)

    as_object = told(make(server, image_id=image_id, operation="resize", width=5))
    fields = form(("image_id", image_id.encode()), ("operation", b"flip"))
    as_form = told(post(server, "/jobs", fields, "form", "Prefer: wait=30"))

    for job in (as_object, as_form):
        assert (job["status"], job["image_id"]) == ("completed", image_id)
        assert job["receipt"]["input_sha256"] == SHA256
    assert (as_object["outputs"][0]["width"], as_object["outputs"][0]["height"]) == (5, 4)


def test_an_image_can_be_a_mark_on_others(server):
    mark = upload(server, draw(8, 8, "PNG", color="white"))
    operation = {"op": "watermark", "image": mark, "gravity": "northwest"}

    job = told(make(server, image_data=base64_of(PNG), operations=[operation]))

    seen = told(ask(server.port, f"GET /images/{mark}"))
    assert job["receipt"]["images"] == {mark: seen["sha256"]}
    answer = ask(server.port, f"GET /jobs/{job['id']}/download")
    with Image.open(io.BytesIO(answer.body)) as picture:
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert picture.convert("RGB").getpixel((63, 47)) == (0, 0, 128)


def test_a_receipt_makes_the_same_again(server):
    image_id = upload(server, turned())
    output = {"format": "webp", "max_bytes": 400, "effort": 2}
    operations = [{"op": "resize", "width": "50%"}]
    job = told(make(server, image_id=image_id, operations=operations, output=output))

    again = told(make(server, image_id=image_id, **job["receipt"]["recipe"]))

    assert again["outputs"][0]["sha256"] == job["outputs"][0]["sha256"]
    assert again["receipt"] == job["receipt"]


@pytest.mark.parametrize("path", ["/jobs", "/plan"])
def test_an_unknown_image_is_pointed_at(server, path):
    body = as_json(image_id=NOWHERE, operation="flip")

    assert pointers(post(server, path, body)) == ["/image_id"]


@pytest.mark.parametrize("path", ["/jobs", "/plan"])
def test_an_unknown_mark_is_pointed_at(server, path):
    marked = [{"op": "flip"}, {"op": "watermark", "image": NOWHERE}]

    answer = post(server, path, as_json(image_data=base64_of(PNG), operations=marked))

    assert pointers(answer) == ["/operations/1/image"]


def test_a_deleted_image_is_gone_and_the_jobs_that_need_it_keep_it(server):
    image_id = upload(server)
    job = told(make(server, image_id=image_id, operation="flip"))
    original = Path(job["input_path"])

    assert delete(server, f"/images/{image_id}") == 204

    assert delete(server, f"/images/{image_id}") == 404
    assert ask(server.port, f"GET /images/{image_id}").status == 404
    assert ask(server.port, f"GET /images/{image_id}/content").status == 404
    assert pointers(make(server, image_id=image_id, operation="flip")) == ["/image_id"]
    assert told(ask(server.port, f"GET /jobs/{job['id']}")) == job
    assert original.read_bytes() == PNG
    assert delete(server, f"/jobs/{job['id']}") == 204
    assert not original.exists()


def test_an_image_outlives_its_jobs(server):
    image_id = upload(server)
    job = told(make(server, image_id=image_id, operation="flip"))

    assert delete(server, f"/jobs/{job['id']}") == 204

    assert ask(server.port, f"GET /images/{image_id}/content").body == PNG


def test_an_unused_image_leaves_nothing_behind(start_server):
    with start_server() as server:
        image_id = upload(server)

        assert delete(server, f"/images/{image_id}") == 204

        files = [path for path in (server.dir / "uploads").rglob("*") if path.is_file()]
        assert [path.name for path in files] == [".calotype"]


# --- Plans ----------------------------------------------------------------------------------------


def test_a_plan_says_what_would_be_made_and_makes_nothing(server):
    outputs = [
        {"name": "thumb", "operations": [{"op": "thumbnail", "width": 16, "height": 16}]},
        {"name": "trimmed", "operations": [{"op": "flip"}, {"op": "trim"}], "format": "webp"},
    ]
    before = ask(server.port, "GET /jobs?limit=1").body

    plan = told(post(server, "/plan", as_json(image_data=base64_of(turned()), outputs=outputs)))

    assert ask(server.port, "GET /jobs?limit=1").body == before
    thumb, trimmed = plan["outputs"]
    assert plan["facts"]["format"] == "jpeg"
    assert (thumb["name"], thumb["format"]) == ("thumb", "jpeg")
    assert (thumb["width"], thumb["height"], thumb["frames"]) == (8, 16, 1)
    assert thumb["operations"] == [{"op": "resize", "width": 8, "height": 16}]
    # What must be looked at cannot be foreseen.
    assert (trimmed["width"], trimmed["height"]) == (None, None)
    assert trimmed["operations"] == [{"op": "flip"}]


def test_a_plan_comes_true(server):
    said = {"operation": "crop", "width": "50%", "height": 9, "gravity": "east"}
    image_id = upload(server)

    plan = told(post(server, "/plan", as_json(image_id=image_id, **said)))
    job = told(make(server, image_id=image_id, **said))

    (foreseen,), (made,) = plan["outputs"], job["outputs"]
    assert foreseen["operations"] == made["operations"]
    assert (foreseen["width"], foreseen["height"]) == (made["width"], made["height"]) == (32, 9)


@pytest.mark.parametrize(
    ("kind", "body", "query"),
    [
        ("bare", PNG, "?operation=resize&width=5"),
        ("form", form(("image", PNG), ("operation", b"resize"), ("width", b"5")), ""),
        ("json", as_json(image_data=base64_of(PNG), operation="resize", width=5), ""),
    ],
)
def test_a_plan_can_be_asked_for_in_each_of_the_three_forms(server, kind, body, query):
    plan = told(post(server, f"/plan{query}", body, kind))

    assert [(each["width"], each["height"]) for each in plan["outputs"]] == [(5, 4)]


BEYOND = {"op": "crop", "x": 64, "y": 0, "width": 1, "height": 1}


def test_a_recipe_that_does_not_fit_is_known_beforehand(server):
    body = as_json(image_data=base64_of(PNG), operation="crop", width=65, height=1)

    answer = post(server, "/plan", body)

    assert pointers(answer) == [""]
    assert "Step 1 (crop): " in told(answer, 422)["detail"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"operations": [{"op": "flip"}, BEYOND]}, {"/operations/1": "Step 2 (crop): "}),
        (
            {
                "outputs": [
                    {"name": "a", "operations": [BEYOND]},
                    {"name": "b"},
                    {"name": "c", "operations": [{"op": "flip"}, BEYOND]},
                ]
            },
            {
                "/outputs/0/operations/0": "Output a, step 1 (crop): ",
                "/outputs/2/operations/1": "Output c, step 2 (crop): ",
            },
        ),
    ],
    ids=["one", "several"],
)
def test_what_does_not_fit_is_pointed_at_in_every_output(server, said, expected):
    answer = post(server, "/plan", as_json(image_data=base64_of(PNG), **said))

    problem = told(answer, 422)
    assert [each["pointer"] for each in problem["errors"]] == list(expected)
    for each, why in zip(problem["errors"], expected.values(), strict=True):
        assert each["detail"].startswith(why)
        assert each["detail"] in problem["detail"]


def test_every_fault_of_a_plan_is_pointed_at(server):
    body = as_json(image_data=base64_of(PNG), operation="crop", width=0, quality=0)

    assert pointers(post(server, "/plan", body)) == ["/width", "/quality"]


@pytest.mark.parametrize(
    ("image", "status"),
    [(b"This is no picture.", 415), (draw(16_385, 1, "PNG"), 413)],
    ids=["text", "long"],
)
def test_there_is_no_plan_for_what_is_no_image(server, image, status):
    assert post(server, "/plan?operation=flip", image, "bare").status == status


# --- The format that a client prefers -------------------------------------------------------------

AVIF, WEBP, JPEG = "image/avif", "image/webp", "image/jpeg"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ((), JPEG),
        (("Accept: */*",), JPEG),
        (("Accept: image/*",), JPEG),
        (("Accept: image/webp",), WEBP),
        (("Accept: image/avif,image/webp,image/png,image/*;q=0.8,*/*;q=0.5",), AVIF),
        (("Accept: image/avif;q=0.5, image/webp",), WEBP),
        (("Accept: image/webp;q=0.5, image/jpeg",), JPEG),
        (("Accept: image/avif;q=0, image/webp;q=0.1",), WEBP),
        (("Accept: IMAGE/WEBP",), WEBP),
        (("Accept: image/png",), "image/png"),
        (("Accept: application/json",), JPEG),
    ],
)
def test_auto_is_what_the_client_prefers_and_what_suits_the_picture(server, accept, kind):
    accepted = post(server, "/jobs?operation=flip&output_format=auto", draw(), "bare", *accept)

    job = told(ask(server.port, f"GET {accepted.headers['location']}?wait=30"))
    assert job["outputs"][0]["media_type"] == kind


def test_who_takes_none_of_our_formats_is_told_so_where_it_matters(server):
    jxl = "Accept: image/jxl"

    auto = post(server, "/jobs?operation=flip&output_format=auto", draw(), "bare", jxl)
    named = post(server, "/jobs?operation=flip&output_format=png", draw(), "bare", jxl)

    assert told(auto, 406)["code"] == "not_acceptable"
    assert named.status == 202


def test_auto_keeps_what_is_transparent(server):
    file = io.BytesIO()
    Image.new("RGBA", (4, 4), (1, 2, 3, 100)).save(file, "WEBP")

    accepted = post(server, "/jobs?operation=flip&output_format=auto", file.getvalue(), "bare")

    job = told(ask(server.port, f"GET {accepted.headers['location']}?wait=30"))
    assert job["outputs"][0]["media_type"] == "image/png"
