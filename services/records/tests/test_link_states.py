"""Links in any order of events: who obeys the verdicts never makes a second ticket."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from isthmus.resilience.faults import RetryLater
from isthmus.services.records.domain.links import (
    DELETE,
    UPSERT,
    Claim,
    Intent,
    Link,
    Result,
    Settlement,
    State,
    Verdict,
    decide,
    settle,
)

HOLD = timedelta(seconds=10)
CONTENTS = st.sampled_from(["a", "b", None])
"""What a record is to become; None for a deletion."""


@dataclass
class Writer:
    """A process that has announced a write and may die at any moment."""

    claim: str
    verdict: Verdict
    external_id: str
    content: str | None
    until: datetime


class Tickets(RuleBasedStateMachine):
    """One record, its link, the one ticket that it may have, and writers that come and go."""

    def __init__(self):
        super().__init__()
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.link: Link | None = None
        self.ticket: str | None = None
        self.number = 0
        self.claims = 0
        self.writers: list[Writer] = []

    @rule(content=CONTENTS)
    def announce(self, content):
        """A writer asks what it may do."""
        self.claims += 1
        operation = DELETE if content is None else UPSERT
        digest = hashlib.sha256((content or "").encode()).digest() if content else b""
        claim = Claim(f"claim-{self.claims}", self.claims, self.now, HOLD)
        try:
            decision = decide(self.link, Intent("k", "cor", operation, digest), claim)
        except RetryLater:
            assert self.link.is_held(self.now)
            return
        if decision.verdict == Verdict.UNCHANGED:
            assert self.ticket == content
            assert decision.link is None
            return
        self.link = decision.link
        self.writers.append(
            Writer(claim.claim, decision.verdict, decision.external_id, content, self.now + HOLD)
        )

    @precondition(lambda self: self.writers)
    @rule(told=st.sampled_from(["settled", "unknown", "dead"]))
    def write(self, told):
        """A writer does what it may, and tells of it, or not."""
        writer = self.writers.pop()
        if writer.until <= self.now:
            return
        self._apply(writer)
        done = Result.DELETED if writer.content is None else Result.DONE
        if told == "settled":
            self._settle(writer, done, f"T-{self.number}" if self.ticket else "")
        elif told == "unknown":
            self._settle(writer, Result.UNKNOWN)

    @precondition(lambda self: self.writers)
    @rule(result=st.sampled_from([Result.REJECTED, Result.UNTOUCHED]))
    def fail(self, result):
        """A writer's request is refused, or it never gets to send one."""
        writer = self.writers.pop()
        found = writer.verdict == Verdict.IN_DOUBT and self.ticket is not None and result == Result.REJECTED
        self._settle(writer, result, f"T-{self.number}" if found else "")

    @precondition(lambda self: self.writers)
    @rule()
    def die(self):
        """A writer ends without a word and without a request."""
        self.writers.pop()

    @rule()
    def wait(self):
        """Time passes, and every hold with it."""
        self.now += HOLD + timedelta(seconds=1)

    def _apply(self, writer):
        if writer.verdict == Verdict.FRESH:
            assert self.ticket is None
        if writer.verdict == Verdict.LINKED and writer.content is not None:
            assert self.ticket is not None
            assert writer.external_id == f"T-{self.number}"
        if self.ticket is None and writer.content is not None:
            self.number += 1
        self.ticket = writer.content

    def _settle(self, writer, result, external_id=""):
        link = self.link
        if link is not None and link.claim == writer.claim and link.state == State.OPEN:
            self.link = settle(link, Settlement("k", result, external_id))


Tickets.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestTickets = Tickets.TestCase
