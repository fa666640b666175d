"""Values that describe a connector, its streams and where a reading stands."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
from isthmus.sdk.failures import ConfigurationFailure, DataFailure

POSITION_SCHEMA_VERSION = 1
LARGEST_POSITION = 64 * 1024
CONTRACT_VERSION = 1


class Capability(StrEnum):
    """Something optional that a connector offers."""

    SOURCE = "source"
    DESTINATION = "destination"
    ACTIONS = "actions"
    WEBHOOKS = "webhooks"
    INCREMENTAL = "incremental"
    DELETES = "deletes"
    PARTITIONS = "partitions"
    LIFECYCLE = "lifecycle"
    DISCOVERY = "discovery"
    ROTATION = "rotation"


class AuthMethod(StrEnum):
    """How an instance proves to the system who it is."""

    NONE = "none"
    API_KEY = "api_key"
    BASIC = "basic"
    BEARER = "bearer"
    OAUTH2_CLIENT_CREDENTIALS = "oauth2_client_credentials"
    OAUTH2_AUTHORIZATION_CODE = "oauth2_authorization_code"
    OAUTH2_DEVICE_CODE = "oauth2_device_code"
    JWT_BEARER = "jwt_bearer"
    MUTUAL_TLS = "mutual_tls"
    HMAC = "hmac"
    AWS_SIGV4 = "aws_sigv4"


class DataClass(StrEnum):
    """How sensitive a field is.

    `CONFIDENTIAL`, `PERSONAL` and `SECRET` values are replaced by placeholders in logs, samples and messages.
    What is personal can be exported and erased for its person; what is secret stays on the host unless a
    mapping names it.
    """

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    PERSONAL = "personal"
    SECRET = "secret"  # noqa: S105 - the name of a class


class ReadMode(StrEnum):
    """How a stream can be read."""

    FULL = "full"
    INCREMENTAL = "incremental"
    DELTA = "delta"


class WriteMode(StrEnum):
    """How a stream can be written."""

    CREATE = "create"
    UPDATE = "update"
    UPSERT = "upsert"
    DELETE = "delete"


class Guarantee(StrEnum):
    """What a batch that comes twice does at a destination."""

    TRANSACTIONAL = "transactional"
    IDEMPOTENT = "idempotent"
    AT_LEAST_ONCE = "at_least_once"


class OnDoubt(StrEnum):
    """What becomes of a record that may have been created already, where nobody can look."""

    QUARANTINE = "quarantine"
    REPEAT = "repeat"


class Operation(StrEnum):
    """What is to happen to one record."""

    UPSERT = "upsert"
    PATCH = "patch"
    DELETE = "delete"


class StepResult(StrEnum):
    """How one step of a check ended."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How often the system may be called; zero requests means that no limit is known."""

    requests: int = 0
    per: timedelta = timedelta(seconds=1)
    concurrent: int = 0

    @property
    def rate(self) -> str:
        """The same as people write it; empty where no limit is known."""
        return f"{self.requests / self.per.total_seconds():.6f}/s" if self.requests else ""


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """An ability outside reading and writing streams."""

    action: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any]
    is_idempotent: bool = False


@dataclass(frozen=True, slots=True)
class WebhookSpec:
    """A kind of webhook that the connector understands."""

    kind: str
    description: str
    feeds_stream: str = ""


