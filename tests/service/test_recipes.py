"""Recipes on the real service: several outputs, presets that change, images that are kept."""

import base64
import io
import signal
import subprocess

import pytest
import trio
from PIL import Image

from tests.service.asking import PATIENCE, close_gate, open_api, until_true
from tests.web.running import COMMAND, environment

pytestmark = pytest.mark.service


# --- Several outputs ------------------------------------------------------------------------------


async def test_several_outputs_are_fetched_by_their_names(api, album):
    photo = album["coffee.png"]
    outputs = [
        {"name": "large", "operations": [{"op": "resize", "width": 90, "height": 70}],
         "format": "jpeg"},
        {"name": "thumb", "operations": [{"op": "thumbnail", "width": 40, "height": 40}],
         "format": "webp", "quality": 50},
        {"name": "facts", "format": "json"},
    ]  # fmt: skip

    job = await api.ended(await api.submit(photo.data, form="json", outputs=outputs))
    fetched = {name: await api.download(job["id"], name) for name in ("large", "thumb", "facts")}
    first, unknown = await api.download(job["id"]), await api.download(job["id"], "medium")

    assert [output["name"] for output in job["outputs"]] == ["large", "thumb", "facts"]
    assert job["output_path"] == job["outputs"][0]["path"]
    assert photo.is_whole_in(fetched["large"].content, "jpeg", (90, 70), exact=True)
    assert photo.is_whole_in(fetched["thumb"].content, "webp", (40, 40), exact=False)
    facts = fetched["facts"].json()
    assert (facts["format"], facts["width"], facts["height"]) == ("png", photo.width, photo.height)
    assert first.content == fetched["large"].content
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    for output in job["outputs"]:
        assert fetched[output["name"]].headers["ETag"] == f'"{output["sha256"]}"'


async def test_each_way_to_say_a_recipe_makes_the_same_bytes(api, rocket):
    step = {"width": 50, "height": 40, "fit": "cover", "gravity": "smart"}
    outputs = {"operations": [{"op": "resize", **step}], "format": "webp", "quality": 70}
    image = {"image_data": base64.b64encode(rocket).decode()}

    jobs = [
        await api.submit_json(
            **image, **step, operation="resize", output_format="webp", quality=70
        ),
        await api.submit_json(
            **image, operations=outputs["operations"], output={"format": "webp", "quality": 70}
        ),
        await api.submit_json(**image, outputs=[{"name": "any", **outputs}]),
        await api.submit(
            rocket, **step, operation="resize", output_format="webp", quality=70, form="multipart"
        ),
        await api.submit_json(
            image_id=await api.upload(rocket), outputs=[{"name": "any", **outputs}]
        ),
    ]

    sums = {each["outputs"][0]["sha256"] for each in await api.all_ended(jobs)}
    assert len(sums) == 1


