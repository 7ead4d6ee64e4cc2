"""HEIC in the running service: turned on, read, kept, planned, and told of."""

import io

import numpy as np
import pytest
from PIL import Image

from actors.imaging.geometry import upright
from tests.imaging.heics import heic
from tests.imaging.pictures import exif, photograph
from tests.service.asking import open_api

pytestmark = pytest.mark.service


async def test_a_photograph_of_a_telephone_becomes_what_everything_shows(start_server):
    stored = photograph(400, 300)
    photo = heic(stored, tile_size=128, exif=b"Exif\0\0" + exif(6))

    with start_server(INPUT_FORMATS="jpeg,heic") as server:
        async with open_api(server) as api:
            told = {"Content-Type": "image/heic"}
            asked = {"operation": "flip"}
            plan = await api.http.post("/plan", content=photo, headers=told, params=asked)
            job = await api.ended(
                await api.submit(photo, operation="resize", width=150, height=200)
            )
            result = await api.download(job["id"])
            image_id = await api.upload(photo)
            kept = await api.http.get(f"/images/{image_id}/content")

    foreseen = plan.json()["outputs"][0]
    assert (foreseen["format"], foreseen["width"], foreseen["height"]) == ("auto", 300, 400)
    assert job["status"] == "completed"
    assert result.headers["Content-Type"] == "image/jpeg"
    made = Image.open(io.BytesIO(result.content))
    expected = upright(stored, 6).resize((150, 200), Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(made).astype(int) - np.asarray(expected)).mean() < 8
    assert (kept.headers["Content-Type"], kept.content) == ("image/heic", photo)


async def test_it_is_refused_by_name_where_it_is_not_turned_on(api):
    job = await api.ended(await api.submit(heic(photograph(64, 64))))

    assert (job["status"], job["error_code"]) == ("failed", "unsupported_format")
    assert job["error"].startswith("HEIC is not supported")
