"""The attributes that this server keeps, and how it describes itself."""

from dataclasses import dataclass
from typing import Any

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_CORE = "urn:ietf:params:scim:schemas:core:2.0:"
MOST_RESULTS = 200


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute, in the words of RFC 7643 section 7."""

    name: str
    type: str = "string"
    is_list: bool = False
    required: bool = False
    mutability: str = "readWrite"
    case_exact: bool = False
    uniqueness: str = "none"
    subs: tuple["Attribute", ...] = ()
    canonical: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    description: str = ""

    def sub(self, name: str) -> "Attribute | None":
        """Find a part of a complex attribute, whatever the case."""
        return named(self.subs, name)

    def described(self) -> dict[str, Any]:
        """Write it as `/Schemas` shows it."""
        told: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "multiValued": self.is_list,
            "description": self.description or f"{self.name} of RFC 7643.",
            "required": self.required,
            "caseExact": self.case_exact,
            "mutability": self.mutability,
            "returned": "default",
            "uniqueness": self.uniqueness,
        }
        if self.canonical:
            told["canonicalValues"] = list(self.canonical)
        if self.references:
            told["referenceTypes"] = list(self.references)
        if self.subs:
            told["subAttributes"] = [one.described() for one in self.subs]
        return told


@dataclass(frozen=True, slots=True)
class Schema:
    """A set of attributes with a name."""

    urn: str
    name: str
    description: str
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A kind of resource: its endpoint, its schema, and those that extend it."""

    name: str
    endpoint: str
    description: str
    schema: Schema
    extensions: tuple[Schema, ...] = ()

    def extension(self, urn: str) -> Schema | None:
        """Find an extension, whatever the case."""
        return next((one for one in self.extensions if one.urn.lower() == urn.lower()), None)


def named(attributes: tuple[Attribute, ...], name: str) -> Attribute | None:
    """Find an attribute, whatever the case."""
    return next((one for one in attributes if one.name.lower() == name.lower()), None)


def _texts(*names: str) -> tuple[Attribute, ...]:
    return tuple(Attribute(name) for name in names)


_REF = Attribute(
    "$ref", "reference", case_exact=True, references=("User",), description="Address of the resource."
)
_PRIMARY = Attribute("primary", "boolean", description="Whether this is the preferred one.")


def _entries(name: str, value: Attribute, *kinds: str) -> Attribute:
    kind = Attribute("type", canonical=kinds)
    return Attribute(name, "complex", is_list=True, subs=(value, Attribute("display"), kind, _PRIMARY))


def _read_only(attribute: Attribute) -> Attribute:
    return Attribute(
        attribute.name,
        attribute.type,
        mutability="readOnly",
        case_exact=attribute.case_exact,
        references=attribute.references,
        description=attribute.description,
    )


_VALUE = Attribute("value")
_ADDRESS = _texts("formatted", "streetAddress", "locality", "region", "postalCode", "country")
_GROUPS = Attribute(
    "groups",
    "complex",
    is_list=True,
    mutability="readOnly",
    description="Provisioned groups that the user is in.",
    subs=(
        Attribute("value", mutability="readOnly", case_exact=True),
        Attribute("$ref", "reference", mutability="readOnly", case_exact=True, references=("Group",)),
        Attribute("display", mutability="readOnly"),
        Attribute("type", mutability="readOnly", canonical=("direct",)),
    ),
)
_USER = Schema(
    USER,
    "User",
    "User Account",
    (
        Attribute("userName", required=True, uniqueness="server", description="What the user logs in with."),
        Attribute(
            "name",
            "complex",
            subs=_texts(
                "formatted", "familyName", "givenName", "middleName", "honorificPrefix", "honorificSuffix"
            ),
        ),
        *_texts("displayName", "nickName"),
        Attribute("profileUrl", "reference", case_exact=True, references=("external",)),
        *_texts("title", "userType", "preferredLanguage", "locale", "timezone"),
        Attribute("active", "boolean", description="Whether the user may log in."),
        _entries("emails", _VALUE, "work", "home", "other"),
        _entries("phoneNumbers", _VALUE, "work", "home", "mobile", "fax", "pager", "other"),
        _entries("ims", _VALUE),
        _entries("photos", Attribute("value", "reference", case_exact=True, references=("external",))),
        Attribute(
            "addresses",
            "complex",
            is_list=True,
            subs=(*_ADDRESS, Attribute("type", canonical=("work", "home", "other")), _PRIMARY),
        ),
        _GROUPS,
    ),
)
_ENTERPRISE = Schema(
    ENTERPRISE,
    "EnterpriseUser",
    "Enterprise User",
    (
        *_texts("employeeNumber", "costCenter", "organization", "division", "department"),
        Attribute(
            "manager",
            "complex",
            subs=(
                Attribute("value", case_exact=True),
                _REF,
                Attribute("displayName", mutability="readOnly"),
            ),
        ),
    ),
)
_GROUP = Schema(
    GROUP,
    "Group",
    "Group",
    (
        Attribute("displayName", required=True, uniqueness="server", description="Name of the group."),
        Attribute(
            "members",
            "complex",
            is_list=True,
            description="Provisioned users who are in the group.",
            subs=(
                Attribute("value", mutability="immutable", case_exact=True),
                Attribute("$ref", "reference", mutability="immutable", case_exact=True, references=("User",)),
                Attribute("type", mutability="immutable", canonical=("User",)),
            ),
        ),
    ),
)
USERS = ResourceType("User", "/Users", "User Account", _USER, (_ENTERPRISE,))
GROUPS = ResourceType("Group", "/Groups", "Group", _GROUP)
RESOURCE_TYPES = (USERS, GROUPS)