@pytest.mark.parametrize("kind", ["gif", "webp", "avif"])
async def test_what_moves_goes_on_moving(api, kind):
    frames = [Image.new("RGB", (30, 20), color) for color in ("red", "green", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100, loop=0)

    moving = await api.ended(await api.submit(file.getvalue(), output_format=kind))
    still = await api.ended(
        await api.submit(file.getvalue(), output_format=kind, animation="first")
    )
    download = await api.download(moving["id"])

    assert (moving["outputs"][0]["frames"], still["outputs"][0]["frames"]) == (3, 1)
    with Image.open(io.BytesIO(download.content)) as picture:
        assert getattr(picture, "n_frames", 1) == 3


# --- Presets --------------------------------------------------------------------------------------


def preset(width):
    return f"[small]\noperation = 'resize'\nwidth = {width}\nheight = 20\n"


def rewrite(path, text):
    """Let the file hold `text`, and nothing half at any time."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.replace(path)


async def reread(server, event):
    """Have the presets read again, and wait until it is in the log."""

    def count():
        return server.log.read_text().count(f'"event":"{event}"')

    before = count()
    server.process.send_signal(signal.SIGHUP)
    await until_true(lambda: count() > before)


@pytest.fixture
def presets(tmp_path):
    path = tmp_path / "presets.toml"
    path.write_text(preset(10))
    return path


async def test_jobs_can_be_listed_by_their_preset(start_server, presets, rocket):
    with start_server(PRESETS=presets) as server:
        async with open_api(server) as api:
            named = await api.ended(await api.submit(rocket, preset="small"))
            await api.submit(rocket)

            listed = (await api.http.get("/jobs", params={"preset": "small"})).json()["jobs"]
            others = (await api.http.get("/jobs", params={"preset": "other"})).json()["jobs"]

            assert listed == [named]
            assert others == []
            assert (named["preset"], named["outputs"][0]["width"]) == ("small", 10)
            assert not {"operation", "width", "height"} & named.keys()


async def test_presets_are_read_again_and_nothing_is_lost(start_server, presets, rocket):
    widths, jobs, done = [10], [], trio.Event()
    with start_server(PRESETS=presets, WORKER_POOL_SIZE=3) as server:
        async with open_api(server) as api:

            async def submit():
                while not done.is_set():
                    jobs.append(await api.ended(await api.submit(rocket, preset="small")))

            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(submit)
                for number in range(10):
                    widths.append(11 + number)
                    rewrite(presets, preset(widths[-1]))
                    await reread(server, "presets_read")
                    last = await api.ended(await api.submit(rocket, preset="small"))
                    assert last["outputs"][0]["width"] == widths[-1]
                done.set()

            assert len(jobs) > 10
            assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}
            assert {job["outputs"][0]["width"] for job in jobs} <= set(widths)


async def test_a_job_is_done_as_its_preset_was_when_it_was_submitted(start_server, presets, rocket):
    with start_server(PRESETS=presets, WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            gate = await close_gate(api)
            waiting = await api.submit(rocket, preset="small")
            rewrite(presets, "")
            await reread(server, "presets_read")
            refused = await api.send(rocket, preset="small")
            gate.open()

            job = await api.ended(waiting)
            assert (job["preset"], job["outputs"][0]["width"]) == ("small", 10)
            assert refused.status_code == 422
            assert [each["pointer"] for each in refused.json()["errors"]] == ["/preset"]


async def test_presets_that_have_become_bad_change_nothing(start_server, presets, rocket):
    with start_server(PRESETS=presets) as server:
        async with open_api(server) as api:
            for bad in ("[small", preset(0)):
                rewrite(presets, bad)
                await reread(server, "presets_refused")
                job = await api.ended(await api.submit(rocket, preset="small"))
                assert job["outputs"][0]["width"] == 10


@pytest.mark.parametrize("text", ["[small", preset(0), None])
def test_it_does_not_start_with_bad_presets(tmp_path, text):
    if text is not None:
        (tmp_path / "presets.toml").write_text(text)

    ran = subprocess.run(
        [*COMMAND, "serve"],
        cwd=tmp_path,
        env=environment(PORT=0, PRESETS="presets.toml"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    complaints = [line for line in ran.stderr.splitlines() if line.startswith("calotype: ")]
    assert ran.returncode == 1
    assert len(complaints) == 1
    assert "the presets cannot be used: presets.toml" in complaints[0]
    assert "Traceback" not in ran.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "presets.toml"] == []


# --- Images that are kept -------------------------------------------------------------------------


async def test_a_job_that_waits_keeps_the_image_that_it_needs(start_server, album):
    photo = album["chelsea.png"]
    with start_server(WORKER_POOL_SIZE=1) as server:
        async with open_api(server) as api:
            image_id = await api.upload(photo.data)
            gate = await close_gate(api)
            waiting = await api.submit_json(
                image_id=image_id, operation="thumbnail", width=64, height=64
            )

            deleted = await api.http.delete(f"/images/{image_id}")
            looked_for = await api.http.get(f"/images/{image_id}")
            gate.open()
            job = await api.ended(waiting)
            download = await api.download(waiting)

            assert (deleted.status_code, looked_for.status_code) == (204, 404)
            assert job["status"] == "completed"
            assert photo.is_whole_in(download.content, "png", (64, 64), exact=False)


async def test_an_image_survives_a_death(start_server, album):
    photo = album["chelsea.png"]
    with start_server() as server:
        async with open_api(server) as api:
            image_id = await api.upload(photo.data)
            before = (await api.http.get(f"/images/{image_id}")).json()
        server.kill()
        server.start()

        async with open_api(server) as api:
            after = (await api.http.get(f"/images/{image_id}")).json()
            content = await api.http.get(f"/images/{image_id}/content")
            job = await api.ended(
                await api.submit_json(image_id=image_id, operation="resize", width=9, height=9)
            )

            assert after == before
            assert content.content == photo.data
            assert job["status"] == "completed"
