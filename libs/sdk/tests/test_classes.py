"""Classes of fields that an instance's settings give."""

import pytest
from isthmus.sdk import Connector, DataClass, FieldClasses, Stream
from isthmus.sdk.runtime import Session
from pydantic import BaseModel, ValidationError


class Settings(BaseModel):
    """Only classes."""

    classes: FieldClasses = FieldClasses()


class Open(Connector[Settings]):
    """Has a stream of which one field is known."""

    connector_id = "open"

    async def streams(self):
        return [Stream("people", classes={"mail": DataClass.INTERNAL}), Stream("tickets")]


async def test_settings_give_streams_their_classes():
    """
    Rules go before what the connector declares, the first that names a field counts, and others have theirs.
    """
    rules = [
        {"stream": "peo*", "field": "mail", "class": "personal"},
        {"field": "mail", "class": "public"},
        {"field": "**.token", "class": "secret"},
    ]
    session = Session(Open, {"classes": {"rules": rules, "unclassified": "confidential"}})

    people, tickets = await session.streams()

    assert people.classes == {"$": "confidential", "mail": "personal", "**.token": "secret"}
    assert tickets.classes == {"$": "confidential", "mail": "public", "**.token": "secret"}


async def test_without_rules_streams_stay_as_they_are():
    """
    What a connector declares holds where an instance says nothing.
    """
    people, tickets = await Session(Open, {}).streams()

    assert (people.classes, tickets.classes) == ({"mail": "internal"}, {})


@pytest.mark.parametrize("field", ["", "a..b", 'a"b', "[0]"], ids=["nothing", "dots", "quote", "position"])
def test_what_is_no_path_is_refused(field):
    """
    A rule that could never fit is a mistake, told at once.
    """
    with pytest.raises(ValidationError):
        FieldClasses.model_validate({"rules": [{"field": field, "class": "personal"}]})
