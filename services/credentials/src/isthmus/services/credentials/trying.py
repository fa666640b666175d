"""Tries a configuration step by step, for a person who wants to know what is wrong with it."""

from collections.abc import AsyncIterator
from datetime import timedelta

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.kit import Clock
from isthmus.resilience.faults import Fault
from isthmus.services.credentials.domain import AuthConfig, TokenRow
from isthmus.services.credentials.grants import Grants
from isthmus.services.credentials.refreshing import Tokens

_Step = connector.CheckStep
_SOON = timedelta(days=30)


class Trying:
    """Goes through a configuration.

    Args:
        grants: Knows where secrets are.
        tokens: Gets access tokens.
        clock: The time.
    """

    def __init__(self, grants: Grants, tokens: Tokens, *, clock: Clock) -> None:
        self._grants = grants
        self._tokens = tokens
        self._clock = clock

    async def steps(self, config: AuthConfig, row: TokenRow | None) -> AsyncIterator[connector.CheckStep]:
        """Give one step after another; after a failed one the others are skipped."""
        first = self._expiry(config)
        yield first
        names = ["secret", *(["token", "scopes"] if config.auth_type.has_tokens else [])]
        failed = "expiry" if first.reason == "AUTH_CONFIG_REVOKED" else ""
        for name in names:
            if failed:
                because = f"Not tried, because {failed} failed."
                yield _Step(step=name, result=_Step.RESULT_SKIPPED, reason="SKIPPED", message=because)
                continue
            step = await self._tried(name, config, row)
            failed = name if step.result == _Step.RESULT_FAILED else ""
            yield step

    def _expiry(self, config: AuthConfig) -> connector.CheckStep:
        if config.revoke_time is not None:
            return _Step(
                step="expiry",
                result=_Step.RESULT_FAILED,
                reason="AUTH_CONFIG_REVOKED",
                message=f"It was taken out of use at {config.revoke_time:%Y-%m-%d %H:%M} UTC.",
                remedy="Enter a new secret, or authorize it again.",
            )
        ends, now = config.expire_time, self._clock.now()
        if ends is None or ends > now + _SOON:
            return _Step(step="expiry", result=_Step.RESULT_PASSED)
        is_over = ends <= now
        return _Step(
            step="expiry",
            result=_Step.RESULT_FAILED if is_over else _Step.RESULT_WARNING,
            reason="AUTH_CONFIG_EXPIRED" if is_over else "AUTH_CONFIG_EXPIRES_SOON",
            message=f"The secret {'ended' if is_over else 'ends'} at {ends:%Y-%m-%d %H:%M} UTC.",
            remedy="Make a new secret at the external system and enter it here.",
        )

    async def _tried(self, name: str, config: AuthConfig, row: TokenRow | None) -> connector.CheckStep:
        try:
            if name == "secret":
                await self._grants.secret(config)
                return _Step(step=name, result=_Step.RESULT_PASSED)
            by_person = name == "token"
            token = await self._tokens.current(config, row, by_person=by_person)
        except Fault as fault:
            what, _, remedy = fault.message.rpartition("; ")
            return _Step(
                step=name,
                result=_Step.RESULT_FAILED,
                reason=fault.reason,
                message=what or fault.message,
                remedy=remedy.capitalize() if what else "",
            )
        if name == "token":
            told = f"The token server gave a token that ends at {token.expire_time:%Y-%m-%d %H:%M} UTC."
            return _Step(step=name, result=_Step.RESULT_PASSED, message=told)
        return _scopes(config, token.scopes)


def _scopes(config: AuthConfig, granted: tuple[str, ...]) -> connector.CheckStep:
    lacking = [scope for scope in config.oauth.scopes if scope not in granted]
    step = _Step(step="scopes", granted_permissions=granted, needed_permissions=config.oauth.scopes)
    step.result = _Step.RESULT_WARNING if lacking else _Step.RESULT_PASSED
    if lacking:
        step.reason = "SCOPES_NOT_GRANTED"
        step.message = f"Asked for and not granted: {', '.join(lacking)}."
        step.remedy = "Have them granted at the token server, or ask for less."
    return step


__all__ = ["Trying"]
