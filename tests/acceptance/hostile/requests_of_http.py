"""What may stand on a socket where a request should be, and what it is answered with.

CANARY stands wherever something could be quoted. `{token}` becomes a living access token.
"""

from dataclasses import dataclass

CANARY = "CANARY"
FORM = "grant_type=refresh_token&refresh_token=cyr_CANARY"
LENGTH = f"Content-Length: {len(FORM)}\r\n"
CHUNKED = "Transfer-Encoding: chunked\r\n"
LIVE = "GET /health/live HTTP/1.1\r\nHost: x\r\n"
SESSION = "GET /v1/session HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
TOKEN = "POST /oauth/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
FINISH = "POST /v1/login/finish HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
#: A whole request where only the rest of another should be: it must never be answered.
SMUGGLED = "GET /v1/config HTTP/1.1\r\nHost: CANARY\r\n\r\n"


def chunks(*pieces: str) -> str:
    return "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in pieces) + "0\r\n\r\n"


def trailers(count: int) -> str:
    return "".join(f"X-CANARY-{number}: x\r\n" for number in range(count))


@dataclass(frozen=True, slots=True)
class Case:
    """`closes`: the service must not go on with this connection."""

    what: str
    sent: str
    status: int = 400
    code: str = "bad_request"
    closes: bool = True


def goes_on(what: str, sent: str, status: int, code: str = "") -> Case:
    return Case(what, sent, status, code, closes=False)


