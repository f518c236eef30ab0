"""Whoever owns the database can change the trail, and each change is found and named."""

import msgspec
import pytest

from cypher.auth.events import Event
from cypher.crypto.keyring import Purpose
from cypher.crypto.signing import sign
from cypher.errors import OperatorError
from cypher.maintenance.seal_chain import Attack
from cypher.maintenance.sealing import Sealer
from cypher.repositories.audit import COLUMNS
from tests.factories import CLOCK, insert_person


@pytest.fixture
async def sealed(trail):
    """A trail of three seals with four entries each."""
    await trail.write(4)
    await trail.seal()
    await trail.write(2)
    await trail.write(2, event=Event.LOGIN_FAILED)
    await trail.seal()
    await trail.write(4)
    await trail.seal()
    done = await trail.verify()
    assert (done.finding, done.entries) == (None, 12)
    return trail


def copy_of(entry_id: str, **changes: str) -> str:
    """Return a statement that puts in a copy of an entry with some columns changed."""
    columns = (*COLUMNS, "details", "details_key_id", "entry_hash", "entry_hash_key_id")
    values = ", ".join(changes.get(column, column) for column in columns)
    return f"INSERT INTO audit_logs ({', '.join(columns)}) SELECT {values} FROM audit_logs WHERE id = '{entry_id}'"


async def found(trail, *checkpoints):
    done = await trail.verify(checkpoints)
    assert done.finding is not None
    return done.finding


# -- edited -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "action = 'session.session.ended'",
        "outcome = 'failure'",
        "severity = 'alert'",
        "reason = 'because'",
        "actor_id = 'somebody'",
        "actor_type = 'operator'",
        "user_id = gen_random_uuid()",
        "session_id = gen_random_uuid()",
        "request_id = 'another'",
        "subject_index = decode('00', 'hex')",
        "details = details || ' '",
        "details_key_id = 'audit_data-20200101-00000000'",
        "occurred_at = occurred_at + interval '1 microsecond'",
        "occurred_at = occurred_at + interval '1 second'",
        "entry_hash = sha256('x')",
        "entry_hash_key_id = 'audit_mac-20200101-00000000'",
        "retention = 'short'",
    ],
)
async def test_an_edited_entry_is_named(sealed, change: str) -> None:
    ids = sealed.sealed_ids()
    sealed.attack(f"UPDATE audit_logs SET {change} WHERE id = '{ids[6 - 1]}'")
    finding = await found(sealed)
    assert (finding.attack, str(finding.entry_id), finding.seal_no) == (Attack.EDITED, ids[5], 2)


async def test_an_entry_with_the_content_of_another_is_named(sealed) -> None:
    ids = sealed.sealed_ids()
    both = "details = b.details, entry_hash = b.entry_hash, action = b.action"
    sealed.attack(f"UPDATE audit_logs a SET {both} FROM audit_logs b WHERE a.id = '{ids[1]}' AND b.id = '{ids[2]}'")
    finding = await found(sealed)
    assert (finding.attack, str(finding.entry_id)) == (Attack.EDITED, ids[1])


async def test_two_entries_that_were_swapped_are_found_at_the_first(sealed) -> None:
    one, two = sealed.sealed_ids()[1:3]
    spare = "00000000-0000-7000-8000-000000000000"
    for old, new in ((one, spare), (two, one), (spare, two)):
        sealed.attack(f"UPDATE audit_logs SET id = '{new}' WHERE id = '{old}'")
    finding = await found(sealed)
    assert (finding.attack, str(finding.entry_id)) == (Attack.EDITED, one)


async def test_an_entry_edited_together_with_its_leaf_is_named(sealed) -> None:
    ids = sealed.sealed_ids()
    sealed.attack(
        f"UPDATE audit_logs SET action = 'x', entry_hash = sha256('x') WHERE id = '{ids[0]}'",
        f"UPDATE audit_leaves SET entry_hash = sha256('x') WHERE entry_id = '{ids[0]}'",
    )
    finding = await found(sealed)
    assert (finding.attack, str(finding.entry_id)) == (Attack.EDITED, ids[0])


# -- deleted ------------------------------------------------------------------------------------------------


async def test_an_entry_deleted_in_the_middle_is_named(sealed) -> None:
    ids = sealed.sealed_ids()
    sealed.attack(f"DELETE FROM audit_logs WHERE id = '{ids[5]}'")
    finding = await found(sealed)
    assert (finding.attack, str(finding.entry_id), finding.position) == (Attack.DELETED, ids[5], 1)


async def test_an_entry_deleted_with_its_leaf_is_named_by_its_place(sealed) -> None:
    ids = sealed.sealed_ids()
    sealed.attack(
        f"DELETE FROM audit_leaves WHERE entry_id = '{ids[5]}'", f"DELETE FROM audit_logs WHERE id = '{ids[5]}'"
    )
    finding = await found(sealed)
    assert (finding.attack, finding.seal_no, finding.position) == (Attack.DELETED, 2, 1)


