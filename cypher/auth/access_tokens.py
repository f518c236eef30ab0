"""Access tokens: JWTs in the form of RFC 9068, signed with Ed25519 by the key ring.

A good signature says who a token was made for, never that its session lives: `sessions` asks that.
"""

from collections import OrderedDict
from datetime import timedelta
from uuid import UUID

import jwt
import msgspec

from cypher.auth.types import AccessClaims, Jwk
from cypher.clock import Clock, new_id
from cypher.crypto import base64url
from cypher.crypto.keyring import KeyRing, Purpose
from cypher.crypto.signing import private_key, public_bytes
from cypher.errors import AccessTokenEnded, Unauthenticated

TYPE = "at+jwt"
ALGORITHM = "EdDSA"
#: Tokens whose signature is remembered: about 1 KiB each.
REMEMBERED = 16_384
#: Ours have about 600 characters; what is far longer is not looked at.
LONGEST = 2048

_jws = jwt.PyJWS()
_encode = msgspec.json.Encoder().encode


class Claims(AccessClaims, frozen=True, kw_only=True):
    """All claims of a token, those for other services as well."""

    iss: str
    aud: str
    client_id: str


class AccessTokens:
    """Makes and checks access tokens; remembers a good signature for as long as its token lives."""

    def __init__(self, ring: KeyRing, clock: Clock, *, issuer: str, audience: str, lifetime: timedelta) -> None:
        self._ring = ring
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self.lifetime = lifetime
        self._remembered: OrderedDict[str, AccessClaims] = OrderedDict()

    @property
    def expires_in(self) -> int:
        """The lifetime of a new token in whole seconds."""
        return int(self.lifetime.total_seconds())

    async def issue(self, *, user_id: UUID, session_id: UUID, aal: int, amr: tuple[str, ...]) -> str:
        """Sign a new token for a session."""
        key = await self._ring.confirmed(Purpose.SIGNING)
        issued_at = int(self._clock.now().timestamp())
        claims = Claims(
            iss=self._issuer,
            aud=self._audience,
            client_id=self._audience,
            sub=user_id,
            sid=session_id,
            jti=str(new_id(self._clock)),
            iat=issued_at,
            exp=issued_at + self.expires_in,
            aal=aal,
            amr=amr,
        )
        headers = {"kid": key.id, "typ": TYPE}
        return _jws.encode(_encode(claims), private_key(key), algorithm=ALGORITHM, headers=headers)

    def verify(self, token: str) -> AccessClaims:
        """Return the claims of a token that this key ring signed and that has not expired.

        Raises Unauthenticated otherwise, AccessTokenEnded for one of ours that has expired. Goes by `kid` and
        signature; `iss` and `aud` are for other services.
        """
        claims = self._remembered.get(token)
        if claims is None:
            claims = self._check(token)
            self._remembered[token] = claims
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        if claims.exp <= self._clock.now().timestamp():
            self._remembered.pop(token, None)
            raise AccessTokenEnded
        return claims

    def public_keys(self) -> list[Jwk]:
        """Return the keys that a token may be signed with (RFC 7517)."""
        return [Jwk(kid=key.id, x=base64url.encode(public_bytes(key))) for key in self._ring.live(Purpose.SIGNING)]

    def _check(self, token: str) -> AccessClaims:
        if len(token) > LONGEST:
            raise Unauthenticated
        try:
            header = jwt.get_unverified_header(token)
            # Every key stands in the JWKS for an hour before it signs: an unknown one is a stranger's.
            key = self._ring.find(str(header.get("kid", "")))
            if header.get("typ") != TYPE or key is None or key.purpose is not Purpose.SIGNING:
                raise Unauthenticated
            # The times are compared with the clock that was handed in; PyJWT would take the machine's.
            payload = jwt.decode(
                token,
                private_key(key).public_key(),
                algorithms=[ALGORITHM],
                options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
            )
            return msgspec.convert(payload, AccessClaims)
        except (jwt.PyJWTError, msgspec.ValidationError, UnicodeError) as exc:
            raise Unauthenticated from exc
