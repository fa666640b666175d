"""Speaks the contract; decides nothing."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import grpc.aio
from isthmus.connector.v1 import connector_pb2
from isthmus.credentials.v1 import credentials_pb2 as pb
from isthmus.credentials.v1 import credentials_pb2_grpc
from isthmus.kit import Clock, Database, Page, PageRequest, check_etag, current_principal, new_id, once
from isthmus.kit.deed import tell
from isthmus.kit.redacting import NOTHING_ELSE, Redactor
from isthmus.kit.times import moment
from isthmus.kit.validation import validating
from isthmus.kit.vault import Vault
from isthmus.resilience.faults import Precondition
from isthmus.services.credentials.borrowers import Borrowers
from isthmus.services.credentials.checks import check_common, checked_type, in_turn, state_with
from isthmus.services.credentials.domain import (
    AuthConfig,
    AuthType,
    Rotation,
    RotationPolicy,
    RotationStage,
    Secret,
    TokenRow,
    TokenState,
    further_of,
    mistakes_of,
    refuse_revoked,
    tokens_path,
    under_way,
)
from isthmus.services.credentials.leasing import Lending, Tells
from isthmus.services.credentials.messages import (
    config_message,
    lease_message,
    oauth_of,
    overlap_of,
    parameters_of,
    policy_of,
    secret_of,
)
from isthmus.services.credentials.refreshing import Tokens
from isthmus.services.credentials.rotating import Rotating
from isthmus.services.credentials.store import AuthorizationRows, Rows, TokenRows
from isthmus.services.credentials.trying import Trying
from sqlalchemy.ext.asyncio import AsyncConnection

Context = grpc.aio.ServicerContext[Any, Any]
FindUser = Callable[[str], Awaitable[str]]


class CredentialsServicer(credentials_pb2_grpc.CredentialsServiceServicer):
    """Keeps authentication configurations and lends their secrets to hosts.

    Args:
        db: Where everything but secrets is kept.
        vault: Where secrets are kept.
        events: Tells the mesh what happened.
        tokens: Gets access tokens.
        lending: Lends secrets and tokens.
        borrowers: Knows to whom.
        trying: Tries configurations.
        rotating: Replaces secrets together with external systems.
        clock: The time.
        find_user: Names an instance that uses a configuration, or gives an empty text.
    """

    def __init__(
        self,
        db: Database,
        vault: Vault,
        events: Tells,
        *,
        tokens: Tokens,
        lending: Lending,
        borrowers: Borrowers,
        trying: Trying,
        rotating: Rotating,
        clock: Clock,
        find_user: FindUser,
    ) -> None:
        self._db = db
        self._vault = vault
        self._events = events
        self._clock = clock
        self._find_user = find_user
        self._tokens = tokens
        self._lending = lending
        self._borrowers = borrowers
        self._trying = trying
        self._rotating = rotating

    async def CreateAuthConfig(
        self, request: pb.CreateAuthConfigRequest, context: Context
    ) -> pb.CreateAuthConfigResponse:
        """Creates a configuration; the row commits only after the vault has the secret."""
        secret = secret_of(request.secret)
        with validating() as check:
            auth_type = checked_type(check, request.auth_type)
            check_common(check, request, auth_type, secret)
            policy = policy_of(check, request)
            if secret is None or not secret.material:
                check.add("secret", "REQUIRED", "Send the secret; it goes to the vault and nowhere else.")
        assert auth_type is not None
        assert secret is not None
        config = self._new(request, auth_type, policy)
        config = replace(config, further_secrets=tuple(sorted(further_of(secret.beside({})))))
        await self._rotating.foresee(config, RotationPolicy(), secret.values)
        async with self._db.tenant(config.tenant_id) as conn:

            async def create() -> pb.CreateAuthConfigResponse:
                await Rows(conn).add(config)
                if auth_type.has_tokens:
                    state = state_with(auth_type, secret)
                    await TokenRows(conn).add(config.tenant_id, config.auth_config_id, state)
                await self._keep(config, secret, {})
                await self._events.changed(conn, "created", config, config.created_by)
                return pb.CreateAuthConfigResponse(auth_config=config_message(config))

            return await once(conn, "CreateAuthConfig", request, create, pb.CreateAuthConfigResponse)

    async def GetAuthConfig(
        self, request: pb.GetAuthConfigRequest, context: Context
    ) -> pb.GetAuthConfigResponse:
        """Reads a configuration, without its secret."""
        async with self._db.tenant(current_principal().tenant_id) as conn:
            config, tokens = await _found(conn, request.auth_config_id)
        return pb.GetAuthConfigResponse(auth_config=config_message(config, tokens))

    async def ListAuthConfigs(
        self, request: pb.ListAuthConfigsRequest, context: Context
    ) -> pb.ListAuthConfigsResponse:
        """Lists configurations, oldest first, without their secrets."""
        asked = PageRequest.parse(request.page_size, request.page_token, keys=("id",))
        async with self._db.tenant(current_principal().tenant_id) as conn:
            page = Page.of(await Rows(conn).page(asked, request.name), asked, _key)
            ids = [config.auth_config_id for config in page.items if config.auth_type.has_tokens]
            tokens = await TokenRows(conn).of(ids)
        told = (config_message(config, tokens.get(config.auth_config_id)) for config in page.items)
        return pb.ListAuthConfigsResponse(auth_configs=told, next_page_token=page.next_token)

    async def UpdateAuthConfig(
        self, request: pb.UpdateAuthConfigRequest, context: Context
    ) -> pb.UpdateAuthConfigResponse:
        """Changes a configuration; the version of the secret that counts changes with the row."""
        principal = current_principal()
        secret = secret_of(request.secret)
        async with self._db.tenant(principal.tenant_id) as conn:
            held = await Rows(conn).get(request.auth_config_id, lock=True)
            check_etag(request.etag, held.revision)
            tell(before=config_message(held))
            with validating() as check:
                check_common(check, request, held.auth_type, secret)
                policy = policy_of(check, request)
            now = self._clock.now()
            config = replace(
                held,
                name=request.name,
                description=request.description,
                parameters=in_turn(parameters_of(request.parameters), held),
                oauth=oauth_of(request.oauth_config),
                expire_time=moment(request.expire_time, "expire_time"),
                is_system_account=request.is_system_account,
                update_time=now,
                revision=held.revision + 1,
                rotation=held.rotation.under(policy, now),
            )
            if secret is not None:
                config = await self._entered(config, secret)
            await self._rotating.foresee(config, held.rotation.policy)
            if secret is not None and secret.material:
                config = replace(
                    config,
                    revoke_time=None,
                    overlap_end_time=None,
                    old_until=None,
                    rotation=config.rotation.renewed(now, principal.subject),
                )
            await Rows(conn).change(config)
            if (secret is not None and secret.material) or config.oauth != held.oauth:
                state = state_with(held.auth_type, secret) if secret is not None and secret.material else None
                await TokenRows(conn).reset(config.auth_config_id, state)
            tokens = await TokenRows(conn).find(config.auth_config_id)
            await self._events.changed(conn, "updated", config, principal.subject)
        self._rotating.woken.set()
        return pb.UpdateAuthConfigResponse(auth_config=config_message(config, tokens))

    async def DeleteAuthConfig(
        self, request: pb.DeleteAuthConfigRequest, context: Context
    ) -> pb.DeleteAuthConfigResponse:
        """Deletes a configuration and all versions of its secret."""
        principal = current_principal()
        async with self._db.tenant(principal.tenant_id) as conn:
            config = await Rows(conn).find(request.auth_config_id, lock=True)
            if config is None:
                return pb.DeleteAuthConfigResponse()
            check_etag(request.etag, config.revision)
            tell(before=config_message(config))
            await self._refuse_used(config)
            await Rows(conn).remove(config.auth_config_id)
            await TokenRows(conn).remove(config.auth_config_id)
            await AuthorizationRows(conn).remove(config.auth_config_id)
            await self._events.changed(conn, "deleted", config, principal.subject)
            vault = self._vault.tenant(config.tenant_id)
            if config.auth_type.has_tokens:
                await vault.delete(tokens_path(config.auth_config_id))
            await vault.delete(config.auth_config_id)
        return pb.DeleteAuthConfigResponse()

    async def RedactTexts(self, request: pb.RedactTextsRequest, context: Context) -> pb.RedactTextsResponse:
        """Replace a text in answers and events that are kept."""
        return await Redactor(self._db, NOTHING_ELSE).answer(request, pb.RedactTextsResponse)

    async def LeaseCredential(
        self, request: pb.LeaseCredentialRequest, context: Context
    ) -> pb.LeaseCredentialResponse:
        """Lends a secret, or a short-lived token in its place, to a host and records it."""
        await self._borrowers.admit(current_principal(), request.instance_id, request.auth_config_id)
        lent = await self._lending.lend(request.auth_config_id, request.instance_id, request.host_id)
        return lease_message(*lent)

    async def RefreshCredential(
        self, request: pb.RefreshCredentialRequest, context: Context
    ) -> pb.RefreshCredentialResponse:
        """Lends another token in place of one that was refused."""
        await self._borrowers.admit(current_principal(), request.instance_id, request.auth_config_id)
        lent = await self._lending.lend(
            request.auth_config_id,
            request.instance_id,
            request.host_id,
            request.refused_token_id,
            request.refused_secret_version,
        )
        return pb.RefreshCredentialResponse(lease=lease_message(*lent))

    async def RefreshAuthConfig(
        self, request: pb.RefreshAuthConfigRequest, context: Context
    ) -> pb.RefreshAuthConfigResponse:
        """Gets a new token because a person says so."""
        tenant_id = current_principal().tenant_id
        async with self._db.tenant(tenant_id) as conn:
            config, row = await _found(conn, request.auth_config_id)
        refuse_revoked(config)
        if not config.auth_type.has_tokens:
            message = (
                f"{config.name} authenticates by {config.auth_type}, without tokens; enter a new secret."
            )
            raise Precondition("TOKENLESS", message)
        await self._tokens.current(config, row, by_person=True)
        async with self._db.tenant(tenant_id) as conn:
            config, row = await _found(conn, request.auth_config_id)
        return pb.RefreshAuthConfigResponse(auth_config=config_message(config, row))

    async def RotateAuthConfig(
        self, request: pb.RotateAuthConfigRequest, context: Context
    ) -> pb.RotateAuthConfigResponse:
        """Enters a new secret beside the old one, or has it made with the external system."""
        principal, now = current_principal(), self._clock.now()
        secret = secret_of(request.secret)
        if secret is None:
            return await self._rotated(request)
        async with self._db.tenant(principal.tenant_id) as conn:
            held = await Rows(conn).get(request.auth_config_id, lock=True)
            check_etag(request.etag, held.revision)
            refuse_revoked(held)
            with validating() as check:
                overlap = overlap_of(check, request, held.rotation.overlap_seconds)
                check.violations += mistakes_of(held.auth_type, held.parameters, held.oauth, secret)
                if not secret.material:
                    message = "Send the new secret; further ones alone are changed by an update."
                    check.add("secret", "REQUIRED", message)
            config = replace(
                await self._entered(held, secret),
                old_secret_version=held.secret_version,
                overlap_end_time=now + overlap,
                old_until=None,
                expire_time=moment(request.expire_time, "expire_time"),
                update_time=now,
                revision=held.revision + 1,
                rotation=held.rotation.renewed(now, principal.subject),
            )
            await Rows(conn).change(config)
            if secret.values.get("refresh_token"):
                await TokenRows(conn).reset(config.auth_config_id, TokenState.READY)
            await self._events.changed(conn, "rotated", config, principal.subject)
        return pb.RotateAuthConfigResponse(auth_config=config_message(config))

    async def _rotated(self, request: pb.RotateAuthConfigRequest) -> pb.RotateAuthConfigResponse:
        principal = current_principal()
        async with self._db.tenant(principal.tenant_id) as conn:
            config, _ = await _found(conn, request.auth_config_id)
        check_etag(request.etag, config.revision)
        with validating() as check:
            overlap = overlap_of(check, request, config.rotation.overlap_seconds)
            if request.HasField("expire_time"):
                check.add("expire_time", "EXCLUSIVE", "Clear `expire_time`; the system says it.")
        await self._rotating.start(config, principal.subject, int(overlap.total_seconds()))
        async with self._db.tenant(principal.tenant_id) as conn:
            config, row = await _found(conn, request.auth_config_id)
        return pb.RotateAuthConfigResponse(auth_config=config_message(config, row))

    async def RevokeAuthConfig(
        self, request: pb.RevokeAuthConfigRequest, context: Context
    ) -> pb.RevokeAuthConfigResponse:
        """Takes a configuration out of use; what is lent ends when hosts hear of it."""
        principal = current_principal()
        async with self._db.tenant(principal.tenant_id) as conn:
            held = await Rows(conn).get(request.auth_config_id, lock=True)
            now = self._clock.now()
            rotation = held.rotation.ended()
            config = replace(
                held, revoke_time=now, update_time=now, revision=held.revision + 1, rotation=rotation
            )
            await Rows(conn).change(config)
            if config.auth_type.has_tokens:
                needed = config.auth_type.needs_authorization
                state = TokenState.AUTHORIZATION_NEEDED if needed else TokenState.READY
                await TokenRows(conn).reset(config.auth_config_id, state, forget_version=True)
                await AuthorizationRows(conn).remove(config.auth_config_id)
            await self._events.changed(conn, "revoked", config, principal.subject)
        if config.auth_type.has_tokens:
            await self._vault.tenant(config.tenant_id).delete(tokens_path(config.auth_config_id))
        return pb.RevokeAuthConfigResponse(auth_config=config_message(config))

    async def TestAuthConfig(
        self, request: pb.TestAuthConfigRequest, context: Context
    ) -> pb.TestAuthConfigResponse:
        """Tries a configuration step by step."""
        async with self._db.tenant(current_principal().tenant_id) as conn:
            config, row = await _found(conn, request.auth_config_id)
        steps = [step async for step in self._trying.steps(config, row)]
        failed = any(step.result == connector_pb2.CheckStep.RESULT_FAILED for step in steps)
        return pb.TestAuthConfigResponse(steps=steps, is_usable=not failed)

    def _new(
        self, request: pb.CreateAuthConfigRequest, auth_type: AuthType, policy: RotationPolicy
    ) -> AuthConfig:
        principal, now = current_principal(), self._clock.now()
        return AuthConfig(
            tenant_id=principal.tenant_id,
            auth_config_id=new_id("ath"),
            name=request.name,
            description=request.description,
            auth_type=auth_type,
            parameters=parameters_of(request.parameters),
            oauth=oauth_of(request.oauth_config),
            is_system_account=request.is_system_account,
            secret_version=1,
            created_by=principal.subject,
            create_time=now,
            update_time=now,
            expire_time=moment(request.expire_time, "expire_time"),
            rotation=Rotation().under(policy, now),
        )

    async def _entered(self, config: AuthConfig, secret: Secret) -> AuthConfig:
        """Keep what was entered beside what is kept already, and let it count from now on."""
        held: Mapping[str, str] = {}
        if config.further_secrets or not secret.material:
            if config.rotation.stage is not RotationStage.NONE and not secret.material:
                raise under_way(config.name, config.rotation.stage, config.overlap_end_time)
            vault = self._vault.tenant(config.tenant_id)
            held = await vault.read(config.auth_config_id, version=config.secret_version)
        version = await self._keep(config, secret, held)
        names = tuple(sorted(further_of(secret.beside(held))))
        return replace(config, secret_version=version, further_secrets=names)

    async def _keep(self, config: AuthConfig, secret: Secret, held: Mapping[str, str]) -> int:
        vault = self._vault.tenant(config.tenant_id)
        values = secret.beside(held)
        refresh_token = values.pop("refresh_token", "")
        if refresh_token:
            await vault.write(tokens_path(config.auth_config_id), {"refresh_token": refresh_token})
        return await vault.write(config.auth_config_id, values)

    async def _refuse_used(self, config: AuthConfig) -> None:
        user = await self._find_user(config.auth_config_id)
        if user:
            message = (
                f"Instance {user} authenticates with {config.name}; give it another one or delete it first."
            )
            raise Precondition("AUTH_CONFIG_IN_USE", message, metadata={"instance_id": user})


async def _found(conn: AsyncConnection, auth_config_id: str) -> tuple[AuthConfig, TokenRow | None]:
    config = await Rows(conn).get(auth_config_id)
    return config, await TokenRows(conn).find(auth_config_id) if config.auth_type.has_tokens else None


def _key(config: AuthConfig) -> dict[str, Any]:
    return {"id": config.auth_config_id}


__all__ = ["CredentialsServicer"]
