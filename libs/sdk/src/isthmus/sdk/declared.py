"""What a connector class says about itself through its marks, annotations and docstrings."""

import hashlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from isthmus.sdk.connector import MARK, ActionMark, Connector, DestinationMark, SourceMark, WebhookMark
from isthmus.sdk.model import ActionSpec, AuthMethod, Capability, ConnectorSpec, ReadMode, Stream, WebhookSpec
from isthmus.sdk.page import Batch, Page
from isthmus.sdk.settings import configuration_schema, record_schema, secret_fields
from pydantic import AnyUrl, BaseModel


def spec_of(cls: type[Connector[Any]]) -> ConnectorSpec:
    """Identity and abilities of a connector; needs no configuration and no connection."""
    settings = settings_model(cls)
    return ConnectorSpec(
        connector_id=cls.connector_id or _kebab(cls.__name__),
        name=cls.title or cls.__name__,
        description=_first_words(cls.__doc__),
        version=cls.version,
        configuration_schema=configuration_schema(settings),
        capabilities=_capabilities(cls),
        auth_methods=cls.auth_methods or _auth_methods(settings),
        needed_scopes=cls.needed_scopes,
        system_type=cls.system_type,
        vendor=cls.vendor,
        actions=tuple(_action_spec(method, mark) for method, mark in _marked(cls, ActionMark)),
        webhooks=tuple(
            WebhookSpec(mark.kind, _first_words(method.__doc__), mark.feeds)
            for method, mark in _marked(cls, WebhookMark)
        ),
        rate_limit=cls.rate_limit,
        allowed_hosts=allowed_hosts(cls),
        is_built_in=cls.is_built_in,
        author=cls.author,
        documentation_url=cls.documentation_url,
        icon_url=cls.icon_url,
        build_digest=_digest(cls),
        ready_mappings={path.stem: path.read_text(encoding="utf-8") for path in _ready_mappings(cls)},
    )


def settings_model(cls: type[Connector[Any]]) -> type[BaseModel]:
    """The model between the brackets of `Connector[...]`."""
    for base in (base for ancestor in cls.__mro__ for base in getattr(ancestor, "__orig_bases__", ())):
        for argument in get_args(base):
            if (
                get_origin(base) is Connector
                and isinstance(argument, type)
                and issubclass(argument, BaseModel)
            ):
                return argument
    raise TypeError(f"{cls.__name__} has to extend Connector[Settings], with a pydantic model for Settings")


def streams_of(connector: Connector[Any]) -> list[Stream]:
    """The streams that marked methods declare; a source and a destination of one name are one stream."""
    found: dict[str, Stream] = {}
    for method, mark in _marked(type(connector), SourceMark):
        found[mark.name] = _source_stream(connector, method, mark)
    for method, mark in _marked(type(connector), DestinationMark):
        writer = getattr(connector, method.__name__)
        known = found.get(mark.name) or Stream(
            mark.name, _first_words(method.__doc__), record_schema(batch_model(method)), mark.key
        )
        found[mark.name] = _with(
            known,
            write_modes=mark.modes,
            guarantee=mark.guarantee,
            writer=writer,
            lookup=getattr(connector, mark.lookup) if mark.lookup else None,
            lookup_lag=mark.lookup_lag,
            lookup_always=mark.lookup_always,
            on_doubt=mark.on_doubt,
        )
    return [found[name] for name in sorted(found)]


def actions_of(cls: type[Connector[Any]]) -> dict[str, Callable[..., Any]]:
    """The methods under `@action`, by name."""
    return {mark.name: method for method, mark in _marked(cls, ActionMark)}


def webhooks_of(cls: type[Connector[Any]]) -> dict[str, tuple[Callable[..., Any], WebhookMark]]:
    """The methods under `@webhook`, by kind."""
    return {mark.kind: (method, mark) for method, mark in _marked(cls, WebhookMark)}


def allowed_hosts(cls: type[Connector[Any]]) -> tuple[str, ...]:
    """The hosts that a connector may call; those of its address settings when it declares none."""
    if cls.allowed_hosts:
        return cls.allowed_hosts
    fields = settings_model(cls).model_fields
    return tuple(f"{{{name}}}" for name, field in fields.items() if _is_url(field.annotation))


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations of a function, a method or a partial of one; empty where they cannot be resolved."""
    while isinstance(function, partial):
        function = function.func
    try:
        return get_type_hints(function)
    except (NameError, TypeError):
        return {}


def batch_model(method: Callable[..., Any]) -> Any:
    """The record model between the brackets of `Batch[...]`, None where there is none."""
    return next(
        (_argument(hint, Batch) for hint in hints_of(method).values() if _argument(hint, Batch)), None
    )


def input_model(method: Callable[..., Any]) -> Any:
    """The model of an action's one argument, None for a plain dictionary."""
    hints = {name: hint for name, hint in hints_of(method).items() if name != "return"}
    model = next(iter(hints.values()), None)
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None


