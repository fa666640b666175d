"""A text that never shows itself."""

from typing import Any

from pydantic import GetJsonSchemaHandler, SecretStr
from pydantic_core import CoreSchema

MARK = "x-isthmus-secret"


class Secret(SecretStr):
    """A settings field that is kept in the vault and prints as stars everywhere.

    Its JSON Schema carries `"x-isthmus-secret": true`, by which forms hide the
    field and the registry keeps it out of stored configurations.
    """

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Describes the field as a write-only string that carries the mark."""
        del core_schema, handler
        return {"type": "string", "format": "password", "writeOnly": True, MARK: True}

    def reveal(self) -> str:
        """The text itself; for the one place that sends it to the system."""
        return self.get_secret_value()


def reveal(value: "Secret | SecretStr | str | None") -> str:
    """The text of a secret or of a plain string; empty for nothing."""
    if value is None:
        return ""
    return value.get_secret_value() if isinstance(value, SecretStr) else value
