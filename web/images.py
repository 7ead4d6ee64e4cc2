"""Routes under /images, and /plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import trio
from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response

from actors.imaging.errors import Misfits
from actors.messages import DeleteImage, FindImage, Foresee, Keep
from actors.storage.ports import ImageNotFound
from web import wire
from web.uploads import upload

if TYPE_CHECKING:
    from actors.mailbox import Request
    from web.answers import Answers
    from web.downloads import Downloads
    from web.envoy import Envoy
    from web.kitchen import Kitchen

R = TypeVar("R")

JSON = {"Content-Type": "application/json"}


def images_blueprint(
    envoy: Envoy,
    answers: Answers,
    downloads: Downloads,
    kitchen: Kitchen,
    patience: float,
) -> Blueprint:
    """Routes under /images: upload, look, fetch, delete; and POST /plan."""
    images = Blueprint("images", __name__)

    async def ask(message: Request[R]) -> R:
        with trio.fail_after(patience):
            return await envoy.ask(message)

    @images.post("/images")
    async def keep() -> Response:
        message = Keep(await kitchen.picture())
        with trio.fail_after(patience):
            image = await envoy.ask(message, upload().hand_over())
        return Response(answers.image(image), 201, {**JSON, "Location": f"/images/{image.id}"})

    @images.get("/images/<image_id>")
    async def look(image_id: str) -> Response:
        return Response(answers.image(await ask(FindImage(image_id))), 200, JSON)

    @images.get("/images/<image_id>/content")
    async def fetch(image_id: str) -> Response:
        return await downloads.image(image_id)

    @images.delete("/images/<image_id>")
    async def delete(image_id: str) -> Response:
        await ask(DeleteImage(image_id))
        nothing = Response(None, 204)
        nothing.headers.remove("Content-Type")
        return nothing

    @images.post("/plan")
    async def plan() -> Response:
        order = await kitchen.order()
        message = Foresee(wire.known(order.job.image), order.job.recipe)
        try:
            with trio.fail_after(patience):
                foreseen = await envoy.ask(message, upload().hand_over())
        except ImageNotFound as error:
            raise order.without(str(error)) from error
        except Misfits as error:
            raise order.misfitting(error) from error
        return Response(answers.plan(foreseen), 200, JSON)

    return images
