"""From a settings model to a JSON Schema, and from a configuration to settings."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from isthmus.sdk.failures import ConfigurationFailure, Violation
from isthmus.sdk.model import AuthMethod, Credential
from isthmus.sdk.secret import MARK
from pydantic import BaseModel, SecretStr, ValidationError

S = TypeVar("S", bound=BaseModel)
REQUIRED = "x-isthmus-required"
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def configuration_schema(model: type[BaseModel]) -> dict[str, Any]:
    """JSON Schema 2020-12 of an instance's configuration, secrets marked.

    A secret field is not `required`, because a stored configuration never has
    it; `"x-isthmus-required": true` says that the credential has to bring it.
    """
    schema = model.model_json_schema(mode="validation")
    schema.setdefault("type", "object")
    required = schema.get("required", [])
    for name in secret_fields(model):
        if name in required:
            required.remove(name)
            schema["properties"][name][REQUIRED] = True
    return {"$schema": DIALECT, **schema}


def record_schema(model: Any) -> dict[str, Any]:
    """JSON Schema 2020-12 of one record; any object when there is no model."""
    if isinstance(model, type) and issubclass(model, BaseModel):
        return {"$schema": DIALECT, **model.model_json_schema(mode="serialization", by_alias=True)}
    return {"$schema": DIALECT, "type": "object"}


def load_settings(model: type[S], configuration: Mapping[str, Any], credential: Credential) -> S:
    """Validates a configuration after filling its secret fields from the credential.

    Raises:
        ConfigurationFailure: Its violations name every field; no input value is repeated.
    """
    filled = {**configuration, **_secrets_for(model, configuration, credential)}
    try:
        return model.model_validate(filled)
    except ValidationError as error:
        violations = tuple(_violations(error))
        listed = ", ".join(violation.path or "configuration" for violation in violations[:5])
        message = f"The configuration is not valid: see {listed}. Mend the fields and try again."
        raise ConfigurationFailure(message=message, violations=violations) from None


def secret_fields(model: type[BaseModel]) -> tuple[str, ...]:
    """Names of the settings fields that are kept in the vault."""
    return tuple(name for name, field in model.model_fields.items() if _is_secret(field.annotation))


def _is_secret(annotation: Any) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, SecretStr)
    return any(_is_secret(part) for part in get_args(annotation))


def _secrets_for(
    model: type[BaseModel], configuration: Mapping[str, Any], credential: Credential
) -> dict[str, str]:
    """A secret field takes the credential's field of its name; a single open one takes the secret itself."""
    named = {"password": credential.password, "username": credential.username, **credential.fields}
    named |= dict.fromkeys(("token", "api_key", "secret"), credential.secret)
    filled = {}
    open_fields = []
    for name in secret_fields(model):
        if configuration.get(name) is not None:
            continue
        if named.get(name):
            filled[name] = named[name]
        else:
            open_fields.append(name)
    main = credential.password if credential.method is AuthMethod.BASIC else credential.secret
    if len(open_fields) == 1 and main:
        filled[open_fields[0]] = main
    if "username" in model.model_fields and credential.username and configuration.get("username") is None:
        filled["username"] = credential.username
    return filled


def _violations(error: ValidationError) -> list[Violation]:
    told = error.errors(include_input=False, include_url=False, include_context=False)
    return [Violation(_path(item["loc"]), item["type"].upper(), f"{item['msg']}.") for item in told]


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


__all__ = ["MARK", "configuration_schema", "load_settings", "record_schema", "secret_fields"]