async def test_an_entry_deleted_with_all_that_counts_it_is_found_by_its_seal(sealed) -> None:
    ids = sealed.sealed_ids()
    sealed.attack(
        f"DELETE FROM audit_leaves WHERE entry_id = '{ids[5]}'",
        f"DELETE FROM audit_logs WHERE id = '{ids[5]}'",
        "UPDATE audit_leaves SET position = position - 1 WHERE seal_no = 2 AND position > 1",
        "UPDATE audit_seals SET count = count - 1 WHERE seal_no = 2",
    )
    finding = await found(sealed)
    assert (finding.attack, finding.seal_no) == (Attack.FORGED, 2)


async def test_a_month_that_was_dropped_too_early_is_named(sealed) -> None:
    sealed.attack(f"DROP TABLE {sealed.rows('SELECT tableoid::regclass::text FROM audit_logs_short')[0][0]}")
    finding = await found(sealed)
    assert finding.attack is Attack.DELETED
    assert "before its 30 days" in finding.sentence


async def test_a_seal_that_is_gone_is_named(sealed) -> None:
    sealed.attack("DELETE FROM audit_leaves WHERE seal_no = 2", "DELETE FROM audit_seals WHERE seal_no = 2")
    finding = await found(sealed)
    assert (finding.attack, finding.seal_no) == (Attack.DELETED, 2)


# -- reordered ----------------------------------------------------------------------------------------------


async def test_leaves_in_another_order_are_found_at_the_first(sealed) -> None:
    ids = sealed.sealed_ids()
    for old, new in ((1, 99), (2, 1), (99, 2)):
        sealed.attack(f"UPDATE audit_leaves SET position = {new} WHERE seal_no = 2 AND position = {old}")
    finding = await found(sealed)
    assert (finding.attack, str(finding.entry_id), finding.position) == (Attack.REORDERED, ids[6], 1)


async def test_leaves_that_changed_their_seals_are_found(sealed) -> None:
    sealed.attack(
        "UPDATE audit_leaves SET position = 99 WHERE seal_no = 1 AND position = 3",
        "UPDATE audit_leaves SET seal_no = 1 WHERE seal_no = 2 AND position = 3",
        "UPDATE audit_leaves SET seal_no = 2, position = 3 WHERE seal_no = 1 AND position = 99",
    )
    finding = await found(sealed)
    assert (finding.attack, finding.seal_no) == (Attack.REWRITTEN, 1)


# -- cut ----------------------------------------------------------------------------------------------------


async def test_an_end_that_was_cut_off_is_known_by_a_checkpoint(sealed) -> None:
    checkpoint = await sealed.checkpoint()
    ids = sealed.sealed_ids()[8:]
    sealed.attack(
        "DELETE FROM audit_leaves WHERE seal_no = 3",
        "DELETE FROM audit_seals WHERE seal_no = 3",
        f"DELETE FROM audit_logs WHERE id IN ({', '.join(repr(each) for each in ids)})",
    )
    assert (await sealed.verify()).finding is None  # nothing in the database tells
    finding = await found(sealed, checkpoint)
    assert (finding.attack, finding.seal_no) == (Attack.CUT, 3)
    assert "ends with seal 2" in finding.sentence


async def test_entries_deleted_at_the_end_alone_are_named(sealed) -> None:
    ids = sealed.sealed_ids()
    sealed.attack(f"DELETE FROM audit_logs WHERE id = '{ids[-1]}'")
    finding = await found(sealed)
    assert (finding.attack, str(finding.entry_id)) == (Attack.DELETED, ids[-1])


ALL = ("DELETE FROM audit_leaves", "DELETE FROM audit_seals", "DELETE FROM audit_logs")


async def test_a_trail_that_is_gone_altogether_is_known_by_a_checkpoint(sealed) -> None:
    checkpoint = await sealed.checkpoint()
    sealed.attack(*ALL)
    finding = await found(sealed, checkpoint)
    assert (finding.attack, finding.seal_no) == (Attack.CUT, 1)
    assert "no seal at all" in finding.sentence


async def test_a_trail_that_is_gone_altogether_is_known_by_the_people_who_are_there(sealed, db) -> None:
    await insert_person(db)
    sealed.attack(*ALL)
    finding = await found(sealed)
    assert (finding.attack, "people" in finding.sentence) == (Attack.CUT, True)


# -- rewritten ----------------------------------------------------------------------------------------------


async def test_a_trail_that_was_sealed_anew_is_known_by_a_checkpoint(sealed, ring) -> None:
    checkpoint = await sealed.checkpoint()
    ids = sealed.sealed_ids()
    sealed.attack(*ALL[:2], f"DELETE FROM audit_logs WHERE id = '{ids[5]}'")
    sealed.sealer = Sealer(db=sealed.db, ring=ring, clock=CLOCK)  # of an instance that was started afterwards
    await sealed.seal()
    await sealed.write_sealed(1, 1, 1)
    assert (await sealed.verify()).finding is None
    finding = await found(sealed, checkpoint)
    assert (finding.attack, finding.seal_no) == (Attack.REWRITTEN, 3)