def _all_read_only(name: str, *subs: Attribute, **more: Any) -> Attribute:
    kind = "complex" if subs else more.pop("type", "string")
    return Attribute(name, kind, mutability="readOnly", subs=subs, **more)


_SUPPORTED = _all_read_only("supported", type="boolean", required=True)
_URI = {"type": "reference", "case_exact": True, "references": ("uri",)}
_SERVICE_PROVIDER_CONFIG = Schema(
    f"{_CORE}ServiceProviderConfig",
    "ServiceProviderConfig",
    "What the server can do",
    (
        _all_read_only("documentationUri", type="reference", case_exact=True, references=("external",)),
        _all_read_only("patch", _SUPPORTED, required=True),
        _all_read_only(
            "bulk",
            _SUPPORTED,
            _all_read_only("maxOperations", type="integer", required=True),
            _all_read_only("maxPayloadSize", type="integer", required=True),
            required=True,
        ),
        _all_read_only(
            "filter", _SUPPORTED, _all_read_only("maxResults", type="integer", required=True), required=True
        ),
        _all_read_only("changePassword", _SUPPORTED, required=True),
        _all_read_only("sort", _SUPPORTED, required=True),
        _all_read_only("etag", _SUPPORTED, required=True),
        _all_read_only(
            "authenticationSchemes",
            *(
                _read_only(one)
                for one in _texts("type", "name", "description", "specUri", "documentationUri")
            ),
            is_list=True,
            required=True,
        ),
    ),
)
_RESOURCE_TYPE = Schema(
    f"{_CORE}ResourceType",
    "ResourceType",
    "Which kinds of resources there are",
    (
        _all_read_only("name", required=True),
        _all_read_only("description"),
        _all_read_only("endpoint", **{**_URI, "required": True}),
        _all_read_only("schema", **{**_URI, "required": True}),
        _all_read_only(
            "schemaExtensions",
            _all_read_only("schema", **{**_URI, "required": True}),
            _all_read_only("required", type="boolean", required=True),
            is_list=True,
            required=True,
        ),
    ),
)
_SUB_ATTRIBUTE = (
    _all_read_only("name", required=True),
    _all_read_only("type", required=True),
    _all_read_only("multiValued", type="boolean", required=True),
    _all_read_only("description"),
    _all_read_only("required", type="boolean"),
    _all_read_only("canonicalValues", is_list=True),
    _all_read_only("caseExact", type="boolean"),
    _all_read_only("mutability"),
    _all_read_only("returned"),
    _all_read_only("uniqueness"),
    _all_read_only("referenceTypes", is_list=True),
)
_SCHEMA = Schema(
    f"{_CORE}Schema",
    "Schema",
    "Which attributes there are",
    (
        _all_read_only("name", required=True),
        _all_read_only("description"),
        _all_read_only(
            "attributes",
            *_SUB_ATTRIBUTE,
            _all_read_only("subAttributes", *_SUB_ATTRIBUTE, is_list=True),
            is_list=True,
            required=True,
        ),
    ),
)
SCHEMAS = (_USER, _ENTERPRISE, _GROUP, _SERVICE_PROVIDER_CONFIG, _RESOURCE_TYPE, _SCHEMA)


def service_provider_config(base_url: str) -> dict[str, Any]:
    """Tell what this server can do."""
    return {
        "schemas": [_SERVICE_PROVIDER_CONFIG.urn],
        "documentationUri": "https://www.rfc-editor.org/rfc/rfc7644",
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        "filter": {"supported": True, "maxResults": MOST_RESULTS},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "API key",
                "description": "An API key of an account with the role `provisioner`, as bearer token.",
                "specUri": "https://www.rfc-editor.org/rfc/rfc6750",
            }
        ],
        "meta": _meta("ServiceProviderConfig", f"{base_url}/ServiceProviderConfig"),
    }


def resource_types(base_url: str) -> list[dict[str, Any]]:
    """Tell which kinds of resources there are."""
    return [
        {
            "schemas": [_RESOURCE_TYPE.urn],
            "id": one.name,
            "name": one.name,
            "endpoint": one.endpoint,
            "description": one.description,
            "schema": one.schema.urn,
            "schemaExtensions": [{"schema": each.urn, "required": False} for each in one.extensions],
            "meta": _meta("ResourceType", f"{base_url}/ResourceTypes/{one.name}"),
        }
        for one in RESOURCE_TYPES
    ]


def schemas(base_url: str) -> list[dict[str, Any]]:
    """Tell which attributes there are."""
    return [
        {
            "schemas": [_SCHEMA.urn],
            "id": one.urn,
            "name": one.name,
            "description": one.description,
            "attributes": [attribute.described() for attribute in one.attributes],
            "meta": _meta("Schema", f"{base_url}/Schemas/{one.urn}"),
        }
        for one in SCHEMAS
    ]


def _meta(kind: str, location: str) -> dict[str, str]:
    return {"resourceType": kind, "location": location}


__all__ = [
    "ENTERPRISE",
    "GROUP",
    "GROUPS",
    "MOST_RESULTS",
    "USER",
    "USERS",
    "Attribute",
    "ResourceType",
    "Schema",
    "named",
    "resource_types",
    "schemas",
    "service_provider_config",
]
