"""A look at the newest seals alone: what is wrong with them is found, what is wrong before them is not looked for."""

import pytest

from cypher.maintenance.seal_chain import Attack
from cypher.maintenance.verification import Verification, Verified
from tests.factories import CLOCK, insert_person
from tests.integration.audit.conftest import KEEP, Trail


async def newest(trail: Trail, seals: int) -> Verified:
    return await Verification(db=trail.db, ring=trail.ring, clock=CLOCK, keep=KEEP).run_newest(seals)


@pytest.fixture
async def sealed(trail: Trail) -> Trail:
    await trail.write_sealed(2, 3, 1, 2)
    return trail


async def test_so_many_seals_are_proven_with_their_entries(sealed: Trail) -> None:
    for seals, entries in ((1, 2), (3, 6), (4, 8), (9, 8)):
        done = await newest(sealed, seals)
        assert (done.finding, done.seals, done.entries) == (None, min(seals, 4), entries)


async def test_an_edit_is_found_under_them_and_nowhere_else(sealed: Trail) -> None:
    oldest, *_, last = sealed.sealed_ids()
    sealed.attack(f"UPDATE audit_logs SET outcome = 'edited' WHERE id = '{oldest}'")
    assert (await newest(sealed, 3)).finding is None
    sealed.attack(f"UPDATE audit_logs SET outcome = 'edited' WHERE id = '{last}'")
    finding = (await newest(sealed, 3)).finding
    assert finding is not None
    assert (finding.attack, str(finding.entry_id)) == (Attack.EDITED, last)


async def test_the_first_of_them_has_to_follow_the_one_before(sealed: Trail) -> None:
    sealed.attack("UPDATE audit_seals SET count = count + 1 WHERE seal_no = 2")
    finding = (await newest(sealed, 2)).finding
    assert finding is not None
    assert (finding.attack, finding.seal_no) == (Attack.REWRITTEN, 3)


async def test_people_without_any_trail_are_found(trail: Trail) -> None:
    assert (await newest(trail, 3)).finding is None
    await insert_person(trail.db)
    finding = (await newest(trail, 3)).finding
    assert finding is not None
    assert finding.attack is Attack.CUT
