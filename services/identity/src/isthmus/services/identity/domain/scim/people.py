"""What a directory's words mean here: names, addresses, and what is shown of a user or a group."""

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from isthmus.services.identity.domain.access import Group
from isthmus.services.identity.domain.people import User, is_email, user_name
from isthmus.services.identity.domain.scim.documents import Document
from isthmus.services.identity.domain.scim.refusals import refusal
from isthmus.services.identity.domain.scim.schemas import ENTERPRISE, GROUP, USER

# Directories have names that nobody would choose here: `bob_example.com#EXT#@contoso.example`, `d'arcy`.
_NAME = re.compile(r"[a-z0-9!#$%&'*+.=?^_`{|}~@-]{1,128}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LONGEST_NAME = 200


def named_so(document: Document) -> str:
    """Return the name that a user of a document has here.

    Raises:
        FixRequest: `SCIM_INVALID_VALUE`.
    """
    name = user_name(document["userName"])
    if not _NAME.fullmatch(name):
        message = "Use 1 to 128 letters, digits and signs, without blanks and slashes, for `userName`."
        raise refusal("invalidValue", message)
    return name


def with_words(user: User, document: Document, now: datetime) -> User:
    """Return a user as a document describes him; `active` counts where it stands there."""
    return replace(
        user,
        name=named_so(document),
        display_name=_shown_name(document),
        email=_address(document),
        is_disabled=not document.get("active", not user.is_disabled),
        update_time=now,
    )


def group_name(document: Document) -> str:
    """Return the name that a group of a document has here.

    Raises:
        FixRequest: `SCIM_INVALID_VALUE`.
    """
    name = str(document["displayName"])
    if len(name) > _LONGEST_NAME or _CONTROL.search(name):
        message = f"Use at most {_LONGEST_NAME} characters, none of them for control, for `displayName`."
        raise refusal("invalidValue", message)
    return name


def kept(document: Document) -> Document:
    """Return what is kept of a document: all but what is kept elsewhere."""
    return {name: value for name, value in document.items() if name not in {"active", "members"}}


def kept_of_user(document: Document) -> Document:
    """Return what is kept of a user's document; where a directory took `active` away, that is kept too."""
    return kept(document) | ({} if "active" in document else {"active": None})


def user_document(user: User, said: Document, groups: Iterable[tuple[str, str]], base_url: str) -> Document:
    """Write a user as SCIM shows it; groups are given by id and name."""
    entries = [
        {"value": id_, "$ref": f"{base_url}/Groups/{id_}", "display": name, "type": "direct"}
        for id_, name in groups
    ]
    shown: Document = {
        "schemas": [USER, *([ENTERPRISE] if ENTERPRISE in said else [])],
        "id": user.user_id,
        **{name: value for name, value in said.items() if name != "active"},
        **({} if "active" in said else {"active": not user.is_disabled}),
        "meta": _meta("User", f"{base_url}/Users/{user.user_id}", user),
    }
    if entries:
        shown["groups"] = entries
    manager = said.get(ENTERPRISE, {}).get("manager", {})
    if manager.get("value"):
        address = f"{base_url}/Users/{manager['value']}"
        shown[ENTERPRISE] = {**said[ENTERPRISE], "manager": {**manager, "$ref": address}}
    return shown


def group_document(group: Group, said: Document, members: Iterable[str], base_url: str) -> Document:
    """Write a group as SCIM shows it; members are given by id."""
    entries = [{"value": id_, "$ref": f"{base_url}/Users/{id_}", "type": "User"} for id_ in members]
    return {
        "schemas": [GROUP],
        "id": group.group_id,
        **said,
        **({"members": entries} if entries else {}),
        "meta": _meta("Group", f"{base_url}/Groups/{group.group_id}", group),
    }


def _meta(kind: str, location: str, row: User | Group) -> Document:
    return {
        "resourceType": kind,
        "created": _moment(row.create_time),
        "lastModified": _moment(row.update_time),
        "location": location,
        "version": f'W/"{row.revision}"',
    }


def _moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _shown_name(document: Document) -> str:
    name = document.get("name", {})
    whole = f"{name.get('givenName', '')} {name.get('familyName', '')}".strip()
    found = document.get("displayName") or name.get("formatted") or whole or document["userName"]
    return _CONTROL.sub(" ", found)[:_LONGEST_NAME]


def _address(document: Document) -> str:
    entries = sorted(
        document.get("emails", []), key=lambda one: (not one.get("primary"), one.get("type") != "work")
    )
    found = next((str(one["value"]) for one in entries if one.get("value")), "")
    return found if is_email(found) else ""


__all__ = ["group_document", "group_name", "kept", "kept_of_user", "named_so", "user_document", "with_words"]
