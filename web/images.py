"""Routes under /images, and /plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quart import Blueprint
from quart_trio.wrappers import TrioResponse as Response

from actors.imaging.errors import Misfits
from actors.messages import DeleteImage, FindImage, Foresee, Keep
from actors.storage.ports import ImageNotFound
from web import wire
from web.replies import json_reply, no_content
from web.uploads import upload

if TYPE_CHECKING:
    from web.answers import Answers
    from web.downloads import Downloads
    from web.envoy import Envoy
    from web.kitchen import Kitchen


def images_blueprint(
    envoy: Envoy,
    answers: Answers,
    downloads: Downloads,
    kitchen: Kitchen,
) -> Blueprint:
    """Routes under /images: upload, look, fetch, delete; and POST /plan."""
    images = Blueprint("images", __name__)

    @images.post("/images")
    async def keep() -> Response:
        message = Keep(await kitchen.picture())
        image = await envoy.ask(message, upload().hand_over())
        return json_reply(answers.image(image), 201, {"Location": f"/images/{image.id}"})

    @images.get("/images/<image_id>")
    async def look(image_id: str) -> Response:
        return json_reply(answers.image(await envoy.ask(FindImage(image_id))))

    @images.get("/images/<image_id>/content")
    async def fetch(image_id: str) -> Response:
        return await downloads.image(image_id)

    @images.delete("/images/<image_id>")
    async def delete(image_id: str) -> Response:
        await envoy.ask(DeleteImage(image_id))
        return no_content()

    @images.post("/plan")
    async def plan() -> Response:
        order = await kitchen.order()
        message = Foresee(wire.known(order.job.image), order.job.recipe)
        try:
            foreseen = await envoy.ask(message, upload().hand_over())
        except ImageNotFound as error:
            raise order.without(str(error)) from error
        except Misfits as error:
            raise order.misfitting(error) from error
        # A plan is the same each time, so it need not be kept.
        await envoy.settle()
        return json_reply(answers.plan(foreseen))

    return images
