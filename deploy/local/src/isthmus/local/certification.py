"""Keeps the certificates of a local mesh's processes fresh."""

import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from isthmus.local.backends.base import BackendFailed, Steps
from isthmus.local.backends.openbao import EmbeddedOpenBao
from isthmus.local.backends.vault_roles import RoleFiles
from isthmus.local.child import errand
from isthmus.local.home import Home
from isthmus.local.issued import authority_file, certificate_file, certificate_seconds
from isthmus.local.names import LAUNCHER
from isthmus.local.options import Options
from isthmus.local.supervisor import say

__all__ = ["Certification"]

_PAUSE = 0.01
_NEXT_TRY = 30.0


class Certification:
    """Asks the vault for certificates, since hosts have no access to it, and writes them into the home.

    Args:
        home: Where they lie.
        options: Name a vault outside and how to log in there.
        openbao: The vault that is ours; None where one outside is used.
        renewed: Called when there are new certificates, for servers that do not look themselves.
    """

    def __init__(
        self,
        home: Home,
        options: Options,
        openbao: EmbeddedOpenBao | None,
        renewed: Callable[[], None] = lambda: None,
    ) -> None:
        self._home = home
        self._openbao = openbao
        self._renewed = renewed
        self._address = options.vault_addr
        self._ca_file = Path(options.vault_ca_file) if options.vault_ca_file else None
        folder = Path(options.vault_roles) if openbao is None else openbao.roles
        self._role = RoleFiles.within(folder, LAUNCHER)
        has_role = openbao is not None or (bool(options.vault_roles) and self._role.role_id.exists())
        self.active = options.tls and has_role
        """Whether processes speak TLS with one another."""
        self.warning = ""
        """What the operator has to be told."""
        if options.tls and not has_role:
            self.warning = (
                "Processes speak plain text with one another on this machine: there is no vault with a "
                "role for the launcher. Prepare one with what `isthmus vault script` prints."
            )
        self._seconds = certificate_seconds()
        self._subjects: set[str] = set()
        self._due = float("inf")
        self._steps: Steps | None = None

    def issue(self, subjects: Iterable[str]) -> Steps:
        """Have certificates of these processes issued, and from now on before they end.

        Raises:
            BackendFailed: the vault refuses or does not answer.
        """
        if not self.active:
            return
        self._subjects.update(subjects)
        yield from self._issue(self._subjects)
        self._renewed()
        self._due = time.time() + self._seconds / 2

    def introduce(self, subject: str) -> Steps:
        """Have the certificate of a process issued that has come later.

        Raises:
            BackendFailed: as for `issue`.
        """
        if not self.active or subject in self._subjects:
            return
        if self._openbao is not None:
            yield from self._openbao.admit(subject)
        yield from self._issue({subject})
        self._subjects.add(subject)

    def tend(self, longest: float) -> float:
        """Do what is due; returns for how long nothing will be due, at most `longest`."""
        if self._steps is None:
            if time.time() < self._due:
                return longest
            self._steps = self.issue(())
        try:
            next(self._steps)
        except StopIteration:
            self._steps = None
        except (BackendFailed, OSError) as failure:
            self._steps = None
            self._due = time.time() + min(_NEXT_TRY, self._seconds / 10)
            say(f"certificates could not be renewed: {failure}")
        else:
            return _PAUSE
        return longest

    def files(self, subject: str) -> tuple[Path, Path] | None:
        """Name the file with a process's certificate and key, and the one with its authority."""
        return (
            (certificate_file(self._home.tls, subject), authority_file(self._home.tls))
            if self.active
            else None
        )

    def settings(self, subject: str) -> dict[str, str]:
        """Tell a process where its certificate is."""
        found = self.files(subject)
        if found is None:
            return {}
        own, authority = found
        return {
            "ISTHMUS_TLS_CERT_FILE": str(own),
            "ISTHMUS_TLS_KEY_FILE": str(own),
            "ISTHMUS_TLS_CA_FILE": str(authority),
            "ISTHMUS_TLS_LOOK_SECONDS": str(max(1.0, min(10.0, self._seconds / 20))),
        }

    def _issue(self, subjects: Iterable[str]) -> Steps:
        address, ca_file = self._address, self._ca_file
        if self._openbao is not None:
            address, ca_file = self._openbao.address, self._openbao.authority
        # Loaded only now: naming certificates needs the kit.
        from isthmus.local.issuing import VaultPlace, issue

        vault = VaultPlace(address, self._role, ca_file)
        work = partial(issue, vault, sorted(subjects), self._home.tls, self._seconds)
        yield from errand("certificates", self._home.log("setup"), {}, work, [])