START_LINES = [
    Case("no request at all", "CANARY\r\n\r\n"),
    Case("no path", "GET HTTP/1.1\r\nHost: x\r\n\r\n"),
    Case("HTTP/0.9", "GET /health/live\r\n\r\n"),
    Case("HTTP/1.2", "GET /health/live HTTP/1.2\r\nHost: x\r\n\r\n"),
    Case("HTTP/2.0", "GET /health/live HTTP/2.0\r\nHost: x\r\n\r\n"),
    Case("HTTP/2 with prior knowledge", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nCANARY"),
    Case("TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03CANARY\r\n\r\n"),
    Case("http in small letters", "GET /health/live http/1.1\r\nHost: x\r\n\r\n"),
    Case("the method in small letters", "get /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
    Case("a method that nobody knows", "CANARY /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
    Case("a method without end", f"{'A' * 9000} / HTTP/1.1\r\nHost: x\r\n\r\n"),
    Case("a space before it", " GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"),
    goes_on("two spaces in it", "GET  /CANARY HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"),
    Case("a space after it", "GET /CANARY HTTP/1.1 \r\nHost: x\r\n\r\n"),
    Case("a space in the path", "GET /v1/CANARY config HTTP/1.1\r\nHost: x\r\n\r\n"),
    Case("tabs in it", "GET\t/CANARY\tHTTP/1.1\r\nHost: x\r\n\r\n"),
    Case("NUL in the path", "GET /health/live\x00CANARY HTTP/1.1\r\nHost: x\r\n\r\n"),
    Case("lines that end with LF", "GET /health/live HTTP/1.1\nHost: x\nX: CANARY\n\n"),
    Case("lines that end with CR", "GET /health/live HTTP/1.1\rHost: x\rX: CANARY\r\r\n\r\n"),
    Case("a path of 9 KB", f"GET /{'CANARY' * 1500} HTTP/1.1\r\nHost: x\r\n\r\n"),
    goes_on("a path of 8 KB", f"GET /{'CANARY' * 1300} HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"),
    goes_on("empty lines before it", "\r\n\r\n" + LIVE + "\r\n", 200),
    Case("HTTP/1.0, which has no second request", "GET /health/live HTTP/1.0\r\n\r\n", 200, ""),
    Case("a second one all the same", "GET /health/live HTTP/1.0\r\n\r\n" + SMUGGLED),
]
HEADERS = [
    Case("no colon", f"{LIVE}CANARY\r\n\r\n"),
    Case("no name", f"{LIVE}: CANARY\r\n\r\n"),
    Case("a space before the colon", f"{LIVE}X-CANARY : x\r\n\r\n"),
    Case("a tab in the name", f"{LIVE}X\tCANARY: x\r\n\r\n"),
    Case("a name that is not ASCII", f"{LIVE}X-CANARY\xe9: x\r\n\r\n"),
    Case("NUL", f"{LIVE}X: CANARY\x00\r\n\r\n"),
    Case("ESC", f"{LIVE}X: \x1b[31mCANARY\r\n\r\n"),
    Case("DEL", f"{LIVE}X: CANARY\x7f\r\n\r\n"),
    Case("CR alone", f"{LIVE}X: a\rX-CANARY: b\r\n\r\n"),
    Case("LF alone", f"{LIVE}X: a\nX-CANARY: b\r\n\r\n"),
    Case("LF at the end of all", f"{LIVE}X: CANARY\r\n\n"),
    Case("a folded line", f"{LIVE}X: a\r\n CANARY\r\n\r\n"),
    Case("a folded first line", "GET /health/live HTTP/1.1\r\n Host: CANARY\r\n\r\n"),
    Case("a value of 9 KB", f"{LIVE}X: {'CANARY' * 1500}\r\n\r\n"),
    goes_on("a value of 8 KB", f"{LIVE}X: {'CANARY' * 1300}\r\n\r\n", 200),
    Case("a thousand of them", LIVE + "".join(f"X-CANARY-{i}: x\r\n" for i in range(1000)) + "\r\n"),
    goes_on("a hundred of them", LIVE + "".join(f"X-CANARY-{i}: x\r\n" for i in range(100)) + "\r\n", 200),
    goes_on("bytes that are no UTF-8", f"{LIVE}X: CANARY\xff\xfe\r\n\r\n", 200),
]
ONE_OF_EACH = [
    Case("no Host", "GET /health/live HTTP/1.1\r\n\r\n"),
    Case("two Hosts", "GET /health/live HTTP/1.1\r\nHost: x\r\nHost: CANARY\r\n\r\n"),
    Case("one Host twice", "GET /health/live HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n"),
    goes_on("a Host with a path", "GET /health/live HTTP/1.1\r\nHost: x/CANARY\r\n\r\n", 400, "bad_request"),
    goes_on("a Host with a user", "GET /health/live HTTP/1.1\r\nHost: CANARY@x\r\n\r\n", 400, "bad_request"),
    goes_on("a Host of two words", "GET /health/live HTTP/1.1\r\nHost: x CANARY\r\n\r\n", 400, "bad_request"),
    goes_on("a Host that is no UTF-8", "GET /health/live HTTP/1.1\r\nHost: \xffCANARY\r\n\r\n", 400, "bad_request"),
    goes_on("one Authorization twice", SESSION + "Authorization: Bearer {token}\r\n\r\n", 401, "unauthenticated"),
    goes_on("two Authorizations", SESSION + "Authorization: Basic CANARY\r\n\r\n", 401, "unauthenticated"),
    goes_on("two tokens in one", SESSION.replace("{token}", "{token}, Bearer CANARY") + "\r\n", 401, "unauthenticated"),
    goes_on("a token with a space", SESSION.replace("{token}", "{token} CANARY") + "\r\n", 401, "unauthenticated"),
    goes_on("a token that is no UTF-8", SESSION.replace("{token}", "CANARY\xff") + "\r\n", 401, "unauthenticated"),
    goes_on("a token of 8 KB", SESSION.replace("{token}", "CANARY." * 1100) + "\r\n", 401, "unauthenticated"),
    goes_on("another scheme", SESSION.replace("Bearer", "Digest") + "\r\n", 401, "unauthenticated"),
    goes_on("a token and an underscore", SESSION + "Authorization_: CANARY\r\n\r\n", 200),
    Case("two Content-Types", f"{TOKEN}Content-Type: application/CANARY\r\n{LENGTH}\r\n{FORM}"),
    goes_on(
        "two cookies in one line",
        TOKEN + "Origin: x\r\nCookie: __Secure-cypher_refresh=CANARY; __Secure-cypher_refresh=b"
        "\r\nContent-Length: 24\r\n\r\ngrant_type=refresh_token",
        400,
        "invalid_request",
    ),
    goes_on(
        "two lines of cookies",
        TOKEN + "Cookie: __Secure-cypher_refresh=CANARY\r\nCookie: __Secure-cypher_refresh=b\r\n"
        "Content-Length: 24\r\n\r\ngrant_type=refresh_token",
        400,
        "invalid_request",
    ),
    goes_on(
        "a cookie and a token",
        f"{TOKEN}Cookie: __Secure-cypher_refresh=CANARY\r\n{LENGTH}\r\n{FORM}",
        400,
        "invalid_request",
    ),
    goes_on(
        "a cookie without an Origin",
        TOKEN + "Cookie: __Secure-cypher_refresh=CANARY\r\nContent-Length: 24\r\n\r\ngrant_type=refresh_token",
        403,
        "origin_not_allowed",
    ),
    goes_on("cookies that are none", f"{LIVE}Cookie: =CANARY; ;;\xff=\xfe; a\r\n\r\n", 200),
    goes_on("a request id of its own form", f"{LIVE}X-Request-Id: ../../CANARY\r\n\r\n", 200),
    Case(
        "two media types in one",
        f"{FINISH[:-2]}, text/CANARY\r\nContent-Length: 2\r\n\r\n{{}}",
        415,
        "unsupported_media_type",
    ),
]
LENGTHS = [
    Case("two of them", f"{TOKEN}{LENGTH}Content-Length: 0\r\n\r\n{FORM}{SMUGGLED}"),
    Case("one twice", f"{TOKEN}{LENGTH}{LENGTH}\r\n{FORM}{SMUGGLED}"),
    Case("a list", f"{TOKEN}Content-Length: {len(FORM)}, {len(FORM)}\r\n\r\n{FORM}{SMUGGLED}"),
    *(
        Case(f"{value!r}", f"{TOKEN}Content-Length: {value}\r\n\r\n{FORM}{SMUGGLED}")
        for value in ("", "CANARY", "-1", f"+{len(FORM)}", "0x31", "4_9", "4 9", "49.0", "\x0b49", "\xa049", "9" * 30)
    ),
    goes_on("zeros before it", f"{TOKEN}Content-Length: 000{len(FORM)}\r\n\r\n{FORM}", 400, "invalid_grant"),
    Case("more than 64 KiB", f"{TOKEN}Content-Length: 65537\r\n\r\n{FORM}", 413, "invalid_request"),
    Case("of a body that nobody reads", f"{SESSION}Content-Length: {len(SMUGGLED)}\r\n\r\n{SMUGGLED}", 200, ""),
    Case("the same in chunks", f"{SESSION}{CHUNKED}\r\n{chunks(SMUGGLED)}", 200, ""),
    Case(
        "of a body to a route that is not there",
        f"POST /CANARY HTTP/1.1\r\nHost: x\r\n{LENGTH}\r\n{FORM}",
        404,
        "not_found",
    ),
]
CHUNKS = [
    Case("with a length", f"{TOKEN}{LENGTH}{CHUNKED}\r\n0\r\n\r\n{SMUGGLED}"),
    Case("with a length behind", f"{TOKEN}{CHUNKED}Content-Length: 4\r\n\r\n{chunks(FORM)}{SMUGGLED}"),
    Case("in HTTP/1.0", f"{TOKEN.replace('1.1', '1.0')}{CHUNKED}\r\n{chunks(FORM)}{SMUGGLED}"),
    *(
        Case(f"{coding!r}", f"{TOKEN}Transfer-Encoding: {coding}\r\n\r\n{chunks(FORM)}{SMUGGLED}")
        for coding in (
            *(
                "",
                "CANARY",
                "xchunked",
                "chunked, identity",
                "chunked, chunked",
                "identity",
                '"chunked"',
                "\x0bchunked",
            ),
            *("\xa0chunked", "\r\n chunked", "chunked\r\nTransfer-Encoding: identity", "chunked\r\n" + CHUNKED[:-2]),
        )
    ),
    Case("a space before the colon", f"{TOKEN}Transfer-Encoding : chunked\r\n\r\n{chunks(FORM)}{SMUGGLED}"),
    Case("packed", f"{TOKEN}Transfer-Encoding: gzip, chunked\r\n\r\n{chunks(FORM)}{SMUGGLED}", 415, "invalid_request"),
    *(
        Case(f"a size of {size!r}", f"{TOKEN}{CHUNKED}\r\n{size}\r\n{FORM}\r\n0\r\n\r\n{SMUGGLED}")
        for size in ("", "-1", "+31", "0x31", "31 ", " 31", "3_1", "CANARY", "f" * 17, "31;a\nb", "\xb2")
    ),
    Case("LF after the size", f"{TOKEN}{CHUNKED}\r\n{len(FORM):x}\n{FORM}\r\n0\r\n\r\n{SMUGGLED}"),
    Case("LF after the data", f"{TOKEN}{CHUNKED}\r\n{len(FORM):x}\r\n{FORM}\n0\r\n\r\n{SMUGGLED}"),
    Case("more data than size", f"{TOKEN}{CHUNKED}\r\n{len(FORM):x}\r\n{FORM}XX0\r\n\r\n{SMUGGLED}"),
    Case("a length behind them all", f"{TOKEN}{CHUNKED}\r\n{chunks(FORM)[:-2]}Content-Length: 5\r\n\r\n{SMUGGLED}"),
    Case("a thousand trailers", f"{TOKEN}{CHUNKED}\r\n{chunks(FORM)[:-2]}{trailers(1000)}\r\n"),
    goes_on(
        "an Authorization behind them all",
        f"GET /v1/session HTTP/1.1\r\nHost: x\r\n{CHUNKED}\r\n0\r\nAuthorization: Bearer {{token}}\r\n\r\n",
        401,
        "unauthenticated",
    ),
    goes_on("a trailer", f"{TOKEN}{CHUNKED}\r\n{chunks(FORM)[:-2]}X: CANARY\r\n\r\n", 400, "invalid_grant"),
    goes_on("an extension", f"{TOKEN}{CHUNKED}\r\n{len(FORM):x};CANARY=b\r\n{FORM}\r\n0\r\n\r\n", 400, "invalid_grant"),
    goes_on("byte by byte", f"{TOKEN}{CHUNKED}\r\n{chunks(*FORM)}", 400, "invalid_grant"),
    goes_on("in large letters", f"{TOKEN}Transfer-Encoding: CHUNKED\r\n\r\n{chunks(FORM)}", 400, "invalid_grant"),
]


def _get(target: str) -> str:
    return f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"


TARGETS = [
    *(
        goes_on(target, _get(target), 404, "not_found")
        for target in (
            *(
                "//v1/config",
                "/x/../v1/config",
                "/x/%2e%2e/v1/config",
                "/v1%2fconfig",
                "/v1/conf%2569g",
                "/v1/config;x",
            ),
            *(
                "/v1/config%00",
                "/v1/config%0d%0aX:CANARY",
                "/v1/%zzCANARY",
                "/v1/config%",
                "/v1%c0%afconfig",
                "/v1\\config",
            ),
            *("/v1/config/", "/V1/config", "/v1/config%20", "/v1/./config", "/%EF%BC%8Fv1/config"),
        )
    ),
    Case("an authority", _get("CANARY:80")),
    Case("an asterisk", _get("*")),
    Case("a query alone", _get("?CANARY")),
    Case("a bad port", _get("http://x:CANARY/")),
    Case("a port beyond all", _get("http://x:99999999/v1/config")),
    Case("a bad address", _get("http://[CANARY/")),
    goes_on("a fragment", _get("/v1/config#CANARY"), 400, "bad_request"),
    goes_on("an escaped letter", _get("/v1/conf%69g"), 200),
    goes_on("the whole URL", _get("http://CANARY/v1/config"), 200),
    goes_on("a query that nobody asks for", _get("/v1/config?%ff=%00&CANARY&&=&a=b&a=c"), 200),
    goes_on("a method in a header", f"{SESSION}X-HTTP-Method-Override: DELETE\r\n\r\n", 200),
    goes_on("TRACE", "TRACE /v1/config HTTP/1.1\r\nHost: x\r\nX: CANARY\r\n\r\n", 405, "method_not_allowed"),
    Case("CONNECT", f"CONNECT CANARY:443 HTTP/1.1\r\nHost: x\r\n\r\n{SMUGGLED}", 404, "not_found"),
    goes_on("OPTIONS *", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404, "not_found"),
    Case("bytes that are no UTF-8", _get("/CANARY\xff")),
]
WISHES = [
    Case("an expectation that nobody knows", f"{FINISH}Expect: CANARY\r\nContent-Length: 2\r\n\r\n{{}}"),
    Case("one that is no UTF-8", f"{FINISH}Expect: CANARY\xff\r\nContent-Length: 2\r\n\r\n{{}}"),
    Case(
        "WebSocket",
        f"{LIVE}Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: CANARY\r\n\r\n{SMUGGLED}",
        200,
        "",
    ),
    Case(
        "HTTP/2",
        f"{FINISH}Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{{}}{SMUGGLED}",
        422,
        "validation_failed",
    ),
    Case("the end", f"{LIVE}Connection: close\r\n\r\n", 200, ""),
    goes_on(
        "a length for this hop only", f"{TOKEN}Connection: Content-Length\r\n{LENGTH}\r\n{FORM}", 400, "invalid_grant"
    ),
    *(
        Case(f"a body in {coding}", f"{TOKEN}Content-Encoding: {coding}\r\n{LENGTH}\r\n{FORM}", 415, "invalid_request")
        for coding in ("gzip", "deflate", "br", "zstd", "CANARY", "identity, gzip", "\xff")
    ),
]
ALL = {
    f"{kind}: {case.what}": case
    for kind, cases in {
        "start line": START_LINES,
        "header": HEADERS,
        "one of each": ONE_OF_EACH,
        "length": LENGTHS,
        "chunks": CHUNKS,
        "target": TARGETS,
        "wish": WISHES,
    }.items()
    for case in cases
}
