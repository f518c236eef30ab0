"""Where a request comes from: what a session remembers and the audit trail seals."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The sender of one request, as the web layer saw it."""

    address: str  #: IPv4 or IPv6 in canonical form
    user_agent: str  #: as sent, cut to 512 characters
    request_id: str
