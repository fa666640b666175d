"""The kit, tried on the connector that `isthmus connector new` writes, and on ones that break its rules."""

import importlib
import itertools
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from isthmus.sdk import Page, destination, source, webhook
from isthmus.testing.conformance import CHECKS, beside, judged
from isthmus.testing.scaffold import scaffold

NUMBERS = itertools.count()
BESIDE_THE_POINT = {"describe.actions", "read.deletes"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Write a connector and load it."""
    folder = tmp_path_factory.mktemp("made")
    scaffold("acme-itsm", folder)
    sys.path.insert(0, str(folder / "src"))
    yield importlib.import_module("isthmus_acme_itsm")
    sys.path.remove(str(folder / "src"))


@pytest.mark.parametrize("name", sorted(CHECKS))
async def test_a_new_connector_conforms(made, name):
    """
    What is written by `isthmus connector new` passes every check that concerns it.
    """
    async with beside(made.AcmeItsm, made.AcmeItsmSandbox(size=20)) as subject:
        found = await judged(CHECKS[name], subject)

    assert found.outcome == ("skipped" if name in BESIDE_THE_POINT else "passed"), found.why


def first_page_only(acme):
    class Broken(acme):
        @source(key="id", cursor="updated_at")
        async def incidents(self, since=None):
            async for body in self.api.pages("/incidents", since=since, follow="next", records="items"):
                yield Page(body["items"])
                return

    return Broken


def every_page_twice(acme):
    class Broken(acme):
        @source(key="id", cursor="updated_at")
        async def incidents(self, since=None):
            async for body in self.api.pages("/incidents", since=since, follow="next", records="items"):
                yield Page(body["items"] * 2)

    return Broken


def without_those_of_the_last_moment(acme):
    class Broken(acme):
        @source(key="id", cursor="updated_at")
        async def incidents(self, since=None):
            seen = set()
            async for body in self.api.pages("/incidents", since=since, follow="next", records="items"):
                kept = [one for one in body["items"] if one["updated_at"] not in seen]
                seen |= {one["updated_at"] for one in kept}
                yield Page(kept)

    return Broken


def silent_about_failures(acme):
    class Broken(acme):
        async def check(self):
            pass

        @source(key="id", cursor="updated_at")
        async def incidents(self, since=None):
            try:
                async for body in self.api.pages("/incidents", since=since, follow="next", records="items"):
                    yield Page(body["items"])
            except Exception:
                return

    return Broken


def without_patience(acme):
    class Broken(acme):
        @source(key="id", cursor="updated_at")
        async def incidents(self, since=None):
            async with httpx.AsyncClient(headers={"authorization": "Bearer sandbox-token"}) as client:
                reply = await client.get(f"{self.settings.url}incidents")
            yield Page(reply.raise_for_status().json()["items"])

    return Broken


def talkative(acme):
    class Broken(acme):
        async def streams(self):
            found = await super().streams()
            return [replace(one, description=f"Read with {self.credential.secret}.") for one in found]

    return Broken


def forgetful_writer(acme):
    class Broken(acme):
        @destination(name="incidents", key="id")
        async def write_incidents(self, batch):
            for one in list(batch)[1:]:
                await self.api.put(f"/incidents/{one['id']}", json=one, accept={422})

    return Broken


def trusting_receiver(acme):
    class Broken(acme):
        @webhook("incident.changed", feeds=acme.incidents)
        async def changed(self, event):
            return event.body["incident"]

    return Broken


def unsteady(acme):
    class Broken(acme):
        async def streams(self):
            found = await super().streams()
            return [replace(one, description=f"Number {next(NUMBERS)}.") for one in found]

    return Broken


def deaf(acme):
    class Broken(acme):
        async def check(self):
            raise RuntimeError

        @webhook("incident.changed", feeds=acme.incidents)
        async def changed(self, event):
            raise ValueError

    return Broken


def of_no_version(acme):
    return type("Broken", (acme,), {"version": "newest"})


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (first_page_only, "read.paging"),
        (first_page_only, "read.incremental"),
        (every_page_twice, "read.paging"),
        (without_those_of_the_last_moment, "read.same-moment"),
        (silent_about_failures, "check.unreachable"),
        (silent_about_failures, "check.refused"),
        (without_patience, "fail.passing"),
        (silent_about_failures, "fail.not-json"),
        (silent_about_failures, "fail.for-good"),
        (silent_about_failures, "fail.revoked"),
        (forgetful_writer, "write.lands"),
        (forgetful_writer, "write.outcomes"),
        (trusting_receiver, "webhook.forged"),
        (trusting_receiver, "webhook.stale"),
        (talkative, "secret.stays"),
        (of_no_version, "describe.identity"),
        (unsteady, "discover.stable"),
        (deaf, "check.passes"),
        (deaf, "webhook.valid"),
    ],
)
async def test_a_rule_that_is_broken_is_found(made, spoil, name):
    """
    A connector that breaks a rule fails the check of it, with a sentence.
    """
    broken = spoil(made.AcmeItsm)

    async with beside(broken, made.AcmeItsmSandbox(size=20)) as subject:
        found = await judged(CHECKS[name], subject)

    assert (found.outcome, bool(found.why)) == ("failed", True)


def test_what_is_written_is_formatted_and_clean(tmp_path):
    """
    A new connector passes the linter with the rules of this repository.
    """
    scaffold("acme-itsm", tmp_path)
    ruff = shutil.which("ruff", path=f"{Path(sys.executable).parent}")
    rules = ["--config", str(Path(__file__).parents[3] / "pyproject.toml"), str(tmp_path)]

    for words in (["check", "--ignore", "I001"], ["format", "--check"]):
        done = subprocess.run([ruff, *words, *rules], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stdout


def test_a_new_connector_is_not_written_over_another(tmp_path):
    """
    A folder with something in it is left as it is, and so is everything for a name that is none.
    """
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(FileExistsError):
        scaffold("acme", tmp_path)
    with pytest.raises(ValueError, match="lower case"):
        scaffold("Acme ITSM", tmp_path / "other")

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
