"""Asks a person for consent: in the browser, or on another device."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from isthmus.kit import Clock, Database, new_id
from isthmus.kit.deed import tell
from isthmus.kit.principal import Principal, acting_for
from isthmus.kit.vault import Vault
from isthmus.resilience.faults import DataLost, Fault, Missing, NotAllowed, Precondition, RetryLater
from isthmus.services.credentials.domain import (
    AuthConfig,
    AuthType,
    Pending,
    Proof,
    address_of,
    hash_of,
    interval_of,
    is_safe_url,
    refuse_foreign,
    slower,
)
from isthmus.services.credentials.grants import Grants
from isthmus.services.credentials.refreshing import Tokens
from isthmus.services.credentials.store import AuthorizationRows, Rows

_LIFETIME = timedelta(minutes=10)
_LONGEST_LIFETIME = 3600.0
_UNKNOWN = "No such authorization waits for you: it was used, is too old, or began anew; start again."
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a person needs on another device."""

    pending: Pending
    user_code: str
    verification_uri: str
    verification_uri_complete: str


class Authorizing:
    """Begins authorizations and ends them.

    Args:
        db: Where is kept who began what; a state only as its hash.
        vault: Seals verifiers and device codes until they are redeemed.
        grants: Speaks to the servers.
        tokens: Takes up what they give.
        clock: The time.
    """

    def __init__(self, db: Database, vault: Vault, grants: Grants, tokens: Tokens, *, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._grants = grants
        self._tokens = tokens
        self._clock = clock

    async def begin(
        self, caller: Principal, auth_config_id: str, redirect_uri: str
    ) -> tuple[Pending, str, str]:
        """Begin in the browser; gives what was begun, the address to go to and its state.

        Raises:
            Fault: As the contract tells for `BeginAuthorization`.
        """
        method = AuthType.OAUTH2_AUTHORIZATION_CODE
        config = await self._fitting(caller, auth_config_id, method, "authorization_url")
        proof = Proof.new()
        pending = Pending(
            caller.tenant_id,
            new_id("atz"),
            auth_config_id,
            caller.subject,
            self._clock.now() + _LIFETIME,
            state_hash=hash_of(proof.state),
            redirect_uri=redirect_uri,
        )
        await self._keep(pending, proof.verifier)
        return pending, address_of(config.oauth.complete, proof, redirect_uri), proof.state

    async def complete(self, caller: Principal, state: str, code: str, issuer: str, error: str) -> AuthConfig:
        """End in the browser with what came back.

        Raises:
            Fault: As the contract tells for `CompleteAuthorization`.
        """
        async with self._db.tenant(caller.tenant_id) as conn:
            rows = AuthorizationRows(conn)
            pending = await rows.take(hash_of(state), caller.subject, self._clock.now())
            if pending is None:
                raise _unknown()
            config = await Rows(conn).get(pending.auth_config_id)
            # While the vault is away the state is not used up.
            verifier = await self._kept(pending)
        _check_consent(config, code, issuer, error)
        await self._redeem(config, pending, verifier, code)
        return config

    async def finish(self, state: str, code: str, issuer: str, error: str, redirect_uri: str) -> AuthConfig:
        """End with what a browser brought back to the gateway; the state tells whose authorization it is.

        Raises:
            Fault: As the contract tells for `FinishAuthorization`.
        """
        async with self._db.system() as conn:
            pending = await AuthorizationRows(conn).arrive(hash_of(state), redirect_uri, self._clock.now())
            if pending is None:
                raise Precondition("AUTHORIZATION_OVER", _UNKNOWN)
            tell(tenant_id=pending.tenant_id, subject=pending.subject, target=pending.auth_config_id)
            # While the vault is away the state is not used up.
            verifier = await self._kept(pending)
        async with self._db.tenant(pending.tenant_id) as conn:
            config = await Rows(conn).get(pending.auth_config_id)
        _check_consent(config, code, issuer, error)
        with acting_for(pending.tenant_id):
            await self._redeem(config, pending, verifier, code)
        return config

    async def _redeem(self, config: AuthConfig, pending: Pending, verifier: str, code: str) -> None:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": pending.redirect_uri,
            "code_verifier": verifier,
        }
        await self._tokens.adopt(config, await self._grants.redeem(config, form))

    async def begin_device(self, caller: Principal, auth_config_id: str) -> DeviceCode:
        """Begin on another device.

        Raises:
            Fault: As the contract tells for `BeginDeviceAuthorization`.
        """
        method = AuthType.OAUTH2_DEVICE_CODE
        config = await self._fitting(caller, auth_config_id, method, "device_authorization_url")
        answer = await self._grants.begin_device(config)
        told = answer.get("expires_in")
        seconds = float(told) if isinstance(told, int | float) else _LIFETIME.total_seconds()
        pending = Pending(
            caller.tenant_id,
            new_id("atz"),
            auth_config_id,
            caller.subject,
            self._clock.now() + timedelta(seconds=min(max(seconds, 1.0), _LONGEST_LIFETIME)),
            poll_seconds=interval_of(answer),
        )
        code = DeviceCode(
            pending,
            user_code=_text(answer, "user_code"),
            verification_uri=_address(answer, "verification_uri", "verification_url"),
            verification_uri_complete=_address(answer, "verification_uri_complete"),
        )
        if not code.user_code or not code.verification_uri:
            message = (
                f"What answers at `device_authorization_url` of {config.name} gives no code; correct it."
            )
            raise Precondition("TOKEN_ANSWER_INVALID", message)
        await self._keep(pending, answer["device_code"])
        return code

    async def poll_device(self, caller: Principal, authorization_id: str) -> tuple[AuthConfig | None, float]:
        """Ask whether the person has decided; gives the configuration once it is authorized, or the pause.

        Raises:
            Fault: As the contract tells for `PollDeviceAuthorization`.
        """
        async with self._db.tenant(caller.tenant_id) as conn:
            rows = AuthorizationRows(conn)
            pending = await rows.find(authorization_id, caller.subject)
            if pending is None:
                raise _unknown()
            config = await Rows(conn).get(pending.auth_config_id)
            may_ask = await rows.turn(authorization_id)
        if pending.expire_time <= self._clock.now():
            await self._end(pending)
            raise Precondition("AUTHORIZATION_EXPIRED", "The code was not entered in time; start again.")
        if not may_ask:
            return None, pending.poll_seconds
        try:
            form = {"grant_type": _DEVICE_GRANT, "device_code": await self._kept(pending)}
            grant = await self._grants.redeem(config, form)
        except RetryLater as fault:
            return None, await self._undecided(pending, fault)
        except Fault as fault:
            await self._end(pending)
            if fault.reason == "AUTHORIZATION_DENIED":
                raise NotAllowed(fault.reason, fault.message) from None
            raise
        await self._tokens.adopt(config, grant)
        await self._end(pending)
        return config, 0.0

    async def _undecided(self, pending: Pending, fault: RetryLater) -> float:
        """Give the pause until the next question, longer where the server has asked for that."""
        if fault.reason == "AUTHORIZATION_PENDING":
            return pending.poll_seconds
        if fault.metadata.get("error") != "slow_down" and fault.reason != "TOKEN_SERVER_UNREACHABLE":
            raise fault
        seconds = slower(pending.poll_seconds)
        async with self._db.tenant(pending.tenant_id) as conn:
            await AuthorizationRows(conn).pace(pending.authorization_id, seconds)
        return seconds

    async def _fitting(
        self, caller: Principal, auth_config_id: str, method: AuthType, address: str
    ) -> AuthConfig:
        async with self._db.tenant(caller.tenant_id) as conn:
            config = await Rows(conn).get(auth_config_id)
        if config.auth_type is not method:
            message = (
                f"{config.name} authenticates by {config.auth_type}, which is not authorized in this way."
            )
            raise Precondition("AUTHORIZATION_UNFIT", message)
        if not getattr(config.oauth.complete, address):
            message = f"{config.name} does not say where persons are asked: set `{address}`."
            raise Precondition("AUTHORIZATION_UNFIT", message)
        return config

    async def _keep(self, pending: Pending, proof: str) -> None:
        sealed = await self._vault.tenant(pending.tenant_id).encrypt(proof.encode())
        async with self._db.tenant(pending.tenant_id) as conn:
            await AuthorizationRows(conn).begin(replace(pending, sealed=sealed))

    async def _kept(self, pending: Pending) -> str:
        try:
            return (await self._vault.tenant(pending.tenant_id).decrypt(pending.sealed)).decode()
        except DataLost:
            raise _unknown() from None  # it was begun with another vault

    async def _end(self, pending: Pending) -> None:
        async with self._db.tenant(pending.tenant_id) as conn:
            await AuthorizationRows(conn).remove(pending.auth_config_id)


def _check_consent(config: AuthConfig, code: str, issuer: str, error: str) -> None:
    refuse_foreign(config.oauth, issuer)
    if error or not code:
        raise NotAllowed("AUTHORIZATION_DENIED", f"{config.name} was not authorized; start again.")


def _unknown() -> Missing:
    return Missing("AUTHORIZATION_UNKNOWN", _UNKNOWN)


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    return value if isinstance(value, str) and value.isprintable() and len(value) <= 500 else ""


def _address(answer: dict[str, Any], *names: str) -> str:
    """Read an address that a person is going to open: nothing but http and https."""
    found = next((text for name in names if (text := _text(answer, name))), "")
    return found if is_safe_url(found) else ""


__all__ = ["Authorizing", "DeviceCode"]
