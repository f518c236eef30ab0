"""Checkpoints arrive where the setting says, whole and in order, and are tried again where they do not."""

import asyncio
import logging
import time
from pathlib import Path

import pytest
from aiohttp import web

from cypher.checkpoint_sinks import FileSink, StdoutSink, WebhookSink, sink_of
from cypher.config.audit import Webhook
from cypher.crypto.sealing import NOTHING, Statement
from cypher.errors import OperatorError
from cypher.maintenance.checkpoints import Checkpoint, Checkpoints, read_checkpoints
from tests.factories import CLOCK


def statement(number: int) -> Statement:
    now = CLOCK.now()
    return Statement(seal_no=number, through_xid=number, count=1, root=b"r" * 32, previous=NOTHING, sealed_at=now)


class FlakySink:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.refuses = False

    async def publish(self, line: bytes) -> None:
        if self.refuses:
            raise OperatorError("the disk is full")
        self.lines.append(line)


async def test_each_new_end_is_published_once(ring) -> None:
    sink = FlakySink()
    checkpoints = Checkpoints(ring, CLOCK, sink)
    await checkpoints.publish(None)
    for number in (1, 1, 2):
        await checkpoints.publish(statement(number))
    assert [each.seal_no for each in read_checkpoints(sink.lines)] == [1, 2]


async def test_what_could_not_be_published_is_said_once_and_made_up_for(ring, caplog) -> None:
    sink = FlakySink()
    sink.refuses = True
    checkpoints = Checkpoints(ring, CLOCK, sink)
    with caplog.at_level(logging.ERROR, logger="cypher.audit"):
        for _ in range(3):
            await checkpoints.publish(statement(4))
    assert [record.getMessage() for record in caplog.records] == [
        "the audit trail goes on without new checkpoints: the disk is full"
    ]
    sink.refuses = False
    await checkpoints.publish(statement(4))
    assert [each.seal_no for each in read_checkpoints(sink.lines)] == [4]


async def test_a_file_is_appended_to_after_whatever_a_crash_has_left(ring, tmp_path: Path) -> None:
    file = tmp_path / "new" / "checkpoints.jsonl"
    for number in (1, 2):
        await Checkpoints(ring, CLOCK, FileSink(file)).publish(statement(number))
        with file.open("ab") as torn:
            torn.write(b'{"store_id":"019')
    await Checkpoints(ring, CLOCK, FileSink(file)).publish(statement(3))
    with file.open("rb") as lines:
        assert [each.seal_no for each in read_checkpoints(lines)] == [1, 2, 3]
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"{}\n", b'{"digest":"?"}\n'])
def test_a_file_without_a_checkpoint_is_refused(content: bytes) -> None:
    with pytest.raises(OperatorError, match="no checkpoint"):
        list(read_checkpoints([content]))


async def test_standard_output_has_a_line_for_each(ring, capsysbinary) -> None:
    await Checkpoints(ring, CLOCK, StdoutSink()).publish(statement(5))
    (line,) = capsysbinary.readouterr().out.splitlines()
    assert [each.seal_no for each in read_checkpoints([line])] == [5]


@pytest.fixture
async def webhook():
    """An address that keeps what is posted to it, and answers what it is told to."""
    received: list[bytes] = []
    answers = {"status": 204}

    async def receive(request: web.Request) -> web.Response:
        received.append(await request.read())
        location = {"Location": "/elsewhere"} if answers["status"] == 302 else None
        return web.Response(status=answers["status"], headers=location)

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"http://127.0.0.1:{port}/hook?token=secret", received, answers
    await runner.cleanup()


async def test_a_webhook_is_posted_to_and_not_followed_elsewhere(ring, webhook) -> None:
    url, received, answers = webhook
    sink = WebhookSink(Webhook(url))
    await Checkpoints(ring, CLOCK, sink).publish(statement(6))
    assert [each.seal_no for each in read_checkpoints(received)] == [6]
    for status in (302, 404, 500):
        answers["status"] = status
        with pytest.raises(OperatorError, match=f"answers {status}") as refused:
            await sink.publish(b"{}\n")
        assert "secret" not in str(refused.value)
    assert len(received) == 4


async def test_a_webhook_that_is_away_is_said_without_its_address() -> None:
    with pytest.raises(OperatorError, match="does not answer") as refused:
        await WebhookSink(Webhook("http://127.0.0.1:1/hook?token=secret")).publish(b"{}\n")
    assert "secret" not in str(refused.value)


def test_each_setting_has_its_sink(tmp_path: Path) -> None:
    assert sink_of(None) is None
    assert isinstance(sink_of(tmp_path / "file"), FileSink)
    assert isinstance(sink_of("stdout"), StdoutSink)
    assert isinstance(sink_of(Webhook("https://example.com/")), WebhookSink)


async def test_writing_to_a_slow_disk_does_not_hold_up_the_loop(ring, tmp_path: Path, monkeypatch) -> None:
    sink = FileSink(tmp_path / "file")
    monkeypatch.setattr("os.fsync", lambda _: time.sleep(0.3))
    publishing = asyncio.create_task(Checkpoints(ring, CLOCK, sink).publish(statement(1)))
    began = asyncio.get_running_loop().time()
    await asyncio.sleep(0.01)
    assert asyncio.get_running_loop().time() - began < 0.2
    await publishing


def test_a_checkpoint_covers_all_that_it_says() -> None:
    fields = set(Checkpoint.__struct_fields__) - {"signing_key_id", "signature", "version"}
    assert fields == {"store_id", "seal_no", "digest", "made_at"}
