"""Whether an access token may still be used, in one question: the seed's `is_token_blacklisted`."""

from cypher.auth.tokens import Tokens


class TokenBlacklist:
    """Answers from the session's cached document, which carries its ended tokens; PostgreSQL keeps them."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def is_token_blacklisted(self, token: str) -> bool:
        """Tell whether a token must be refused: forged, expired, ended, or its session is over."""
        return await self._tokens.introspect(token) is None
