"""docs/recovery.md promises that its lines open what the trail says of a person: run here as they stand on the page."""

import json
import re
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag

from tests.conftest import MASTER_PASSWORD
from tests.factories import insert_person

PAGE = Path(__file__).parents[3] / "docs" / "recovery.md"


async def test_the_pages_lines_open_what_the_trail_says_of_a_person(trail, tmp_path: Path) -> None:
    person = await insert_person(trail.db)
    await trail.write(1, user_id=person.id, username=person.username)
    lines: dict[str, object] = {}
    exec(re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL).group(1), lines)
    open_field = lines["open_field"]
    store = json.loads((tmp_path / "keys" / "keyring.json").read_text())
    ((secret, secret_key_id, user_id),) = trail.rows("SELECT secret, secret_key_id, user_id::text FROM audit_subjects")
    ((details, key_id, entry_id),) = trail.rows("SELECT details, details_key_id, id::text FROM audit_logs")
    further = open_field(store, MASTER_PASSWORD, secret, secret_key_id, "audit_subjects", "secret", UUID(user_id).bytes)
    where = (store, MASTER_PASSWORD, details, key_id, "audit_logs", "details", UUID(entry_id).bytes)
    assert json.loads(open_field(*where, further))["username"] == person.username
    with pytest.raises(InvalidTag):
        open_field(*where)
