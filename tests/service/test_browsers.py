"""Pages of another origin, on the real service."""

import pytest

from tests.service.asking import open_api
from tests.service.test_keys import bearer, make_key
from web.browsers import USUAL

pytestmark = pytest.mark.service

PAGE = "https://app.example"


async def test_a_page_can_submit_wait_and_fetch_and_reads_errors_as_well(start_server, rocket):
    with start_server(CORS_ORIGINS=PAGE) as server:
        key = make_key(server)
        async with open_api(server) as api:
            headers = bearer(key) | {"Origin": PAGE}
            submitted = await api.send(rocket, headers=headers | {"Prefer": "wait=30"})
            path = f"/jobs/{submitted.json()['id']}"
            answers = [
                submitted,
                await api.http.get(f"{path}/download", headers=headers),
                await api.http.get(path, headers={"Origin": PAGE}),
                await api.http.get("/jobs/nowhere", headers=headers),
            ]
            asks = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
            first = await api.http.options(f"{path}/download", headers=asks)

            assert [each.status_code for each in answers] == [200, 200, 401, 404]
            for answer in [*answers, first]:
                assert answer.headers["Access-Control-Allow-Origin"] == PAGE
                assert "Origin" in answer.headers["Vary"]
                assert "Server" not in answer.headers
                for name, value in USUAL:
                    assert answer.headers[name.decode()] == value.decode()
            # Without a key: browsers send none with their first question.
            assert first.status_code == 204


async def test_the_picture_of_a_link_can_be_shown_in_any_page(server, api, rocket):
    job_id = await api.submit(rocket)
    await api.ended(job_id)
    link = (await api.http.post(f"/jobs/{job_id}/links", json={"expires_in": 60})).json()["url"]

    linked = await api.http.get(link)
    own = await api.download(job_id)

    assert linked.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert own.headers["Cross-Origin-Resource-Policy"] == "same-origin"
