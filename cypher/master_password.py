"""Which master passwords are good enough. A problem is the rule that is broken, never the value."""

import re
from collections.abc import Iterator

LENGTH = 32
#: What documents show for it. Long enough to pass by length, known to everybody.
EXAMPLES = frozenset({"your_super_secure_master_password"})
#: Hexadecimal, base64 or base64url. 32 random digits of the first have 128 bits.
GENERATED = re.compile(r"[A-Za-z0-9+/_-]{32,}={0,2}")
#: Base64 never has fewer, 32 digits of hexadecimal once in 60 times; repeated words and runs of keys mostly have.
FEWEST_DIFFERENT = 12


def problems_of(password: str, *, beside_the_data: bool) -> Iterator[str]:
    """Yield what is wrong with it, each to follow the name of a setting.

    `beside_the_data`: every dump of the database holds the keys that it wraps.
    """
    if len(password) < LENGTH:
        yield f"must have {LENGTH} characters or more"
    if password.strip().casefold() in EXAMPLES:
        yield "is the example from the documentation: draw your own"
    elif beside_the_data and not looks_generated(password):
        yield (
            "must be drawn at random when KEY_STORE is postgres, because every dump of the "
            "database then holds the keys it wraps: openssl rand -base64 32"
        )


def looks_generated(password: str) -> bool:
    """Tell whether a password looks drawn at random, as `openssl rand` draws: 128 bits or more."""
    return bool(GENERATED.fullmatch(password)) and len(set(password)) >= FEWEST_DIFFERENT
