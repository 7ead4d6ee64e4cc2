"""Files that are damaged on the disk, and what clients of the real service see of them."""

import httpx2
import pytest

from tests.service.asking import open_api
from tests.service.damages import flip, lose, shorten

pytestmark = pytest.mark.service

# So large that it does not come in one piece, nor fit into the buffers on its way.
LARGE = {
    "operations": [{"op": "resize", "width": 3000, "height": 3000}],
    "output": {"format": "png"},
}


@pytest.mark.parametrize("recipe", [{}, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    ("damage", "how"), [(flip, "digest"), (shorten, "size"), (lose, "missing")]
)
async def test_a_damaged_result_is_not_handed_out(start_server, rocket, recipe, damage, how):
    with start_server() as server:
        async with open_api(server) as api:
            form = "json" if recipe else "bare"
            job = await api.ended(await api.submit(rocket, form=form, **recipe))
            sound = await api.download(job["id"])
            damage(server.dir / job["output_path"])

            damaged = await api.download(job["id"])
            metrics = (await api.http.get("/metrics")).text

    assert (sound.status_code, damaged.status_code) == (200, 410)
    assert damaged.json()["code"] == "gone"
    assert f'calotype_blobs_damaged_total{{how="{how}"}} 1.0' in metrics
    assert f'"how":"{how}","event":"blob_damaged"' in server.log.read_text()


async def test_a_result_that_is_cut_while_it_is_sent_ends_with_a_broken_connection(
    start_server, rocket
):
    with start_server() as server:
        async with open_api(server) as api:
            job = await api.ended(await api.submit(rocket, form="json", **LARGE))
            path = server.dir / job["output_path"]
            async with api.http.stream("GET", f"/jobs/{job['id']}/download") as response:
                # What is in the buffers is on its way; the service waits with the rest.
                shorten(path)
                with pytest.raises(httpx2.RemoteProtocolError):
                    async for _ in response.aiter_bytes():
                        pass
            assert response.status_code == 200
            assert (await api.http.get("/health")).status_code == 200


async def test_an_image_that_is_damaged_is_not_handed_out(start_server, rocket):
    with start_server() as server:
        async with open_api(server) as api:
            image_id = await api.upload(rocket)
            (path,) = (server.dir / "uploads").glob(f"*/{image_id}.*")
            flip(path)

            answer = await api.http.get(f"/images/{image_id}/content")

    assert (answer.status_code, answer.json()["code"]) == (410, "gone")
