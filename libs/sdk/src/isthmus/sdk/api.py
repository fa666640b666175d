"""A client for JSON over HTTP."""


class Reply:
    """What the system answered."""


class Api:
    """A client for one system's HTTP interface."""
