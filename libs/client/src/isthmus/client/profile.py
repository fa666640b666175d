"""Where the mesh is and who is calling."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from isthmus.client.problem import ExitCode, Problem
from isthmus.client.session import SessionFile

SERVICES = (
    "registry",
    "credentials",
    "identity",
    "mapping",
    "scheduling",
    "records",
    "events",
    "monitoring",
    "gateway",
)


@dataclass(frozen=True)
class Profile:
    """One way into one mesh; printing it never shows the key.

    Attributes:
        api_key: What calls carry where nobody has logged in.
        session: Where the session of who has logged in is kept; None where a key was named that counts.
    """

    addresses: Mapping[str, str]
    api_key: str = field(repr=False)
    tenant_id: str = ""
    gateway_url: str = ""
    session: SessionFile | None = None


def find_home(explicit: Path | None = None) -> Path:
    """Gives the local mesh's folder: named, `ISTHMUS_HOME`, nearest `.isthmus` upwards, or `~/.isthmus`."""
    if explicit is not None:
        return explicit.expanduser().absolute()
    if named := os.environ.get("ISTHMUS_HOME"):
        return Path(named).expanduser().absolute()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / ".isthmus").is_dir():
            return folder / ".isthmus"
    return Path.home() / ".isthmus"


def load_profile(home: Path | None = None) -> Profile:
    """Reads `cli.json` of the home folder; environment variables win over it.

    `ISTHMUS_<SERVICE>_ADDRESS` names one service, `ISTHMUS_ADDRESS` all of them;
    the key comes from `ISTHMUS_API_KEY` or the file in `ISTHMUS_API_KEY_FILE`. The session that
    `isthmus login` began counts before the key in `cli.json`.

    Raises:
        Problem: neither the folder nor the environment tells where the mesh is.
    """
    folder = find_home(home)
    stored = _stored(folder / "cli.json")
    everywhere = os.environ.get("ISTHMUS_ADDRESS", "")
    addresses = {
        name: os.environ.get(f"ISTHMUS_{name.upper()}_ADDRESS") or everywhere or stored_address
        for name in SERVICES
        if (stored_address := stored.get("addresses", {}).get(name, ""))
        or everywhere
        or f"ISTHMUS_{name.upper()}_ADDRESS" in os.environ
    }
    if not addresses:
        raise Problem(
            "MESH_UNKNOWN",
            f"No mesh is set up in {folder}: run `isthmus up`, or name its folder with --home.",
            exit_code=ExitCode.UNREACHABLE,
        )
    named = _api_key()
    return Profile(
        addresses=addresses,
        api_key=named or stored.get("api_key", ""),
        tenant_id=stored.get("tenant_id", ""),
        gateway_url=stored.get("gateway_url", ""),
        session=None if named else SessionFile(folder),
    )


def _api_key() -> str:
    if path := os.environ.get("ISTHMUS_API_KEY_FILE"):
        try:
            return Path(path).expanduser().read_text().strip()
        except (OSError, ValueError) as error:
            raise Problem(
                "API_KEY_FILE_UNREADABLE",
                f"ISTHMUS_API_KEY_FILE names {path}, which cannot be read: name a file with an API key.",
                exit_code=ExitCode.USAGE,
            ) from error
    return os.environ.get("ISTHMUS_API_KEY", "")


def _stored(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Problem(
            "PROFILE_UNREADABLE", f"{path} cannot be read ({error}): remove it and run `isthmus up`."
        ) from error
    return found if isinstance(found, dict) else {}