def _source_stream(connector: Connector[Any], method: Callable[..., Any], mark: SourceMark) -> Stream:
    returned = hints_of(method).get("return")
    model = next((_argument(part, Page) for part in get_args(returned) if _argument(part, Page)), None)
    return Stream(
        stream=mark.name,
        description=_first_words(method.__doc__),
        json_schema=record_schema(model),
        primary_key=mark.key,
        cursor_field=mark.cursor,
        read_modes=mark.modes,
        longest_silence=mark.longest_silence,
        ordered=mark.ordered,
        reader=getattr(connector, method.__name__),
        partitioner=getattr(connector, mark.partitions) if mark.partitions else None,
        most_side_by_side=mark.most_side_by_side,
        range_field=mark.range_field,
        asks_for_range=mark.asks_for_range,
    )


def _with(stream: Stream, **changes: Any) -> Stream:
    from dataclasses import replace

    return replace(stream, **changes)


def _argument(hint: Any, generic: type) -> Any:
    if get_origin(hint) is generic:
        arguments = get_args(hint)
        return arguments[0] if arguments else None
    return None


def _marked(cls: type, kind: type[Any]) -> Iterator[tuple[Callable[..., Any], Any]]:
    for name in dir(cls):
        method = inspect.getattr_static(cls, name)
        mark = getattr(method, MARK, None)
        if isinstance(mark, kind):
            yield method, mark


def _action_spec(method: Callable[..., Any], mark: ActionMark) -> ActionSpec:
    output = hints_of(method).get("return")
    return ActionSpec(
        mark.name,
        _first_words(method.__doc__),
        record_schema(input_model(method)),
        record_schema(output),
        mark.idempotent,
    )


def _capabilities(cls: type[Connector[Any]]) -> tuple[Capability, ...]:
    sources = [mark for _, mark in _marked(cls, SourceMark)]
    dynamic = cls.streams is not Connector.streams
    told = {
        Capability.SOURCE: bool(sources) or dynamic,
        Capability.DESTINATION: dynamic or any(True for _ in _marked(cls, DestinationMark)),
        Capability.ACTIONS: any(True for _ in _marked(cls, ActionMark)),
        Capability.WEBHOOKS: any(True for _ in _marked(cls, WebhookMark)),
        Capability.INCREMENTAL: dynamic or any(ReadMode.INCREMENTAL in mark.modes for mark in sources),
        Capability.DELETES: any(mark.deletes for mark in sources),
        Capability.PARTITIONS: cls.divides_streams or any(mark.partitions for mark in sources),
        Capability.LIFECYCLE: cls.instance_changed is not Connector.instance_changed,
        Capability.DISCOVERY: dynamic,
        Capability.ROTATION: cls.rotate is not Connector.rotate,
    }
    chosen = getattr(cls, "capabilities", None)
    return tuple(chosen) if chosen is not None else tuple(name for name, has in told.items() if has)


def _auth_methods(settings: type[BaseModel]) -> tuple[AuthMethod, ...]:
    names = {"password": AuthMethod.BASIC, "api_key": AuthMethod.API_KEY}
    secrets = secret_fields(settings)
    methods = dict.fromkeys(names.get(name, AuthMethod.BEARER) for name in secrets)
    return tuple(methods) or (AuthMethod.NONE,)


def _is_url(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, AnyUrl)
    return any(_is_url(part) for part in get_args(annotation))


def _kebab(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", name).lower()


def _first_words(doc: str | None) -> str:
    return inspect.cleandoc(doc or "").split("\n\n", maxsplit=1)[0].replace("\n", " ")


def _ready_mappings(cls: type) -> list[Path]:
    """The files of the folder `mappings` in the connector's package; who wants one reads what it says."""
    module = sys.modules.get(cls.__module__)
    if not getattr(module, "__package__", ""):
        # A script lies among other things, and what is beside it need not belong to it.
        return []
    return sorted((_file(cls).parent / "mappings").glob("*.yaml"))


def _file(cls: type) -> Path:
    return Path(getattr(sys.modules.get(cls.__module__), "__file__", None) or __file__)


def _digest(cls: type) -> str:
    file = _file(cls)
    package = cls.__module__.split(".")
    folder = file.parent if len(package) > 2 and package[:2] == ["isthmus", "connectors"] else None
    files = [*sorted(folder.rglob("*.py")), *_ready_mappings(cls)] if folder else [file]
    seen = hashlib.sha256()
    for path in files:
        seen.update(path.name.encode())
        seen.update(path.read_bytes() if path.exists() else b"")
    return seen.hexdigest()
