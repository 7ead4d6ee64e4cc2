"""What the gate asks: who may use the service."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from actors.messages import CountKeys, FindKey, LearnLinkSecret, ListKeyIds

if TYPE_CHECKING:
    from actors.handlers.stock import Handlers, Stock
    from actors.storage.credentials import Key


class KeyHandlers:
    """Keys are looked up here; they are made by the command line, beside the service."""

    def __init__(self, stock: Stock) -> None:
        self._stock = stock
        self.by_message: Handlers = {
            FindKey: self._find_key,
            CountKeys: self._count_keys,
            ListKeyIds: self._list_key_ids,
            LearnLinkSecret: self._learn_link_secret,
        }

    async def _find_key(self, message: FindKey) -> Key:
        return await self._stock.commit(lambda records: records.keys.find(message.key_id))

    async def _list_key_ids(self, _: ListKeyIds) -> frozenset[str]:
        return await self._stock.commit(lambda records: records.keys.ids())

    async def _count_keys(self, _: CountKeys) -> int:
        return await self._stock.commit(lambda records: records.keys.count())

    async def _learn_link_secret(self, _: LearnLinkSecret) -> str:
        fresh = secrets.token_hex(32)
        return await self._stock.commit(lambda records: records.keys.link_secret(fresh))
