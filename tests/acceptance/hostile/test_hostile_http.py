"""Whatever stands on the socket is answered once, as the contract says, and quoted nowhere."""

from collections.abc import Callable

from tests.acceptance.hostile.requests_of_http import ALL, CANARY, Case
from tests.acceptance.service import Service
from tests.wire import Raw, converse


def _is_problem(answer: Raw) -> bool:
    """Tell whether an answer is an error in one of the two forms of the contract."""
    if answer.headers["content-type"] == "application/problem+json":
        return answer.json()["request_id"] == answer.headers["x-request-id"]
    return "error" in answer.json() and "x-request-id" in answer.headers


def _fault(case: Case, answers: list[Raw]) -> str | None:
    """Return what is wrong with what was answered."""
    if [answer.status for answer in answers] != [case.status]:
        return f"answered with {[answer.status for answer in answers]}, not with {case.status}"
    [answer] = answers
    if answer.closed is not case.closes:
        return "closed" if answer.closed else "not closed"
    if CANARY.encode() in answer.body or CANARY in str(answer.headers):
        return "quoted"
    if case.code and not (_is_problem(answer) and case.code in answer.json().values()):
        return f"not {case.code}, but {answer.body!r}"
    return None


async def test_each_of_them_gets_one_answer(
    service: Service, access_token: str, logged: Callable[[], list[str]]
) -> None:
    faults = {}
    for name, case in ALL.items():
        sent = case.sent.replace("{token}", access_token).encode("latin-1")
        try:
            answers = await converse(service.server.port, sent)
        except TimeoutError:
            faults[name] = "left without an answer"
            continue
        if fault := _fault(case, answers):
            faults[name] = fault
    assert faults == {}
    assert [line for line in logged() if CANARY in line or access_token in line] == []
    assert [line for line in logged() if "unexpected" in line] == []
