"""A run of schemathesis over every route: whatever is sent, the answer is one that `/openapi.json` declares."""

import asyncio
import logging
import os
import sys
from pathlib import Path

import pytest

from tests.acceptance.service import ROOT, StartService

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)


async def fuzz(url: str, token: str, folder: Path) -> None:
    """Send every route of a listener what may and what must not be sent to it; raise AssertionError with the report."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json"),
        *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--max-examples", "50"),
        *("--generation-deterministic", "--no-color", "--continue-on-failure"),
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.acceptance.fuzzing",
            "CYPHER_URL": url,
            "CYPHER_SERVICE_TOKEN": token,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    report, _ = await process.communicate()
    print(report.decode())
    assert process.returncode == 0, report.decode()


@pytest.mark.slow
async def test_no_request_meets_an_answer_that_is_not_declared(
    start_service: StartService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    service = await start_service()
    _, token = await service.services.service_tokens.create("schemathesis", frozenset({"introspect"}), None)
    await fuzz(service.url, token, tmp_path)
    assert [record.getMessage() for record in caplog.records] == []
