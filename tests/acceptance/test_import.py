"""`cypher import`: who comes from another system logs in with the password and the authenticator of there."""

import asyncio
import base64
import json
import os
import pty
import re
import secrets

import opaque_ke_py as opaque
import pyotp
import pytest

from tests.acceptance.authenticator import prove
from tests.acceptance.person import Person, b64
from tests.acceptance.service import spawn
from tests.factories import as_owner

pytestmark = pytest.mark.slow


class Elsewhere:
    """Another system, with OPAQUE code of its own: people are registered under their names."""

    def __init__(self) -> None:
        self.setup = opaque.server_setup()

    def record(self, name: str, password: bytes, credential_id: bytes | None = None) -> str:
        client = opaque.client_registration_start(password)
        identifier = name.encode() if credential_id is None else credential_id
        answer = opaque.server_registration_start(self.setup, client.get_message(), identifier)
        upload = opaque.client_registration_finish(password, client.get_state(), answer.get_message())
        return b64(upload.get_message())


@pytest.fixture
def elsewhere() -> Elsewhere:
    return Elsewhere()


@pytest.fixture
def imported(service, run_cli, elsewhere, tmp_path):
    """Import lines; returns the exit status, the refusals and what was told."""
    file, setup = tmp_path / "users.ndjson", tmp_path / "setup"
    setup.write_bytes(elsewhere.setup.to_bytes())

    async def run(*lines: object, options: tuple[str, ...] = ()) -> tuple[int, list[dict], str]:
        written = (line if isinstance(line, str) else json.dumps(line) for line in lines)
        file.write_text("".join(f"{line}\n" for line in written))
        done = await run_cli(service, "import", str(file), "--opaque-setup", str(setup), *options)
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr

    return run


async def test_imported_people_log_in_with_their_passwords(person: Person, service, elsewhere, imported) -> None:
    await person.register()  # somebody of here goes on beside them
    identifier, password = b"user-4711 of there", person.password
    lines = [
        {"username": "Ada-Lovelace", "opaque_record": elsewhere.record("Ada-Lovelace", password)},
        {
            "username": "grace",
            "opaque_record": elsewhere.record("grace", password, identifier),
            "credential_id": b64(identifier),
        },
        {"username": "off", "opaque_record": elsewhere.record("off", password), "is_active": False},
        {"username": "nobody-yet"},
    ]
    assert await imported(*lines) == (0, [], "4 people were taken over, 0 were there already.\n")
    for name in ("ada-lovelace", "grace", "alice"):
        answer = await Person(person.http, person.url, name).login()
        assert answer.status == 200, name
        wrong, _ = await Person(person.http, person.url, name, b"another password").start_login()
        assert wrong.status == 200
    assert (await Person(person.http, person.url, "off").login()).body["code"] == "account_disabled"
    unknown = Person(person.http, person.url, "nobody-yet")
    started, state = await unknown.start_login()
    with pytest.raises(ValueError, match=r"."):
        unknown.prove(started, state)

    # A name stands in no row, whatever was the credential identifier. A short one can, by chance.
    rows = as_owner(service.config.postgres, "SELECT string_agg(u::text, '') FROM users u")[0][0]
    for name in ("Ada-Lovelace", "ada-lovelace", identifier.decode()):
        assert name.encode().hex() not in rows
        assert name not in rows
    actions = "SELECT action, actor_type FROM audit_logs WHERE action IN (%s, %s) ORDER BY occurred_at"
    written = as_owner(service.config.postgres, actions, "crypto.opaque_setup.adopted", "admin.users.imported")
    assert written == [("crypto.opaque_setup.adopted", "operator"), ("admin.users.imported", "operator")]


async def test_an_imported_person_changes_the_password_and_is_then_one_of_here(
    person: Person, service, elsewhere, imported, run_cli
) -> None:
    await imported({"username": "ada", "opaque_record": elsewhere.record("ada", person.password)})
    ada = Person(person.http, person.url, "ada")
    access = (await ada.login()).body["access_token"]
    client = opaque.client_registration_start(b"a new password")
    started = await ada.bearing(
        "POST", "/v1/password/start", access, json={"registration_request": b64(client.get_message())}
    )
    assert started.status == 200, started.body
    ada.password = b"a new password"
    finished = await ada.bearing("POST", "/v1/password/finish", access, json=ada.record(started, client.get_state()))
    assert finished.status in (200, 204), finished.body
    assert (await ada.login()).status == 200
    under = as_owner(service.config.postgres, "SELECT opaque_setup_id FROM users")
    keys = json.loads((await run_cli(service, "keys", "status", "--json")).stdout)["items"]
    states = {key["id"]: key["state"] for key in keys if key["purpose"] == "opaque"}
    assert states.pop(under[0][0]) == "active"
    assert [*states.values()] == ["decrypt_only"]


async def test_the_second_factor_comes_along(person: Person, elsewhere, imported) -> None:
    secret = base64.b32encode(secrets.token_bytes(20)).decode()
    record = elsewhere.record("ada", person.password)
    await imported({"username": "ada", "opaque_record": record, "totp_secret": secret.lower()})
    ada = Person(person.http, person.url, "ada")
    done = await prove(ada, await ada.login(), pyotp.TOTP(secret).now())
    assert done.status == 200, done.body