@dataclass(frozen=True, slots=True)
class ConnectorSpec:
    """Identity and abilities of a connector, as `Describe` tells them."""

    connector_id: str
    name: str
    description: str
    version: str
    configuration_schema: Mapping[str, Any]
    capabilities: tuple[Capability, ...]
    auth_methods: tuple[AuthMethod, ...]
    contract_version: int = CONTRACT_VERSION
    contract_version_min: int = CONTRACT_VERSION
    needed_scopes: tuple[str, ...] = ()
    system_type: str = ""
    vendor: str = ""
    actions: tuple[ActionSpec, ...] = ()
    webhooks: tuple[WebhookSpec, ...] = ()
    rate_limit: RateLimit = RateLimit()
    allowed_hosts: tuple[str, ...] = ()
    is_built_in: bool = False
    author: str = ""
    documentation_url: str = ""
    icon_url: str = ""
    build_digest: str = ""
    ready_mappings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Between:
    """A span of time, half-open: from `start` up to `end`, which does not belong to it; both in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Stream:
    """One kind of record that an instance can read or write.

    `reader` and `writer` are what the SDK calls; they take the same parameters
    as functions under `@source` and `@destination`, without `self`. A `preparer`
    gets a batch while the one before is being written, and may leave on it in
    `prepared` what needs no connection; its records are decoded only if somebody
    looks at them. A `previewer` takes a batch like a writer, counts and rejects as
    the writer would, tells of some records with `Batch.foresee_at`, and leaves the
    system as it is. Code outside a connector that overrides `streams()` has no use
    for any of these.

    Attributes:
        primary_key: Dotted paths of the fields that identify a record.
        cursor_field: Dotted path of the field that grows with every change.
        range_field: Dotted path of the field with the time by which a reading can be bounded.
        asks_for_range: The reader asks the system for what lies in `between`; it may give some more.
        ordered: The source gives the oldest change first, so the cursor may move with every page.
        batch_records: Most records that the writer takes at a time.
        lookup: Finds the system's own id of a record that may have been created; takes an `Item`.
        lookup_lag: Seconds after which the system has taken, and finds, what was sent to it.
        lookup_always: Look for every record that is new to the flow, not only where there is a doubt.
        on_doubt: What becomes of such a record where nobody can look.
        gives_ids: The system gives records ids of its own, under which they are changed.
        partitioner: Lists the partitions; may take `mode`, and `known`, the partitions that a reading has
            come somewhere in.
        most_side_by_side: Most partitions that may be read at a time; 1 forbids it, 0 leaves it to the host.
        finisher: Removes what a `Generation` has not shown, in one transaction, and gives `Finished`; a
            repetition gives the first answer.
        foreseer: Says what the end of a `Generation` would do whose keys it is given, changes nothing, and
            gives a `Foresight`.
        takes_lines: The writer takes batches of text as well, as `Batch.lines`; whoever looks at `records`
            finds dictionaries all the same.
        classes: How sensitive fields are, by path, where `json_schema` does not say it itself.
    """

    stream: str
    description: str = ""
    json_schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "object"})
    primary_key: tuple[str, ...] = ()
    cursor_field: str = ""
    read_modes: tuple[ReadMode, ...] = ()
    write_modes: tuple[WriteMode, ...] = ()
    guarantee: Guarantee | None = None
    longest_silence: timedelta = timedelta(minutes=5)
    ordered: bool = True
    batch_records: int = 1000
    reader: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    writer: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    preparer: Callable[..., None] | None = field(default=None, repr=False, compare=False)
    previewer: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    lookup: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    lookup_lag: float = 5.0
    lookup_always: bool = False
    on_doubt: OnDoubt = OnDoubt.QUARANTINE
    gives_ids: bool = False
    range_field: str = ""
    asks_for_range: bool = False
    partitioner: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    most_side_by_side: int = 0
    finisher: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    foreseer: Callable[..., Any] | None = field(default=None, repr=False, compare=False)
    takes_lines: bool = False
    classes: Mapping[str, DataClass] = field(default_factory=dict)

    @property
    def is_tracked(self) -> bool:
        """Whether each write is announced durably before it is made, because repeating it may double it."""
        doubles = self.guarantee == Guarantee.AT_LEAST_ONCE
        return self.gives_ids or self.lookup is not None or doubles

    @property
    def may_double(self) -> bool:
        """Whether writing a batch twice may create its records twice, and nobody has allowed that."""
        return self.guarantee == Guarantee.AT_LEAST_ONCE and self.on_doubt != OnDoubt.REPEAT

    @property
    def schema_fingerprint(self) -> str:
        """SHA-256 of the JSON Schema in its canonical form; equal means equal schemas."""
        told = [self.json_schema, self.classes] if self.classes else self.json_schema
        return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()


@dataclass(frozen=True, slots=True)
class CheckStep:
    """The outcome of one step of a check: what was found and what to do about it."""

    step: str
    result: StepResult = StepResult.PASSED
    reason: str = ""
    message: str = ""
    remedy: str = ""
    took: timedelta = timedelta()
    granted_permissions: tuple[str, ...] = ()
    needed_permissions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Position:
    """A place in a source from which reading can go on; opaque to everybody but the SDK."""

    state: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = POSITION_SCHEMA_VERSION
    summary: str = ""

    def encode(self) -> bytes:
        """The state as it travels; `decode` reads it back.

        Raises:
            DataFailure: `POSITION_TOO_LARGE`, beyond 64 KiB.
        """
        encoded = msgspec.json.encode(self.state)
        if len(encoded) > LARGEST_POSITION:
            message = f"The position has {len(encoded):,} bytes; keep less state in it."
            raise DataFailure("POSITION_TOO_LARGE", message)
        return encoded

    @classmethod
    def decode(
        cls, state: bytes, schema_version: int = POSITION_SCHEMA_VERSION, summary: str = ""
    ) -> "Position":
        """Reads what `encode` wrote; no bytes mean the beginning.

        Raises:
            ConfigurationFailure: `POSITION_UNREADABLE`, when it is of another layout.
        """
        if not state:
            return cls()
        try:
            return cls(msgspec.json.decode(state, type=dict[str, Any]), schema_version, summary)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            message = (
                "The saved position cannot be read; reset the flow's checkpoint to start from the beginning."
            )
            raise ConfigurationFailure("POSITION_UNREADABLE", message) from error


_PLAIN = (
    "header", "prefix", "query_param", "username", "password",
    "certificate", "private_key", "key_id", "region", "service",
)  # fmt: skip


@dataclass(frozen=True)
class Credential:
    """What an instance authenticates with, as leased; shows stars for everything secret.

    Attributes:
        method: Which of the other fields count.
        secret: The key or token of `api_key` and `bearer`, of token methods, and of methods that sign.
        header: Header that carries an API key; `X-API-Key` when empty and no `query_param` is given.
        prefix: Words before the key in its header, for example `Token `.
        query_param: Query parameter that carries an API key instead of a header.
        username: User name of `basic`.
        password: Password of `basic`.
        fields: Further named secrets; each fills the settings field of its name.
        certificate: What `mutual_tls` shows, in PEM.
        private_key: What belongs to it, in PEM.
        key_id: Of methods that sign: the id of the key.
        region: Of `aws_sigv4`.
        service: Of `aws_sigv4`.
    """

    method: AuthMethod = AuthMethod.NONE
    secret: str = field(default="", repr=False)
    header: str = ""
    prefix: str = ""
    query_param: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    key_id: str = ""
    region: str = ""
    service: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", AuthMethod(self.method))

    @classmethod
    def from_material(cls, material: Mapping[str, Any]) -> "Credential":
        """Builds a credential from a JSON object; `token`, `key` and `api_key` are read as `secret`."""
        known = {name: str(value) for name, value in material.items() if isinstance(value, str | int)}
        secret = next(
            (known[name] for name in ("secret", "token", "access_token", "api_key", "key") if name in known),
            "",
        )
        inner = material.get("fields")
        extra = {str(name): str(value) for name, value in inner.items()} if isinstance(inner, Mapping) else {}
        try:
            method = AuthMethod(known.get("method", "none").removeprefix("AUTH_METHOD_").lower())
        except ValueError as error:
            message = (
                f"Credential method {known['method']!r} is not known; use one of {', '.join(AuthMethod)}."
            )
            raise ConfigurationFailure("CREDENTIAL_METHOD_UNKNOWN", message, path="method") from error
        plain = {name: known.get(name, "") for name in _PLAIN}
        return cls(method=method, secret=secret, fields=extra, **plain)

    def secrets(self) -> tuple[str, ...]:
        """Every text that must not show anywhere."""
        texts = (self.secret, self.password, self.private_key, *self.fields.values())
        return tuple(text for text in texts if text)


@dataclass(frozen=True, slots=True)
class BatchId:
    """What a destination remembers of a batch, to recognise it when it comes again."""

    flow_id: str = ""
    partition: str = ""
    fencing_token: int = 0
    sequence: int = 0
    generation_id: str = ""
