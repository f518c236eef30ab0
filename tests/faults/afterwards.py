"""What is asked of the service when a fault is over: whatever was acknowledged holds, and nothing works twice."""

import random
from functools import partial

from tests.faults.books import Books, Invariant, Login
from tests.faults.second_factor import Guarded
from tests.faults.traffic import Traffic, insist, is_no_answer

#: Of those who registered; that the others are there is looked up.
LOGINS = 4


async def ask_afterwards(traffic: Traffic, guarded: Guarded) -> None:
    """Ask; what does not hold is in the books."""
    books = traffic.books
    for login in [*books.living, *books.ended]:
        await _require_used(books, login)
    await guarded.require_once()
    for login in books.ended:
        await traffic.require_ended(login)
    for login in list(books.living):
        await insist(partial(traffic.look, login))
        await traffic.refresh(login)
    people = [person for person in books.registered.values() if person is not guarded.person]
    for person in random.Random(7).sample(people, min(LOGINS, len(people))):
        await traffic.log_in_at_last(person)


async def _require_used(books: Books, login: Login) -> None:
    """Prove once more what a session was made with."""
    again = await insist(partial(login.person.post, "/v1/login/finish", login.proof))
    if again.status != 410 and not is_no_answer(again):
        books.breaks(Invariant.ONCE, f"a proof that was used is answered {again.status}")
