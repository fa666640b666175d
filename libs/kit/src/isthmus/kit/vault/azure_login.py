"""Who we are to Azure: a service principal, or a workload identity, as the vendor's own variables name it."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from isthmus.kit.vault.refusal import unreachable
from isthmus.resilience.faults import Precondition

if TYPE_CHECKING:
    import httpx

_AUTHORITY = "https://login.microsoftonline.com"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_EARLY_SECONDS = 120.0
_TENANT, _CLIENT = "AZURE_TENANT_ID", "AZURE_CLIENT_ID"
_SECRET, _SECRET_FILE = "AZURE_CLIENT_SECRET", "AZURE_CLIENT_SECRET_FILE"
_TOKEN_FILE = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105 -- the name of a variable


class AzureLogin:
    """Gets tokens from Microsoft Entra and keeps each until shortly before it ends.

    Args:
        variables: The environment. `AZURE_TENANT_ID` and `AZURE_CLIENT_ID` say who; then it is
            `AZURE_FEDERATED_TOKEN_FILE` (read again for each token), `AZURE_CLIENT_SECRET_FILE` or
            `AZURE_CLIENT_SECRET`. `AZURE_AUTHORITY_HOST` is for sovereign clouds.

    Raises:
        Precondition: `SETTING_MISSING`.
    """

    def __init__(self, variables: Mapping[str, str]) -> None:
        missing = [name for name in (_TENANT, _CLIENT) if not variables.get(name)]
        if not any(variables.get(name) for name in (_SECRET, _SECRET_FILE, _TOKEN_FILE)):
            missing.append(f"{_TOKEN_FILE} or {_SECRET_FILE}")
        if missing:
            raise Precondition("SETTING_MISSING", f"Set {', '.join(missing)} for Azure Key Vault.")
        self._variables = variables
        authority = variables.get("AZURE_AUTHORITY_HOST", "").rstrip("/") or _AUTHORITY
        self._url = f"{authority}/{variables[_TENANT]}/oauth2/v2.0/token"
        self._held: dict[str, tuple[str, float]] = {}

    async def token(self, client: "httpx.AsyncClient", resource: str) -> str:
        """Return a token for a resource.

        Raises:
            RetryLater: `VAULT_UNREACHABLE`, Entra refuses or is away.
        """
        held = self._held.get(resource)
        if held is not None and time.monotonic() < held[1]:
            return held[0]
        answer = await client.post(self._url, data=self._form(resource))
        body = _fields(answer)
        token = body.get("access_token", "")
        if answer.status_code != 200 or not token:
            code = str(body.get("error", answer.status_code))
            raise unreachable(f"cannot be asked: Microsoft Entra gives no token ({code[:60]!r})")
        lasting = float(body.get("expires_in", 300))
        self._held[resource] = token, time.monotonic() + max(lasting - _EARLY_SECONDS, lasting / 2)
        return str(token)

    def forget(self) -> None:
        """Get new tokens at the next call: the vault has refused one."""
        self._held.clear()

    def _form(self, resource: str) -> dict[str, str]:
        known = self._variables
        form = {
            "grant_type": "client_credentials",
            "client_id": known[_CLIENT],
            "scope": f"{resource.rstrip('/')}/.default",
        }
        try:
            if known.get(_TOKEN_FILE):
                assertion = Path(known[_TOKEN_FILE]).read_text().strip()
                return {**form, "client_assertion_type": _ASSERTION, "client_assertion": assertion}
            if known.get(_SECRET_FILE):
                return {**form, "client_secret": Path(known[_SECRET_FILE]).read_text().strip()}
        except OSError:
            raise unreachable(
                "cannot be asked: the file that proves who this service is cannot be read"
            ) from None
        return {**form, "client_secret": known[_SECRET]}


def _fields(answer: "httpx.Response") -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


__all__ = ["AzureLogin"]
