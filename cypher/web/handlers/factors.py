"""A person's second factor: TOTP and recovery codes."""

from http import HTTPStatus

from aiohttp import web

from cypher.errors import FactorExists, FactorLocked, FlowExpired, MfaFailed, NotFound
from cypher.web.answers import answer, no_content
from cypher.web.body import read
from cypher.web.endpoint import endpoint
from cypher.web.keys import SERVICES
from cypher.web.schema import FactorList, RecoveryCodes, RecoveryCodesState, TotpConfirm, TotpEnrolment, TotpState
from cypher.web.source import bearer_of, source_of


@endpoint(answers={200: FactorList})
async def show(request: web.Request) -> web.Response:
    """GET /v1/factors: what is enrolled."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    found = await services.factors.show(validated.session)
    return answer(
        FactorList(
            totp=TotpState(enabled=found.totp_enabled),
            recovery_codes=RecoveryCodesState(remaining=found.recovery_codes),
        )
    )


@endpoint(answers={201: TotpEnrolment}, raises=(FactorExists,))
async def enrol_totp(request: web.Request) -> web.Response:
    """POST /v1/factors/totp: draw a secret, shown once; it counts when a code has confirmed it."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    made = await services.factors.enrol(validated.session, source_of(request))
    enrolment = TotpEnrolment(secret=made.secret, otpauth_uri=made.otpauth_uri, qr_svg=made.qr_svg)
    return answer(enrolment, status=HTTPStatus.CREATED)


@endpoint(reads=TotpConfirm, answers={200: RecoveryCodes}, raises=(MfaFailed, FactorLocked, FactorExists, FlowExpired))
async def confirm_totp(request: web.Request) -> web.Response:
    """POST /v1/factors/totp/confirm: prove the secret and get ten recovery codes, shown once."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    body = await read(request, TotpConfirm)
    codes = await services.factors.confirm(validated.session, body.code, source_of(request))
    return answer(RecoveryCodes(recovery_codes=codes))


@endpoint(answers={204: None})
async def remove_totp(request: web.Request) -> web.Response:
    """DELETE /v1/factors/totp: take the factor and its recovery codes away."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    await services.factors.remove(validated.session, source_of(request))
    return no_content()


@endpoint(answers={201: RecoveryCodes}, raises=(NotFound,))
async def renew_recovery_codes(request: web.Request) -> web.Response:
    """POST /v1/recovery-codes: draw ten new ones; the old ones end."""
    services = request.app[SERVICES]
    validated = await services.sessions.validate(bearer_of(request))
    codes = await services.factors.renew_codes(validated.session, source_of(request))
    return answer(RecoveryCodes(recovery_codes=codes), status=HTTPStatus.CREATED)