async def test_it_is_run_again_after_an_interruption_and_skips_who_is_there(person, elsewhere, imported) -> None:
    names = [f"person-{number}" for number in range(7)]
    lines = [{"username": name, "opaque_record": elsewhere.record(name, b"x")} for name in names]
    assert (await imported(*lines[:4]))[2].startswith("4 people were taken over, 0 ")
    status, refused, told = await imported(*lines, options=("--dry-run",))
    assert (status, refused, told) == (0, [], "3 people would be taken over, 4 were there already.\n")
    assert (await imported(*lines))[2].startswith("3 people were taken over, 4 ")
    assert (await imported(*lines))[2].startswith("0 people were taken over, 7 ")


@pytest.mark.parametrize("options", [(), ("--dry-run",)])
async def test_what_is_refused_is_told_by_line_and_reason_and_never_by_value(
    person: Person, service, elsewhere, imported, options
) -> None:
    await person.register()
    record = elsewhere.record("ada", b"x")
    lines = [
        "not json",
        {"username": "раypal", "opaque_record": record},
        {"username": "two words", "opaque_record": record},
        {"username": "ada", "opaque_record": record[:-4]},
        {"username": "ada", "opaque_record": b64(bytes(192))},
        {"username": "ada", "opaque_record": "*" * 256},
        {"username": "ada", "opaque_record": record, "totp_secret": "JBSWY3DP"},
        {"username": "ada", "opaque_record": record, "totp_secret": "JBSWY3DPEHPK3PX0"},
        {"username": "ada", "credential_id": "YQ"},
        {"username": "ada", "password": "hunter2"},
        {"username": "alice", "opaque_record": record},
        "",
        {"username": "ada", "opaque_record": record},
        {"username": "ADA", "opaque_record": record},
        {"username": "ada", "opaque_record": elsewhere.record("ada", b"y")},
    ]
    status, refused, told = await imported(*lines, options=options)
    assert status == 1
    assert [(each["line"], each["field"], each["reason"]) for each in refused] == [
        (1, "", "bad_json"),
        (2, "/username", "mixed_scripts"),
        (3, "/username", "characters"),
        (4, "/opaque_record", "length"),
        (5, "/opaque_record", "malformed_opaque_message"),
        (6, "/opaque_record", "not_base64url"),
        (7, "/totp_secret", "length"),
        (8, "/totp_secret", "not_base32"),
        (9, "/opaque_record", "missing"),
        (10, "", "fields"),
        (11, "/username", "username_taken"),
        (14, "/username", "username_taken"),
        (15, "/username", "username_taken"),
    ]
    assert all(set(each) == {"line", "field", "reason"} for each in refused)
    *_, counts, sentence = told.splitlines()
    assert counts.startswith("1 people ")
    assert sentence == "cypher: 13 of 15 lines were refused; standard output says which and why."
    assert as_owner(service.config.postgres, "SELECT count(*) FROM users") == [(1 if options else 2,)]


async def test_on_a_terminal_a_bar_shows_how_far_it_is(service, elsewhere, tmp_path) -> None:
    """It goes by the bytes of the file. What is refused still goes to standard output, which may be a file."""
    file, setup = tmp_path / "users.ndjson", tmp_path / "setup"
    setup.write_bytes(elsewhere.setup.to_bytes())
    record = elsewhere.record("somebody", b"x")
    people = (f'{{"username": "person-{number}", "opaque_record": "{record}"}}\n' for number in range(1200))
    file.write_text("".join(["not json\n", *people]))
    terminal, end = pty.openpty()
    environment = {**service.environment, "TEST_FOLDER": str(tmp_path), "COLUMNS": "100", "TERM": "xterm"}
    process = await spawn(environment, "-m", "cypher", "import", str(file), "--opaque-setup", str(setup), stderr=end)
    os.close(end)
    shown, (refused, _) = await asyncio.gather(asyncio.to_thread(read_to_the_end, terminal), process.communicate())
    assert json.loads(refused) == {"line": 1, "field": "", "reason": "bad_json"}
    counted = [int(number.replace(",", "")) for number in re.findall(r"([\d,]+) people [^\r\n]*/", shown)]
    assert counted == sorted(counted)
    assert counted[-1] == 1200
    size = f"{file.stat().st_size / 1000:.1f}"
    assert f"{size}/{size} kB" in shown
    assert "1,200 people were taken over, 0 were there already." in shown
    assert "bad_json" not in shown


def read_to_the_end(terminal: int) -> str:
    """Take all that is written to a terminal, without colours, until nobody has it open."""
    taken = b""
    try:
        while some := os.read(terminal, 65536):
            taken += some
    except OSError:  # how a terminal says that it was closed
        os.close(terminal)
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", taken.decode())


async def test_a_setup_is_kept_once_and_only_where_it_is_one(service, run_cli, elsewhere, imported, tmp_path) -> None:
    line = {"username": "ada", "opaque_record": elsewhere.record("ada", b"x")}
    await imported(line, options=("--dry-run",))
    ring = service.resources.ring
    ring.reload()
    before = ring.generation
    await imported(line)
    ring.reload()
    assert ring.generation == before + 1
    (tmp_path / "setup").write_text(b64(elsewhere.setup.to_bytes()))
    assert (await imported(line))[2].startswith("0 people were taken over, 1 ")
    ring.reload()
    assert ring.generation == before + 1
    (tmp_path / "setup").write_bytes(b"no setup")
    status, _, told = await imported(line)
    assert (status, told) == (
        1,
        f"cypher: {tmp_path}/setup is no server setup of OPAQUE (128 bytes, or their base64).\n",
    )
    done = await run_cli(service, "import", str(tmp_path / "users.ndjson"))
    assert json.loads(done.stdout) == {"line": 1, "field": "/opaque_record", "reason": "no_setup"}
