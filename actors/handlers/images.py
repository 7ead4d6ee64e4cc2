"""What clients ask of images that they use in many jobs."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import structlog

from actors import metrics
from actors.imaging.inspect import SUFFIXES
from actors.messages import DeleteImage, FindImage, KeepImage, ReadImage
from actors.storage.audit import Act
from actors.storage.keys import key_of
from actors.storage.ports import ImageRecord, NewImage

if TYPE_CHECKING:
    from actors.handlers.stock import Handlers, Stock
    from actors.storage.ports import Catalogue

log = structlog.get_logger("calotype.store")


class ImageHandlers:
    """Keep, look, read, delete."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        self.by_message: Handlers = {
            KeepImage: self._keep_image,
            FindImage: self._find_image,
            ReadImage: self._read_image,
            DeleteImage: self._delete_image,
        }

    async def _keep_image(self, message: KeepImage) -> ImageRecord:
        image_id, facts, now = str(uuid.uuid4()), message.facts, self._stock.now()
        key = key_of(image_id, SUFFIXES[facts.format])
        async with self._stock.inputs.kept(key, message.data) as sha256:
            new = NewImage(
                id=image_id,
                key=key,
                format=facts.format,
                width=facts.size_as_shown[0],
                height=facts.size_as_shown[1],
                frames=facts.frames,
                size_bytes=len(message.data),
                sha256=sha256,
                facts=message.described,
                tenant=message.tenant,
            )
            image = await self._stock.commit_once(
                message, ImageRecord, lambda records: records.add_image(new, now)
            )
        metrics.INPUT_SIZE.observe(image.size_bytes)
        log.info("image_kept", image_id=image.id, format=image.format, size=image.size_bytes)
        return image

    async def _find_image(self, message: FindImage) -> ImageRecord:
        image_id, tenant = message.image_id, message.tenant
        return await self._stock.commit(lambda records: records.find_image(image_id, tenant))

    async def _read_image(self, message: ReadImage) -> bytes:
        return await self._stock.read(self._stock.inputs, message)

    async def _delete_image(self, message: DeleteImage) -> None:
        image_id, tenant, key_id = message.image_id, message.tenant, message.key_id
        act = Act(action="image_deleted", subject=image_id, tenant=tenant, key_id=key_id)
        now = self._stock.now()

        def delete(catalogue: Catalogue) -> tuple[str, ...]:
            catalogue.audit.note(act, now, self._stock.audit)
            return catalogue.delete_image(image_id, tenant)

        unneeded = await self._stock.commit(delete)
        log.info("image_deleted", image_id=image_id, tenant=tenant, key_id=key_id)
        for key in unneeded:
            await self._stock.inputs.forget(key)
