"""What a person does with the account: another password, another name, export, deletion, recovery."""

from cypher.client import answers, opaque, requests
from cypher.client.account_answers import Account, AccountExport
from cypher.client.calls import REPEAT_SECONDS, Calls
from cypher.client.transport import Call


class AccountCalls(Calls):
    """The part of CypherClient that is about the account."""

    async def account(self) -> Account:
        """Ask for the account. Raises as `session`."""
        return await self._fetch(Call(method="GET", path="/v1/account", repeat_seconds=REPEAT_SECONDS), Account)

    async def rename(self, username: str) -> Account:
        """Give the account another name. Raises UsernameTaken, ValidationFailed, ReauthenticationRequired, and as
        `session`."""
        call = Call(method="PATCH", path="/v1/account", body=requests.Username(username))
        return await self._fetch(call, Account)

    async def change_password(self, new_password: str, *, revoke_others: bool = True) -> None:
        """Set another password; this session goes on, the others end unless they are to go on.

        Raises ReauthenticationRequired, FlowExpired, WrongServer, and as `session`. After Unreachable or Unavailable
        either password may be the right one: log in to find out.
        """
        attempt = opaque.start_registration(new_password)
        start = requests.PasswordStart(attempt.message)
        call = Call(method="POST", path="/v1/password/start", body=start)
        started = await self._fetch(call, answers.RegistrationStarted)
        record = await opaque.finish_registration(attempt, started.registration_response, self._server_public_key)
        finish = requests.PasswordFinish(started.flow_id, record, revoke_others)
        await self._send(Call(method="POST", path="/v1/password/finish", body=finish))

    async def export_account(self) -> AccountExport:
        """Ask for all that the service keeps of the person. Raises as `session`."""
        return await self._fetch(Call(method="GET", path="/v1/account/export"), AccountExport)

    async def delete_account(self) -> None:
        """Delete the account and forget the tokens. Raises ReauthenticationRequired, and as `session`."""
        await self._send(Call(method="DELETE", path="/v1/account"))
        await self._box.settle()
        self._box.clear()

    async def request_recovery(self, username: str) -> None:
        """Ask for a recovery token, which comes by another way; nothing tells whether the name exists.

        Raises RateLimited, ValidationFailed.
        """
        call = Call(method="POST", path="/v1/recovery/request", body=requests.Username(username))
        await self._transport.send(call)

    async def recover(self, username: str, recovery_token: str, new_password: str) -> None:
        """Set a password by a recovery token; every session ends. Log in with it afterwards, and with the factor.

        Raises FlowExpired for whatever is wrong with name or token, ValidationFailed, RateLimited, WrongServer.
        """
        attempt = opaque.start_registration(new_password)
        start = requests.RecoveryStart(username, recovery_token, attempt.message)
        call = Call(method="POST", path="/v1/recovery/start", body=start)
        started = await self._transport.fetch(call, answers.RegistrationStarted)
        record = await opaque.finish_registration(attempt, started.registration_response, self._server_public_key)
        finish = requests.RegistrationFinish(started.flow_id, record)
        await self._transport.send(Call(method="POST", path="/v1/recovery/finish", body=finish))