async def test_an_old_root_in_the_place_of_a_newer_one_is_found(sealed) -> None:
    ids = sealed.sealed_ids()
    sealed.attack(
        f"DELETE FROM audit_logs WHERE id IN ({', '.join(repr(each) for each in ids[8:])})",
        "DELETE FROM audit_leaves WHERE seal_no = 3",
        "UPDATE audit_seals n SET root = o.root, count = o.count, signature = o.signature, sealed_at = o.sealed_at,"
        " previous = o.previous, through_xid = o.through_xid FROM audit_seals o WHERE n.seal_no = 3 AND o.seal_no = 1",
    )
    finding = await found(sealed)
    assert (finding.attack, finding.seal_no) == (Attack.FORGED, 3)


async def test_an_old_seal_under_a_new_number_is_found(sealed) -> None:
    sealed.attack(
        "DELETE FROM audit_leaves WHERE seal_no = 3",
        "DELETE FROM audit_seals WHERE seal_no = 3",
        "INSERT INTO audit_seals SELECT 3, through_xid, count, root, previous, sealed_at, signature, signing_key_id"
        " FROM audit_seals WHERE seal_no = 2",
    )
    finding = await found(sealed)
    assert (finding.attack, finding.seal_no) == (Attack.FORGED, 3)


# -- forged -------------------------------------------------------------------------------------------------


async def test_a_seal_that_nobody_signed_is_found(sealed) -> None:
    sealed.attack("UPDATE audit_seals SET signature = decode(repeat('00', 64), 'hex') WHERE seal_no = 3")
    finding = await found(sealed)
    assert (finding.attack, finding.seal_no) == (Attack.FORGED, 3)


@pytest.mark.parametrize("change", ["count = -1", "through_xid = '18446744073709551615'", "sealed_at = 'infinity'"])
async def test_what_no_seal_could_say_is_found(sealed, change: str) -> None:
    sealed.attack(f"UPDATE audit_seals SET {change} WHERE seal_no = 2")
    assert (await found(sealed)).seal_no == 2


async def test_a_seal_signed_with_another_key_of_the_service_is_found(sealed, ring) -> None:
    async with sealed.db.connection() as repos:
        (seal,) = await repos.audit_seals.list_seals(2, 1)
    key = ring.primary(Purpose.SIGNING)
    signature = sign(key, seal.statement.message()).hex()
    sealed.attack(
        f"UPDATE audit_seals SET signature = decode('{signature}', 'hex'), signing_key_id = '{key.id}'"
        " WHERE seal_no = 3"
    )
    assert (await found(sealed)).attack is Attack.FORGED


async def test_an_entry_that_was_made_up_is_found_before_and_after_it_is_sealed(sealed) -> None:
    old, new = sealed.sealed_ids()[0], "01900000-0000-7000-8000-00000000abcd"
    sealed.attack(copy_of(old, id=f"'{new}'", entry_hash="sha256('x')"))
    finding = await found(sealed)
    assert (finding.attack, str(finding.entry_id)) == (Attack.FORGED, new)
    await sealed.seal()
    finding = await found(sealed)
    assert str(finding.entry_id) == new


@pytest.mark.parametrize("later", ["1 microsecond", "1 second", "1 hour", "-1 hour"])
async def test_a_second_row_under_the_id_of_a_sealed_entry_is_found(sealed, later: str) -> None:
    old = sealed.sealed_ids()[0]
    sealed.attack(copy_of(old, occurred_at=f"occurred_at + interval '{later}'", action="'auth.login.succeeded'"))
    finding = await found(sealed)
    # Near the first one it may be met in its place, far from it as one too many.
    assert finding.attack in ({Attack.FORGED} if "hour" in later else {Attack.FORGED, Attack.EDITED})
    assert str(finding.entry_id) == old


async def test_a_leaf_of_an_entry_that_was_never_sealed_is_found(sealed) -> None:
    await sealed.write(1)
    sealed.attack(
        "INSERT INTO audit_leaves SELECT 3, 4, retention, id, entry_hash FROM audit_logs a"
        " WHERE NOT EXISTS (SELECT FROM audit_leaves l WHERE l.entry_id = a.id)"
    )
    finding = await found(sealed)
    assert (finding.attack, finding.seal_no, finding.position) == (Attack.FORGED, 3, 4)


# -- checkpoints --------------------------------------------------------------------------------------------


async def test_checkpoints_vouch_for_what_they_have_seen(sealed) -> None:
    checkpoint = await sealed.checkpoint()
    await sealed.write_sealed(1)
    done = await sealed.verify([checkpoint, await sealed.checkpoint()])
    assert (done.finding, done.checkpoint_no) == (None, 4)


async def test_a_checkpoint_of_somebody_else_is_refused_and_not_taken_for_an_attack(sealed) -> None:
    checkpoint = msgspec.structs.replace(await sealed.checkpoint(), seal_no=9)
    with pytest.raises(OperatorError, match="not one of this trail"):
        await sealed.verify([checkpoint])
