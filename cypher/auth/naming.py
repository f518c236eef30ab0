"""What keeps a name unique while the key of its index is being replaced."""

import asyncio

from cypher.crypto.keyring import KeyRing, Purpose
from cypher.errors import KeysUnavailable, NamesBusy
from cypher.repositories import Repositories


async def hold_names(repos: Repositories, ring: KeyRing) -> None:
    """Call it in the transaction that gives somebody a name, before that: two index keys would take one name twice.

    Raises NamesBusy (503) while names are indexed anew. A ring that is older than what the database knows is looked at
    again: it might not know that the key is being replaced.
    """
    held, generation = await repos.deployment.share_names()
    if generation > ring.generation:
        await asyncio.to_thread(ring.reload)
        if generation > ring.generation:
            raise KeysUnavailable
    if not held or ring.stored.pending(Purpose.INDEX) is not None:
        raise NamesBusy
