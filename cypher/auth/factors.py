"""What a person does with the second factor: look at it, enrol, confirm, remove, draw new recovery codes.

No session's level changes here: a code that confirms an enrolment shows that the app was set up, not who holds the
session. Secrets and recovery codes are returned once and stored sealed or hashed.
"""

import asyncio
from uuid import UUID

from cypher.auth import recovery_codes, totp
from cypher.auth.audit import Audit, Happening
from cypher.auth.events import Event
from cypher.auth.factor_changes import factor_changed
from cypher.auth.freshness import Freshness
from cypher.auth.second_factor import Presented, SecondFactor
from cypher.auth.source import Source
from cypher.auth.types import SessionView, TotpEnrolment
from cypher.errors import FactorExists, FlowExpired, NotFound, SessionExpired
from cypher.postgres import Database
from cypher.repositories import Repositories
from cypher.repositories.factors import EnrolledFactors


class Factors:
    """The routes below `/v1/factors`, and `/v1/recovery-codes`."""

    def __init__(
        self,
        *,
        db: Database[Repositories],
        audit: Audit,
        factor: SecondFactor,
        freshness: Freshness,
        issuer: str,
    ) -> None:
        """Take an issuer that people know the service by, without a colon."""
        self._db = db
        self._audit = audit
        self._factor = factor
        self._freshness = freshness
        self._issuer = issuer

    async def show(self, session: SessionView) -> EnrolledFactors:
        """Return what the person has besides the password."""
        async with self._db.connection() as repos:
            factors = await repos.factors.find_factors(session.user_id)
        if factors is None:
            raise SessionExpired
        return factors

    async def enrol(self, session: SessionView, source: Source) -> TotpEnrolment:
        """Draw a secret that waits for its first code, in the place of one that waited before.

        Needs a fresh proof. Raises FactorExists.
        """
        secret = totp.new_secret()
        async with self._db.transaction() as repos:
            await self._freshness.require(repos, session)
            if not await repos.factors.set_pending_secret(session.user_id, secret):
                raise FactorExists
            await self._audit.record(repos, _happening(session, Event.FACTOR_BEGUN), source)
        uri = totp.otpauth_uri(secret, session.username, self._issuer)
        qr_svg = await asyncio.to_thread(totp.qr_svg, uri)
        return TotpEnrolment(secret=totp.base32(secret), otpauth_uri=uri, qr_svg=qr_svg)

    async def confirm(self, session: SessionView, code: str, source: Source) -> tuple[str, ...]:
        """Enrol the factor by its first code, which is used up; returns the recovery codes.

        Raises MfaFailed, FactorLocked, FactorExists, or FlowExpired when no enrolment waits.
        """
        presented = Presented(user_id=session.user_id, session_id=session.id, method="totp", code=code)
        async with self._db.transaction() as repos:
            await self._require_pending(repos, session.user_id)
            codes: tuple[str, ...] = ()
            refusal = await self._factor.confirm(repos, presented, source)
            if refusal is None:
                codes = await self._draw_codes(repos, session.user_id)
                await factor_changed(repos, self._audit, _happening(session, Event.FACTOR_ENROLLED), source)
        if refusal is not None:
            raise refusal
        return codes

    async def remove(self, session: SessionView, source: Source) -> None:
        """Take away the factor and its recovery codes; needs a fresh proof. Without one there is nothing to do."""
        async with self._db.transaction() as repos:
            await self._freshness.require(repos, session)
            if await repos.factors.remove_factors(session.user_id):
                await factor_changed(repos, self._audit, _happening(session, Event.FACTOR_REMOVED), source)

    async def renew_codes(self, session: SessionView, source: Source) -> tuple[str, ...]:
        """Draw ten new recovery codes; the old ones end. Needs a fresh proof. Raises NotFound without a factor."""
        async with self._db.transaction() as repos:
            await self._freshness.require(repos, session)
            factors = await repos.factors.find_factors(session.user_id)
            if factors is None or not factors.totp_enabled:
                raise NotFound
            codes = await self._draw_codes(repos, session.user_id)
            await self._audit.record(repos, _happening(session, Event.RECOVERY_CODES_REPLACED), source)
        return codes

    async def _require_pending(self, repos: Repositories, user_id: UUID) -> None:
        """Hold the person's row and refuse unless an enrolment waits: only then is there a code to be guessed."""
        await repos.users.hold_user(user_id)
        factors = await repos.factors.find_factors(user_id)
        if factors is None or not factors.totp_pending:
            raise FactorExists if factors and factors.totp_enabled else FlowExpired

    async def _draw_codes(self, repos: Repositories, user_id: UUID) -> tuple[str, ...]:
        codes = recovery_codes.new_codes()
        await repos.factors.replace_recovery_codes(user_id, [recovery_codes.hash_code(code) for code in codes])
        return tuple(recovery_codes.write(code) for code in codes)


def _happening(session: SessionView, event: Event) -> Happening:
    return Happening(event=event, user_id=session.user_id, session_id=session.id)
