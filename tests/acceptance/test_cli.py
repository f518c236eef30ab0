"""What an operator types."""

import json
from types import SimpleNamespace

from tests.acceptance.person import Person
from tests.acceptance.service import environment_of


async def test_keys_rotate_and_old_rows_go_on_opening(service, person: Person, run_cli) -> None:
    await person.register()
    before = json.loads((await run_cli(service, "keys", "status", "--json")).stdout)["items"]
    rotated = await run_cli(service, "keys", "rotate")
    assert rotated.returncode == 0, rotated.stderr
    after = json.loads((await run_cli(service, "keys", "status", "--json")).stdout)["items"]
    data = {item["id"]: item["state"] for item in after if item["purpose"] == "data"}
    assert sorted(data.values()) == ["active", "decrypt_only"]
    assert len(after) == len(before) + 1
    # The running service meets the new key by its id, and the old row by the old one.
    other = Person(person.http, person.url, "bob")
    assert (await other.register()).status == 201
    assert (await person.login()).status == 200
    assert (await other.login()).status == 200
    assert "crypto.key.rotated" in await service.audited_actions()


async def test_keys_of_every_purpose_are_shown_and_never_what_they_are_made_of(service, run_cli) -> None:
    shown = await run_cli(service, "keys", "status")
    for purpose in ("data", "index", "cache", "audit_data", "audit_mac", "audit", "signing", "opaque", "fake"):
        assert purpose in shown.stdout
    assert service.setup().hex()[:16] not in shown.stdout


async def test_keys_that_cannot_be_rotated_by_hand_say_so(service, run_cli) -> None:
    refused = await run_cli(service, "keys", "rotate", "--purpose", "fake")
    assert refused.returncode == 1
    assert refused.stderr.startswith("cypher: ")


async def test_a_service_token_is_made_listed_used_and_revoked(service, person: Person, run_cli) -> None:
    made = await run_cli(service, "tokens", "create", "--scope", "introspect", "--name", "backend", "--json")
    token = json.loads(made.stdout)
    headers = {"Authorization": f"Bearer {token['token']}"}
    used = await person.ask("POST", "/oauth/introspect", data={"token": "x"}, headers=headers)
    assert used.body == {"active": False}
    listed = json.loads((await run_cli(service, "tokens", "list", "--json")).stdout)["items"]
    assert [(item["id"], item["name"], item["scopes"]) for item in listed] == [(token["id"], "backend", ["introspect"])]
    assert token["token"] not in json.dumps(listed)
    assert (await run_cli(service, "tokens", "revoke", token["id"])).returncode == 0
    again = await person.ask("POST", "/oauth/introspect", data={"token": "x"}, headers=headers)
    assert again.status == 401
    twice = await run_cli(service, "tokens", "revoke", token["id"])
    assert twice.returncode == 1


async def test_an_unknown_scope_is_refused(service, run_cli) -> None:
    refused = await run_cli(service, "tokens", "create", "--scope", "everything")
    assert refused.returncode == 1
    assert "introspect" in refused.stderr


async def test_a_token_of_every_scope_is_made_under_a_name_of_one_line(service, run_cli) -> None:
    scopes = ("introspect", "viewer", "operator", "auditor", "key_custodian")
    options = [word for scope in scopes for word in ("--scope", scope)]
    for name in ("", "two\nlines", "x" * 101, "\x1b[31mred"):
        refused = await run_cli(service, "tokens", "create", *options, "--name", name)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == "cypher: A token's name is one line of 1 to 100 characters.\n"
    made = await run_cli(service, "tokens", "create", *options, "--name", "Ada's", "--days", "30", "--json")
    assert made.returncode == 0, made.stderr
    [listed] = json.loads((await run_cli(service, "tokens", "list", "--json")).stdout)["items"]
    assert (listed["name"], sorted(listed["scopes"])) == ("Ada's", sorted(scopes))
    assert listed["expires_at"] > listed["created_at"]
    assert listed["last_used_at"] is None


async def test_bad_settings_are_all_listed_at_once_and_no_secret_is_shown(service, run_cli) -> None:
    service.environment |= {"PORT": "many", "POSTGRES_PORT": "-1", "MASTER_ENCRYPTION_PASSWORD": "too-short-canary"}
    refused = await run_cli(service, "serve")
    assert refused.returncode == 1
    for name in ("PORT", "POSTGRES_PORT", "MASTER_ENCRYPTION_PASSWORD"):
        assert name in refused.stderr
    assert "too-short-canary" not in refused.stderr + refused.stdout


async def test_the_demo_shows_both_sides(service, run_cli) -> None:
    shown = await run_cli(service, "demo", "--url", service.url)
    assert shown.returncode == 0, shown.stderr
    assert "users" in shown.stdout


async def test_an_address_that_is_none_or_where_nobody_answers_is_said_in_one_sentence(service, run_cli) -> None:
    for url in ("nonsense", "http://127.0.0.1:9"):
        refused = await run_cli(service, "demo", "--url", url)
        assert refused.returncode == 1
        assert refused.stderr.startswith("cypher: ")
        assert len(refused.stderr.strip().splitlines()) == 1


async def test_a_schema_of_ones_own_is_never_migrated_unasked_beside_an_embedded_valkey(
    empty_postgres_config, redis_config, tmp_path, run_cli
) -> None:
    environment = environment_of(empty_postgres_config, redis_config, tmp_path / "keys")
    del environment["REDIS_URL"]
    own = SimpleNamespace(environment=environment | {"EMBEDDED_PATH": str(tmp_path / "embedded")})
    refused = await run_cli(own, "serve")
    assert refused.returncode == 1
    assert "cypher migrate" in refused.stderr
