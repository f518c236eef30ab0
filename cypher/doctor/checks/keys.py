"""Keys: whether the store opens, belongs here, holds every key that rows need, and is looked after."""

import asyncio
from datetime import datetime, timedelta

from cypher.app import rotation_policy
from cypher.crypto.keyring import KeyInfo, KeyRing, Purpose, State
from cypher.crypto.rotation import NOTICE
from cypher.doctor.findings import Away, Found, problem, warning
from cypher.doctor.patient import Patient
from cypher.errors import KeyStoreRefused
from cypher.maintenance.key_identity import require_one_deployment

ROUNDS = 600_000
#: A running service looks at its keys every few seconds: what is due for longer, nobody does.
LATE = timedelta(hours=1)


async def check_key_store(at: Patient) -> Found:
    """The key store opens with the master password, and nobody else can read it."""
    try:
        if await asyncio.to_thread(at.store().read) is None and await _is_new(at):
            yield warning("There is no key store yet: `cypher serve` makes one at its first start. Then back it up.")
            return
        await at.ring()
    except (Away, KeyStoreRefused) as refused:
        yield problem(str(refused))


async def check_key_store_place(at: Patient) -> Found:
    """Keys and rows are stolen apart."""
    if at.config.keys.store == "postgres":
        yield warning(
            "The keys are in PostgreSQL (KEY_STORE): every dump holds them, wrapped by the master password alone. Keep "
            "it apart from the dumps, or run `cypher keys move-store --to directory`."
        )


async def check_key_wrapping(at: Patient) -> Found:
    """Guessing at the master password takes 600,000 rounds for each guess."""
    rounds = (await at.ring()).stored.kdf.rounds
    if rounds < ROUNDS:
        yield warning(
            f"The keys are wrapped with {rounds:,} rounds of PBKDF2: run `cypher keys change-master --same-password "
            f"--rounds {ROUNDS}`."
        )


async def check_key_identity(at: Patient) -> Found:
    """The key store is the one of this database, and as new as the newest that it has seen."""
    ring = await at.ring()
    async with (await at.postgres()).connection() as repos:
        identity = await repos.deployment.get_identity()
        epoch = await repos.deployment.get_epoch()
        is_new = identity is None and not await repos.deployment.has_sealed_rows()
    if is_new:
        return
    await _look_again(ring)
    try:
        require_one_deployment(at.store(), ring, identity, epoch=epoch)
    except KeyStoreRefused as refused:
        yield problem(str(refused))


async def check_key_references(at: Patient) -> Found:
    """Every key that a row names is in the key store."""
    ring = await at.ring()
    async with (await at.postgres()).connection() as repos:
        rows = await repos.sealed_columns.count_rows()
        seen = await repos.deployment.list_data_keys()
    await _look_again(ring)
    states = {info.id: info.state for info in ring.get_key_info()}
    for key_id in sorted({*rows, *seen}):
        places = rows.get(key_id, {})
        # What a destroyed key has signed can still be verified: the public half stays.
        opened = {place: count for place, count in places.items() if place != "audit_seals.signing"}
        if key_id in states and not (opened and states[key_id] is State.DESTROYED):
            continue
        what = ", ".join(f"{count} in {place}" for place, count in sorted(places.items())) or "noted as used"
        yield problem(
            f"The key {key_id} is not in the key store, and what it has sealed does not open ({what}): bring the "
            "newest backup of the key store back."
        )


async def check_keys_due(at: Patient) -> Found:
    """Every key is replaced when it is due."""
    policy, now = rotation_policy(at.config), at.clock.now()
    for info in (await at.ring()).get_key_info(policy=policy):
        if info.next_rotation_at is not None and info.next_rotation_at + LATE < now:
            yield warning(
                f"The key {info.id} should have been replaced on {info.next_rotation_at:%Y-%m-%d}: no service runs, or "
                "it cannot write the key store. Its log says which."
            )
    async with (await at.postgres()).connection() as repos:
        operations = await repos.deployment.list_operations()
    active = (await at.ring()).primary(Purpose.DATA).id
    if operations.get(active, 0) > policy.operations:
        yield warning(
            f"The key {active} has sealed {operations[active]:,} values, more than KEY_ROTATION_OPERATIONS: the next "
            "one cannot be written. The service's log says why."
        )


async def check_pending_keys(at: Patient) -> Found:
    """No key waits for longer than it should before it serves."""
    now = at.clock.now()
    for info in (await at.ring()).get_key_info():
        if info.state is not State.PENDING:
            continue
        if info.purpose is Purpose.INDEX and info.created_at + LATE < now:
            yield problem(
                f"The index key {info.id} has been pending since {info.created_at:%Y-%m-%d %H:%M}: re-indexing was "
                "broken off, and nobody can register or be renamed. Run `cypher keys rotate-index` again."
            )
        elif info.purpose is not Purpose.INDEX and _serves_from(info) + LATE < now:
            yield warning(
                f"The key {info.id} should serve since {_serves_from(info):%Y-%m-%d %H:%M} and is still pending: no "
                "service runs, or it cannot write the key store. Its log says which."
            )


def _serves_from(info: KeyInfo) -> datetime:
    return info.activated_at or info.created_at + NOTICE


async def _look_again(ring: KeyRing) -> None:
    """Take over what a service has made meanwhile: the store is written before the database hears of it."""
    await asyncio.to_thread(ring.reload)


async def _is_new(at: Patient) -> bool:
    """Tell whether the database has never had a key store; False where that cannot be asked."""
    try:
        database = await at.postgres()
    except Away:
        return False
    async with database.connection() as repos:
        return await repos.deployment.get_identity() is None and not await repos.deployment.has_sealed_rows()
