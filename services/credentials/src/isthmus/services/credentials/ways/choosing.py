"""Which way leads to the system that a credential is for."""

from collections.abc import Awaitable, Callable, Sequence

from isthmus.services.credentials.domain import AuthConfig
from isthmus.services.credentials.ways.port import Values, Way

Choose = Callable[[AuthConfig, Values], Awaitable[Way | None]]


class Ways:
    """Asks one kind of system after another whether a credential is for it.

    Args:
        kinds: What to ask; the last one answers for all the others.
    """

    def __init__(self, kinds: Sequence[Choose]) -> None:
        self._kinds = kinds

    async def of(self, config: AuthConfig, present: Values) -> Way:
        """Return the way for a credential.

        Args:
            config: The credential.
            present: Its secret.

        Raises:
            Precondition: `ROTATION_UNSUPPORTED`.
            RetryLater: Nobody can tell now.
        """
        for choose in self._kinds:
            way = await choose(config, present)
            if way is not None:
                return way
        raise LookupError("no kind of system answers for the others")


__all__ = ["Choose", "Ways"]
