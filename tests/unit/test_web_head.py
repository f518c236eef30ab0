import pytest
from aiohttp import HttpVersion
from aiohttp.test_utils import make_mocked_request

from cypher.errors import BadRequest
from cypher.web.head import require_sound_head


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "127.0.0.1:8080",
        "[::1]",
        "[2001:db8::1]:8080",
        "cypher_web:8080",
        "xn--zo-fka.example.",
        "x:",
        "",
    ],
)
def test_a_host_is_taken(host: str):
    require_sound_head(make_mocked_request("GET", "/", headers={"Host": host}))


@pytest.mark.parametrize(
    "host",
    ["a b", "a/b", "user@host", "a:b:1", "a:x", "[::1", "::1", "a,b:1 ", "a\\b", "a#b", "a?b", "ö", "a:٣"],
)
def test_what_is_no_host_is_refused(host: str):
    with pytest.raises(BadRequest):
        require_sound_head(make_mocked_request("GET", "/", headers={"Host": host}))


@pytest.mark.parametrize("version", [(0, 9), (1, 2), (2, 0), (3, 0)])
def test_other_versions_are_refused(version: tuple[int, int]):
    with pytest.raises(BadRequest):
        require_sound_head(make_mocked_request("GET", "/", version=HttpVersion(*version)))


@pytest.mark.parametrize("target", ["/v1/config#", "/v1/config#/../session", "/?a#b"])
def test_a_fragment_is_refused(target: str):
    with pytest.raises(BadRequest):
        require_sound_head(make_mocked_request("GET", target))


def test_http_1_0_needs_no_host():
    require_sound_head(make_mocked_request("GET", "/", version=HttpVersion(1, 0)))
