"""The common ground of all parts of documents."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Unknown fields are mistakes; inputs are left out of messages because they may be secrets."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
