"""Callers for tests: keys of mesh processes, and an identity service that knows the API keys it made."""

import hashlib
import json
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc.aio
from isthmus.identity.v1 import identity_pb2, identity_pb2_grpc
from isthmus.kit.tokens import Signer, new_key

__all__ = ["FakeIdentity", "KeyRing"]


class KeyRing:
    """Makes keys for mesh processes and keeps the trust file that says what they may do."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: list[dict[str, Any]] = []
        self._signers: dict[tuple[str, frozenset[str]], Path] = {}
        self.trust_file = folder / "trust.json"
        self._write()

    def key_file(self, subject: str, permissions: Iterable[str] = ("*",)) -> Path:
        """Return the private key file of a mesh process; the same one for the same permissions."""
        wanted = (subject, frozenset(permissions))
        if wanted not in self._signers:
            private, entry = new_key(f"test-{len(self._entries)}", subject, wanted[1])
            path = self._folder / f"{private['kid']}.jwk"
            path.write_text(json.dumps(private))
            self._entries.append(entry)
            self._signers[wanted] = path
            self._write()
        return self._signers[wanted]

    def signer(self, subject: str, permissions: Iterable[str] = ("*",)) -> Signer:
        """Return what signs the tokens of a mesh process."""
        return Signer(self.key_file(subject, permissions))

    def _write(self) -> None:
        draft = self.trust_file.with_suffix(".new")
        draft.write_text(json.dumps({"keys": self._entries}))
        draft.replace(self.trust_file)


class FakeIdentity(identity_pb2_grpc.IdentityServiceServicer):
    """Answers `AuthenticateCaller` for keys it has made itself, like the real service does."""

    def __init__(self) -> None:
        self._callers: dict[str, identity_pb2.Caller] = {}
        self._pepper = secrets.token_bytes(32)

    def api_key(self, tenant_id: str, permissions: Iterable[str], subject: str) -> str:
        """Make an API key of a service account."""
        key = f"ist_test{len(self._callers)}_{secrets.token_hex(32)}"
        self._callers[key] = identity_pb2.Caller(
            subject=subject,
            tenant_id=tenant_id,
            kind=identity_pb2.Caller.KIND_SERVICE_ACCOUNT,
            permissions=sorted(permissions),
        )
        return key

    def revoke(self, api_key: str) -> None:
        """Make a key unknown; services notice when they forget what they remember of it."""
        self._callers.pop(api_key, None)

    async def AuthenticateCaller(  # noqa: N802 -- the contract's name
        self, request: identity_pb2.AuthenticateCallerRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> identity_pb2.AuthenticateCallerResponse:
        """Tell whose key it is."""
        caller = self._callers.get(request.api_key)
        if caller is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The credential is not valid.")
        return identity_pb2.AuthenticateCallerResponse(caller=caller)

    async def DeriveKey(  # noqa: N802 -- the contract's name
        self, request: identity_pb2.DeriveKeyRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> identity_pb2.DeriveKeyResponse:
        """Give a key of each purpose."""
        del context
        key = hashlib.sha256(self._pepper + bytes([request.purpose])).digest()
        return identity_pb2.DeriveKeyResponse(key=key)

    async def RedactTexts(  # noqa: N802 -- the contract's name
        self, request: identity_pb2.RedactTextsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> identity_pb2.RedactTextsResponse:
        """Tell that it keeps nothing."""
        del request, context
        return identity_pb2.RedactTextsResponse()
