"""The second factor: codes of an authenticator (TOTP, RFC 6238), and recovery codes for when it is lost."""

import hmac
import secrets
from dataclasses import replace

from isthmus.kit import Clock
from isthmus.kit.vault import TenantVault, Vault
from isthmus.resilience.faults import Missing, NotAuthenticated, Precondition
from isthmus.services.identity.domain import User, keyed_digest
from isthmus.services.identity.pepper import Pepper
from isthmus.services.identity.store import People, Rows
from isthmus.services.identity.tells import Tells

_STEP_SECONDS = 30
_DRIFT = (0, -1, 1)
_RECOVERY_CODES = 10
_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


class SecondFactor:
    """Sets authenticators up and checks their codes.

    An authenticator's secret lies in the vault; PostgreSQL has the last step used, so that no code
    works twice, and keyed hashes of recovery codes.

    Args:
        vault: Where secrets are kept.
        pepper: The key of what is kept of recovery codes.
        events: Tells the mesh about changes.
        clock: The time.
        path: Folder of the secrets among those of a tenant.
    """

    def __init__(self, vault: Vault, pepper: Pepper, events: Tells, clock: Clock, path: str) -> None:
        self._vault = vault
        self._pepper = pepper
        self._events = events
        self._clock = clock
        self._path = path

    async def enroll(self, user: User) -> tuple[str, str]:
        """Make a secret that counts once it is confirmed; return it and its address for a QR code.

        Raises:
            Precondition: `SECOND_FACTOR_PRESENT`.
        """
        import pyotp

        _refuse_present(user)
        secret = pyotp.random_base32()
        await self._of(user).write(self._place(user), {"secret": secret})
        return secret, pyotp.TOTP(secret).provisioning_uri(name=user.name, issuer_name="Isthmus")

    async def confirm(self, rows: Rows, user: User, code: str) -> list[str]:
        """Make the second factor count and return the recovery codes.

        Args:
            rows: The transaction, in which the user is locked.
            user: Whose it is.
            code: What the authenticator shows.

        Raises:
            Precondition: `SECOND_FACTOR_PRESENT`.
            NotAuthenticated: `CODE_REFUSED`.
        """
        _refuse_present(user)
        step = await self._step(user, code)
        if step is None:
            raise code_refused()
        pepper = await self._pepper.get()
        codes = [_recovery_code() for _ in range(_RECOVERY_CODES)]
        people = People(rows.conn)
        await people.keep_recovery_codes(user, [_digest(user, one, pepper) for one in codes])
        changed = replace(user, has_second_factor=True, last_step=step, update_time=self._clock.now())
        await self._events.user(rows.conn, "second_factor_changed", await people.save(changed), user.subject)
        return codes

    async def check(self, rows: Rows, user: User, code: str) -> str:
        """Use a code up and return the method that it proves: `otp` or `recovery`.

        Raises:
            NotAuthenticated: `CODE_REFUSED`, it is wrong or was used.
        """
        people = People(rows.conn)
        step = await self._step(user, code) if code.isdigit() else None
        if step is not None:
            if await people.use_step(user, step):
                return "otp"
            raise code_refused()
        digest = _digest(user, code.strip().lower(), await self._pepper.get())
        if await people.use_recovery_code(user, digest, self._clock.now()):
            return "recovery"
        raise code_refused()

    async def remove(self, rows: Rows, user: User, by: str) -> User:
        """Let a user in with the password alone from now on."""
        people = People(rows.conn)
        await people.keep_recovery_codes(user, [])
        stored = await people.save(replace(user, has_second_factor=False, update_time=self._clock.now()))
        await self._events.user(rows.conn, "second_factor_changed", stored, by)
        await self.forget(user)
        return stored

    async def forget(self, user: User) -> None:
        """Remove the secret from the vault."""
        await self._of(user).delete(self._place(user))

    async def _step(self, user: User, code: str) -> int | None:
        """Return the step whose code this is, a step of drift either way allowed."""
        import pyotp

        try:
            secret = (await self._of(user).read(self._place(user)))["secret"]
        except Missing:
            return None
        totp, now = pyotp.TOTP(secret), int(self._clock.now().timestamp()) // _STEP_SECONDS
        steps = (now + drift for drift in _DRIFT)
        given = code.encode()
        shown = ((step, totp.generate_otp(step).encode()) for step in steps)
        return next((step for step, one in shown if hmac.compare_digest(one, given)), None)

    def _place(self, user: User) -> str:
        return f"{self._path}/{user.user_id}"

    def _of(self, user: User) -> TenantVault:
        return self._vault.tenant(user.tenant_id)


def code_refused() -> NotAuthenticated:
    """Build the answer to a code that does not open."""
    message = "The code is wrong or was used; wait for the next one, and check the authenticator's clock."
    return NotAuthenticated("CODE_REFUSED", message)


def _refuse_present(user: User) -> None:
    if user.has_second_factor:
        message = "You have a second factor already; remove it before you set up another one."
        raise Precondition("SECOND_FACTOR_PRESENT", message)


def _recovery_code() -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(3))


def _digest(user: User, code: str, pepper: bytes) -> bytes:
    return keyed_digest(f"recovery:{user.user_id}", code, pepper)


__all__ = ["SecondFactor", "code_refused"]
