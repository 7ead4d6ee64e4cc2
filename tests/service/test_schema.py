"""The running service against its own description: what it takes, refuses and answers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.service.asking import open_api
from tests.service.test_keys import SOON, make_key

CONFIG = Path(__file__).with_name("schemathesis.toml")
SCHEMATHESIS = (sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()")
PATIENCE = 110

pytestmark = [pytest.mark.service, pytest.mark.slow]


async def test_schemathesis_finds_nothing(start_server, rocket):
    with start_server() as server:
        key = make_key(server)
        await trio.sleep(SOON)
        async with open_api(server, key=key) as api:
            jobs = [await api.submit(rocket) for _ in range(2)]
            assert {job["status"] for job in await api.all_ended(jobs)} == {"completed"}
            images = [await api.upload(rocket) for _ in range(2)]
            small = {"operation": "thumbnail", "width": 9, "height": 9}
            batches = []
            for _ in range(2):
                said = {"jobs": [{"image_id": images[0], **small}]}
                batches.append((await api.http.post("/batches", json=said)).json()["batch_id"])
        told = {
            "CALOTYPE_KEY": key,
            "CALOTYPE_JOB": jobs[0],
            "CALOTYPE_SPARE_JOB": jobs[1],
            "CALOTYPE_BATCH": batches[0],
            "CALOTYPE_SPARE_BATCH": batches[1],
            "CALOTYPE_IMAGE": images[0],
            "CALOTYPE_SPARE_IMAGE": images[1],
        }
        url = f"{server.url}/openapi.json"

        with trio.fail_after(PATIENCE):
            ran = await trio.run_process(
                [*SCHEMATHESIS, "--config-file", str(CONFIG), "run", url],
                env={**os.environ, **told},
                cwd=server.dir,
                capture_stdout=True,
                stderr=subprocess.STDOUT,
                check=False,
            )

        assert ran.returncode == 0, ran.stdout.decode()
        assert '"level":"error"' not in server.log.read_text()
