"""Changes of secrets that are made with the external system."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from isthmus.connector.v1 import connector_pb2 as connector
from isthmus.host.backend import Bound
from isthmus.resilience import Precondition, RetryLater
from isthmus.sdk.runtime import AuthMethod, Credential, Rotation

RENEW = connector.RotateSecretRequest.STAGE_RENEW
RETIRE = connector.RotateSecretRequest.STAGE_RETIRE
_FAILED = connector.CheckStep.RESULT_FAILED


def with_secret(bound: Bound, secret: connector.SystemSecret) -> Bound:
    """Return a connection that authenticates with this secret, whatever is leased for it."""
    material: dict[str, Any] = dict(bound.material or {})
    material["password" if material.get("method") == AuthMethod.BASIC else "secret"] = secret.secret
    if secret.username:
        material["username"] = secret.username
    # Nobody is asked for another secret in its place: whether this one works is the question.
    return replace(bound, instance_id="", auth_config_id="", material=material)


def rotation_of(credential: Credential, request: connector.RotateSecretRequest) -> Rotation:
    """Return what a connector is told of a change.

    Args:
        credential: As leased; says how the system is authenticated to.
        request: The change.
    """
    old, new = request.old, request.new
    return Rotation(
        _as(credential, old), _as(credential, new), old_reference=old.reference, new_reference=new.reference
    )


async def prove(steps: AsyncIterator[connector.CheckStep], *, overlaps: bool) -> None:
    """Find out whether a new secret works.

    Args:
        steps: A check with it.
        overlaps: The old one works, too, so what the new one may do counts as well.

    Raises:
        Precondition: `NEW_SECRET_REFUSED`.
        RetryLater: `SYSTEM_UNREACHABLE`, nobody can tell now.
    """
    async for step in steps:
        if step.result != _FAILED:
            continue
        told = f"{step.message} {step.remedy}".strip()
        if step.step == "reach":
            raise RetryLater("SYSTEM_UNREACHABLE", f"The new secret could not be tried: {told}")
        if step.step == "authenticate" or (step.step == "permit" and overlaps):
            raise Precondition("NEW_SECRET_REFUSED", f"The new secret does not do: {told}")


def _as(credential: Credential, secret: connector.SystemSecret) -> Credential:
    if credential.method is AuthMethod.BASIC:
        return replace(credential, username=secret.username or credential.username, password=secret.secret)
    return replace(credential, secret=secret.secret)


__all__ = ["RENEW", "RETIRE", "prove", "rotation_of", "with_secret"]
