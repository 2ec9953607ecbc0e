"""The create call to the meeting's server: its parameters, its body, its deadline.

failover.py decides which server is called, and what follows from the answer.
"""

from __future__ import annotations

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.params import Params, replace_param
from appliance.bbb.request_body import RequestBody
from appliance.bbb.xml import ServerAnswer, parse_tree
from appliance.callbacks.end_callback_url import relay_end_callback
from appliance.callbacks.ended_rules import EndUrlSigner
from appliance.faults import BbbError, StoreDown
from appliance.meetings.create_params import fit_request_line, password_to_send, server_params
from appliance.meetings.deps import MeetingDeps
from appliance.meetings.placement import PlacementRequest
from appliance.meetings.store import NewRun
from appliance.model import Meeting, Target
from appliance.tenants.lrs_rules import PAYLOAD_PARAM


class CreateCall:
    """Sends one create to a server, and to further ones if it fails over."""

    def __init__(
        self,
        deps: MeetingDeps,
        request: PlacementRequest,
        params: Params,
        body: RequestBody | None,
        lrs: str | None,
    ) -> None:
        """Send `params` and `body`; `lrs` is encrypted for each server."""
        self._deps = deps
        self._meeting_id = request.meeting_id
        self._moderator_pw = request.moderator_pw
        self._none_given = request.own_passwords
        self._logout_url = request.logout_url
        self.params = params
        """Those that do not depend on the record of the meeting."""
        self._body = body
        self._lrs = lrs
        self.body_spent = False
        """Part of a streamed body was sent, so it cannot be sent to another server."""

    async def send(self, meeting: Meeting, signer: EndUrlSigner) -> ServerAnswer:
        """Call the server of `meeting` and return its answer.

        Raises NotSent, Ambiguous, ServerFault, and exceptions of the body.
        """
        params = server_params(
            self.params,
            meeting,
            asked_for=self._meeting_id,
            moderator_pw=self._password(meeting),
            ended_url=signer.url_for(meeting.id, meeting.server_id),
        )
        if meeting.tenant_id and meeting.id != self._meeting_id:
            params = relay_end_callback(
                params, signer, meeting_id=self._meeting_id, tenant_id=meeting.tenant_id
            )
        if self._lrs is not None and self._deps.tenants.lrs is not None:
            # Encrypted with the server's secret, so it is different for each server.
            payload = await self._deps.tenants.lrs.seal(self._lrs, target_of(meeting).secret)
            params = replace_param(params, PAYLOAD_PARAM, payload)
        if self._body is not None:
            params = fit_request_line(params, target_of(meeting).url)
        if meeting.confirmed or self._body is None:
            return await self._call(meeting, params)
        return await self._call_kept_alive(meeting, params)

    def new_run(self, meeting: Meeting, answer: ServerAnswer) -> NewRun:
        """Return what this create changes in `meeting`, the record of another one."""
        password = self._password(meeting)
        if password is None:  # the server chose one
            password = (parse_tree(answer.body).findtext("moderatorPW") or "").strip()
        return NewRun(
            password,
            own_passwords=self._none_given and meeting.own_passwords,
            logout_url=self._logout_url,
        )

    def _password(self, meeting: Meeting) -> str | None:
        return password_to_send(meeting, self._moderator_pw, none_given=self._none_given)

    async def _call(self, meeting: Meeting, params: Params) -> ServerAnswer:
        servers = self._deps.settings.servers
        # Writing a long form takes time too; the call must end before `creating` expires.
        limit_s = servers.connect_timeout_s + servers.response_timeout_s
        streamed = self._body is not None and not self._body.replayable
        try:
            answer = await self._deps.pool.bbb.call(
                target_of(meeting),
                "create",
                params,
                body=self._body,
                deadline_s=limit_s if self._body is None else None,
            )
        except BbbError as error:
            self.body_spent = streamed and error.body_started
            raise
        self.body_spent = streamed
        return answer

    async def _call_kept_alive(self, meeting: Meeting, params: Params) -> ServerAnswer:
        """Call the server, and extend the `creating` deadline while a body is uploaded."""
        result: ServerAnswer | Exception
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._extend, meeting)
            try:
                result = await self._call(meeting, params)
            except Exception as error:  # the nursery would wrap it in an exception group
                result = error
            nursery.cancel_scope.cancel()
        if isinstance(result, Exception):
            raise result
        return result

    async def _extend(self, meeting: Meeting) -> None:
        limit_ms = self._deps.settings.meetings.creating_limit_ms
        pause_ms = limit_ms // 3
        while True:
            await trio.sleep(pause_ms / 1000)
            # The upload may end just before the next round; the server then needs `limit_ms`.
            until_ms = self._deps.now_ms() + pause_ms + limit_ms
            try:
                await self._deps.store.extend_creating(meeting, until_ms=until_ms)
            except StoreDown:
                continue  # retried in the next round; the create itself reports an outage


def target_of(meeting: Meeting) -> Target:
    """Return the server of a placed meeting. Raises ApiError: it was removed."""
    if meeting.server is None:  # the store deletes records whose server was removed
        raise ApiError(errors.UNABLE_TO_CREATE)
    return meeting.server
