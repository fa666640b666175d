"""When a secret is to be replaced, and how far that is."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from isthmus.resilience.faults import Precondition

DAY_SECONDS = 86_400
MOST_DAYS = 3650
POLICY = "service:credentials"
"""Who wants a rotation that nobody asked for."""
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(days=1)


class RotationAction(StrEnum):
    """What happens when a new secret is due."""

    NONE = ""
    REMIND = "remind"
    ROTATE = "rotate"


class RotationStage(StrEnum):
    """How far a rotation is."""

    NONE = ""
    RENEWING = "renewing"
    RETIRING = "retiring"


@dataclass(frozen=True, slots=True)
class RotationPolicy:
    """What a person has said about new secrets.

    Attributes:
        action: Nothing, for a credential without a policy.
        every_days: Days from one secret to the next.
        overlap_seconds: How long the old one is kept.
    """

    action: RotationAction = RotationAction.NONE
    every_days: int = 0
    overlap_seconds: int = DAY_SECONDS


@dataclass(frozen=True, slots=True)
class Rotation:
    """What is known of the rotations of one credential.

    Attributes:
        version: While a new secret is being made, its version in the vault; 0 before it has one.
        wanted_by: Who wanted the rotation that is under way.
        keep_seconds: For how long the old secret is to be kept after it.
        try_time: When what is under way goes on.
        failures: Tries that failed one after another.
    """

    action: RotationAction = RotationAction.NONE
    every_days: int = 0
    overlap_seconds: int = DAY_SECONDS
    next_time: datetime | None = None
    last_time: datetime | None = None
    last_by: str = ""
    stage: RotationStage = RotationStage.NONE
    version: int = 0
    wanted_by: str = ""
    keep_seconds: int = 0
    try_time: datetime | None = None
    failures: int = 0
    failure_reason: str = ""
    failure_message: str = ""

    @property
    def policy(self) -> RotationPolicy:
        """What a person has said."""
        return RotationPolicy(self.action, self.every_days, self.overlap_seconds)

    def under(self, policy: RotationPolicy, now: datetime) -> "Rotation":
        """The same under a policy; saying the same again changes nothing."""
        if policy == self.policy:
            return self
        changed = replace(
            self,
            action=policy.action,
            every_days=policy.every_days,
            overlap_seconds=policy.overlap_seconds,
        )
        if (policy.action, policy.every_days) == (self.action, self.every_days):
            return changed
        return replace(changed, next_time=changed.due_after(self.last_time or now))

    def due_after(self, moment: datetime) -> datetime | None:
        """When the secret after one of that moment is due; None without a policy."""
        return moment + timedelta(days=self.every_days) if self.action is not RotationAction.NONE else None

    def ended(self) -> "Rotation":
        """The same with nothing under way."""
        return replace(
            self, stage=RotationStage.NONE, version=0, wanted_by="", keep_seconds=0, try_time=None,
            failures=0, failure_reason="", failure_message="",
        )  # fmt: skip

    def renewed(self, now: datetime, by: str) -> "Rotation":
        """The same after a new secret has begun to count."""
        return replace(self.ended(), last_time=now, last_by=by, next_time=self.due_after(now))

    def retiring(self, until: datetime) -> "Rotation":
        """The same while the old secret is kept."""
        return replace(self, stage=RotationStage.RETIRING, try_time=until)


def pause_before_try(failures: int) -> timedelta:
    """How long to wait after so many failures: a minute at first, twice as long each time, at most a day."""
    return min(_FIRST_PAUSE * (1 << min(failures, 20)), _LONGEST_PAUSE)


class SystemUnknown(Precondition):
    """Nobody uses the credential yet, so it may come to be for a system that makes secrets."""


def rotation_unsupported(name: str, why: str) -> Precondition:
    """Gives the fault for a credential whose new secrets only a person can make."""
    return Precondition("ROTATION_UNSUPPORTED", _no_secret(name, why))


def system_unknown(name: str) -> SystemUnknown:
    """Gives the fault for a credential of which nobody knows what system it is for."""
    why = "no instance uses it, so nobody knows the system"
    return SystemUnknown("ROTATION_UNSUPPORTED", _no_secret(name, why))


def _no_secret(name: str, why: str) -> str:
    return (
        f"No new secret can be made for {name}: {why}. Make one at the external system and enter it; "
        "a policy with the action `remind` tells when."
    )


def under_way(name: str, stage: RotationStage, until: datetime | None) -> Precondition:
    """Gives the fault for a rotation that meets the one before."""
    ends = f" until {until:%Y-%m-%d %H:%M} UTC" if until is not None else ""
    told = "a new secret is still being made" if stage is RotationStage.RENEWING else "the old one is kept"
    message = f"A rotation of {name} is under way, {told}{ends}: wait, or enter a secret yourself."
    return Precondition("ROTATION_UNDER_WAY", message)


__all__ = [
    "DAY_SECONDS",
    "MOST_DAYS",
    "POLICY",
    "Rotation",
    "RotationAction",
    "RotationPolicy",
    "RotationStage",
    "SystemUnknown",
    "pause_before_try",
    "rotation_unsupported",
    "system_unknown",
    "under_way",
]
