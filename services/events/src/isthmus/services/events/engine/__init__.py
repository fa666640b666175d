"""What events does: keeps them, follows them, and acts on them."""

from isthmus.services.events.engine.actions import Actions, every
from isthmus.services.events.engine.ports import Announcer, FlowStarter, LogWriter, Notice
from isthmus.services.events.engine.recorder import Bell, Recorder
from isthmus.services.events.engine.subscribers import Subscribers
from isthmus.services.events.engine.subscriptions import Subscriptions
from isthmus.services.events.engine.tail import Tail

__all__ = [
    "Actions",
    "Announcer",
    "Bell",
    "FlowStarter",
    "LogWriter",
    "Notice",
    "Recorder",
    "Subscribers",
    "Subscriptions",
    "Tail",
    "every",
]
