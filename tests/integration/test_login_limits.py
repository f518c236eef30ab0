"""Who is admitted to an attempt, whose budget it uses, and what a refusal leaves behind: one audit entry at most."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from cypher.auth.audit import Audit
from cypher.auth.limit_review import LimitReview, canonical_identifier
from cypher.auth.login_limits import LoginLimits
from cypher.auth.rate_limits import RateLimits
from cypher.auth.source import Source
from cypher.clock import SystemClock, new_id
from cypher.config.limits import Category, LimitsConfig
from cypher.crypto.blind_index import BlindIndex
from cypher.ephemeral.decisions import Hit
from cypher.ephemeral.rate_limiter import RateLimiter
from cypher.errors import OperatorError, RateLimited
from cypher.settings import Limit
from tests.factories import as_owner, insert_person

HOUR = timedelta(hours=1)
HERE, ELSEWHERE = "192.0.2.1", "198.51.100.1"
CLOCK = SystemClock()


def source(address: str = HERE) -> Source:
    return Source(address=address, user_agent="agent", request_id="request-1")


def per_hour(hits: int) -> Limit:
    return Limit(hits=hits, window=HOUR)


#: Each bound in another test: 3 from one address on one name, 5 on one name, 7 from one address.
CONFIG = LimitsConfig(
    login_name_address=per_hour(3), login_name=per_hour(5), login_address=per_hour(7), default_address=per_hour(2)
)


class Desk:
    """Attempts and what stands counted."""

    def __init__(self, limiter: RateLimiter, limits: RateLimits, review: LimitReview, audit: Audit) -> None:
        self.limiter = limiter
        self.limits = limits
        self.logins = LoginLimits(limits)
        self.review = review
        self.audit = audit

    async def attempt(self, name: str = "alice", address: str = HERE, device: UUID | None = None) -> tuple[Hit, ...]:
        async def find() -> UUID | None:
            return device

        return await self.logins.admit(name, source(address), find)

    async def refused(self, name: str = "alice", address: str = HERE, device: UUID | None = None) -> RateLimited:
        with pytest.raises(RateLimited) as refusal:
            await self.attempt(name, address, device)
        return refusal.value

    async def counted(self, category: Category, identifier: str) -> int:
        subject = await self.review.show(category, identifier)
        return subject.limit - subject.remaining

    async def standing(self, name: str = "alice", address: str = HERE) -> tuple[int, int, int]:
        """How often name and address, the name, the address are counted."""
        return (
            await self.counted(Category.LOGIN_NAME_ADDRESS, f"{name} {address}"),
            await self.counted(Category.LOGIN_NAME, name),
            await self.counted(Category.LOGIN_ADDRESS, address),
        )


@pytest.fixture
def make_desk(db, redis, ring):
    def make(config: LimitsConfig = CONFIG) -> Desk:
        index = BlindIndex(ring)
        audit = Audit(CLOCK, index)
        limiter = RateLimiter(redis, index, ring.epoch, CLOCK)
        limits = RateLimits(limiter=limiter, config=config, audit=audit, clock=CLOCK)
        return Desk(limiter, limits, LimitReview(limiter=limiter, config=config, db=db, audit=audit), audit)

    return make


@pytest.fixture
def desk(make_desk) -> Desk:
    return make_desk()


# -- whose budget -------------------------------------------------------------------------------------------


async def test_one_name_from_one_address_is_bounded_first(desk):
    for _ in range(3):
        await desk.attempt()
    refusal = await desk.refused()
    assert (refusal.policy, refusal.limit, refusal.window) == ("login", 3, HOUR)
    assert timedelta(minutes=59) < refusal.retry_after <= HOUR
    await desk.attempt(address=ELSEWHERE)
    await desk.attempt(name="bob")


async def test_one_name_from_many_addresses_is_bounded(desk):
    for number in range(5):
        await desk.attempt(address=f"203.0.113.{number}")
    assert (await desk.refused()).limit == 5


async def test_many_names_from_one_address_are_bounded(desk):
    for number in range(7):
        await desk.attempt(name=f"person-{number}")
    assert (await desk.refused()).limit == 7


async def test_all_addresses_of_one_ipv6_network_are_one_sender(desk):
    for number in range(3):
        await desk.attempt(address=f"2001:db8::{number}")
    await desk.refused(address="2001:db8::ffff")
    await desk.attempt(address="2001:db8:0:1::1")


async def test_a_known_device_has_a_budget_of_its_own_that_strangers_cannot_use_up(desk):
    phone, laptop = new_id(CLOCK), new_id(CLOCK)
    for number in range(5):
        await desk.attempt(address=f"203.0.113.{number}")
    await desk.refused()
    for _ in range(3):
        await desk.attempt(device=phone)
    assert (await desk.refused(device=phone)).limit == 3
    await desk.attempt(device=laptop)
    assert await desk.standing() == (0, 5, 4)


async def test_a_known_device_is_still_one_of_its_address(desk):
    for number in range(7):
        await desk.attempt(name=f"person-{number}")
    assert (await desk.refused(device=new_id(CLOCK))).limit == 7


async def test_a_refused_device_is_answered_like_a_refused_name(desk):
    phone = new_id(CLOCK)
    for _ in range(3):
        await desk.attempt(device=phone)
        await desk.attempt(name="bob")
    refusals = [await desk.refused(device=phone), await desk.refused(name="bob", address=HERE)]
    said = {(refusal.policy, refusal.limit, refusal.window, refusal.code) for refusal in refusals}
    assert said == {("login", 3, HOUR, "rate_limited")}


async def test_what_is_off_is_not_counted(make_desk):
    desk = make_desk(LimitsConfig(login_name=per_hour(5)))
    for _ in range(5):
        [hit] = await desk.attempt()
        assert ":limit-login-name:" in hit.key
    await desk.refused()
    assert await make_desk(LimitsConfig()).attempt() == ()


# -- what is left behind ------------------------------------------------------------------------------------


async def test_a_refused_attempt_counts_nowhere(desk):
    for _ in range(3):
        await desk.attempt()
    before = await desk.standing()
    for _ in range(20):
        await desk.refused()
    assert await desk.standing() == before == (3, 3, 3)


async def test_who_is_refused_for_the_address_never_touches_the_name(desk):
    for number in range(7):
        await desk.attempt(name=f"person-{number}")
    await asyncio.gather(*(desk.refused() for _ in range(50)))
    assert await desk.standing() == (0, 0, 7)


async def test_knocking_at_a_name_that_is_used_up_costs_its_owner_nothing_at_home(desk):
    for number in range(5):
        await desk.attempt(address=f"203.0.113.{number}")
    for _ in range(20):
        await desk.refused()
    assert await desk.standing() == (0, 5, 0)


async def test_racing_attempts_admit_exactly_the_smallest_limit(desk):
    async def attempt() -> bool:
        try:
            await desk.attempt()
        except RateLimited:
            return False
        return True

    admitted = await asyncio.gather(*(attempt() for _ in range(100)))
    # An attempt that is refused may stand on the address for a moment, in the way of another from there.
    assert 1 <= sum(admitted) <= 3
    while await attempt():
        pass
    assert await desk.standing() == (3, 3, 3)


async def test_a_finished_login_takes_back_its_own_attempt_and_no_other(desk):
    guess = await desk.attempt()
    mine = await desk.attempt()
    for _ in range(2):
        await desk.logins.take_back(mine)
    assert await desk.standing() == (1, 1, 1)
    await desk.logins.take_back(guess)
    assert await desk.standing() == (0, 0, 0)


# -- the audit trail ----------------------------------------------------------------------------------------

ENTRIES = "SELECT reason, outcome, retention, user_id, subject_index FROM audit_logs WHERE action = %s ORDER BY id"


async def test_a_flood_of_refusals_is_one_entry_for_each_subject(make_desk, desk, ring, db, postgres_config):
    for number in range(5):
        await desk.attempt(address=f"203.0.113.{number}")
    instances = [desk, make_desk()]
    await asyncio.gather(*(instances[n % 2].refused(address=f"198.51.100.{n}") for n in range(40)))
    await desk.attempt(name="bob")
    await desk.attempt(name="bob")
    await desk.attempt(name="bob")
    await desk.refused(name="bob")
    for instance in instances:
        await instance.audit.flush(db)
    name = BlindIndex(ring).index
    assert as_owner(postgres_config, ENTRIES, "abuse.rate_limit.exceeded") == [
        ("login-name", "failure", "short", None, name("alice", "audit_logs.subject")),
        ("login-name-address", "failure", "short", None, name("bob", "audit_logs.subject")),
    ]


async def test_without_postgresql_a_refusal_is_still_a_refusal(desk, db):
    for _ in range(3):
        await desk.attempt()
    await db.close()
    await desk.refused()
    await desk.refused()


# -- bad tokens ---------------------------------------------------------------------------------------------


async def test_bad_tokens_are_counted_by_address_in_the_process_only(make_desk, desk, db, postgres_config):
    for address in (HERE, ELSEWHERE, HERE):
        await desk.limits.admit_bad_token(source(address))
    for _ in range(3):
        with pytest.raises(RateLimited):
            await desk.limits.admit_bad_token(source())
    await desk.limits.admit_bad_token(source(ELSEWHERE))
    await make_desk().limits.admit_bad_token(source())
    assert await desk.counted(Category.DEFAULT_ADDRESS, HERE) == 0
    await desk.audit.flush(db)
    assert len(as_owner(postgres_config, ENTRIES, "abuse.rate_limit.exceeded")) == 1
    await make_desk(replace(CONFIG, default_address=None)).limits.admit_bad_token(source())


# -- the operator -------------------------------------------------------------------------------------------


async def test_an_operator_finds_a_subject_under_any_of_its_forms(desk):
    await desk.attempt(name="zoë", address="2001:db8::1")
    assert await desk.counted(Category.LOGIN_NAME, "ZOË") == 1
    assert await desk.counted(Category.LOGIN_ADDRESS, "2001:DB8:0::9") == 1
    assert await desk.counted(Category.LOGIN_NAME_ADDRESS, "Zoë 2001:db8::/64") == 1
    shown = await desk.review.show(Category.LOGIN_NAME_ADDRESS, "Zoë  2001:db8::7")
    assert (shown.identifier, shown.limit, shown.remaining, shown.window_seconds) == ("zoë 2001:db8::/64", 3, 2, 3600)
    assert shown.retry_after == 0
    assert 3500 < shown.reset <= 3600


async def test_a_reset_gives_back_one_budget_and_is_recorded(desk, postgres_config):
    for _ in range(3):
        await desk.attempt()
    assert (await desk.review.reset(Category.LOGIN_NAME_ADDRESS, f"ALICE {HERE}")).was_counted
    assert not (await desk.review.reset(Category.LOGIN_NAME_ADDRESS, f"alice {HERE}")).was_counted
    assert await desk.standing() == (0, 3, 3)
    await desk.attempt()
    recorded = as_owner(
        postgres_config, "SELECT reason, actor_type, retention FROM audit_logs WHERE action = %s", *RESET
    )
    assert recorded == [("login-name-address", "operator", "long")] * 2


RESET = ("admin.rate_limit.reset",)


async def test_the_list_says_how_many_are_counted_and_how_many_refused(desk):
    for _ in range(3):
        await desk.attempt()
    await desk.refused()
    await desk.attempt(name="bob")
    listed = {item.category: item for item in (await desk.review.list_categories()).items}
    assert list(listed) == list(Category)
    assert (listed[Category.LOGIN_NAME].subjects, listed[Category.LOGIN_NAME].refused) == (2, 0)
    assert (listed[Category.LOGIN_NAME_ADDRESS].subjects, listed[Category.LOGIN_NAME_ADDRESS].refused) == (2, 1)
    assert (listed[Category.LOGIN_ADDRESS].limit, listed[Category.LOGIN_ADDRESS].window_seconds) == (7, 3600)
    assert (listed[Category.REFRESH_ADDRESS].limit, listed[Category.REFRESH_ADDRESS].window_seconds) == (None, None)


@pytest.mark.parametrize(
    ("category", "text"),
    [
        (Category.LOGIN_NAME, ""),
        (Category.LOGIN_NAME, "two words"),
        (Category.LOGIN_ADDRESS, "alice"),
        (Category.LOGIN_NAME_ADDRESS, "alice"),
        (Category.LOGIN_NAME_ADDRESS, "192.0.2.1 alice"),
        (Category.LOGIN_DEVICE, "alice"),
        (Category.DEFAULT_ADDRESS, "192.0.2.0/24"),
    ],
)
def test_an_identifier_of_a_wrong_form_is_said_in_a_sentence(category, text):
    with pytest.raises(OperatorError, match=f"^{category} counts by "):
        canonical_identifier(category, text)


async def test_a_limit_that_is_off_has_nothing_to_show(desk):
    with pytest.raises(OperatorError, match="off"):
        await desk.review.show(Category.REFRESH_ADDRESS, HERE)


async def test_a_reset_names_the_person_only_where_it_can_be_erased(desk, db, postgres_config):
    person = await insert_person(db, "alice")
    await desk.review.reset(Category.LOGIN_NAME_ADDRESS, f"ALICE {HERE}")
    await desk.review.reset(Category.LOGIN_NAME, "nobody")
    await desk.review.reset(Category.RECOVERY_NAME, "alice")
    rows = as_owner(
        postgres_config,
        "SELECT user_id, subject_index IS NOT NULL FROM audit_logs WHERE action = %s ORDER BY id",
        *RESET,
    )
    assert rows == [(person.id, False), (None, True), (person.id, False)]
