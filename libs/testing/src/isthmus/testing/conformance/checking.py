"""What the check of an instance tells about good and bad settings."""

import json

from isthmus.connector.v1 import connector_pb2 as pb
from isthmus.testing.conformance.subject import Subject
from isthmus.testing.conformance.verdicts import check, expect, skip

_Step = pb.CheckStep
_NOBODY = "http://127.0.0.1:9"
_WRONG = "w-r-o-n-g-and-never-to-be-shown"


@check("check.passes")
async def passes(subject: Subject) -> None:
    """Good settings pass every step."""
    steps = await subject.check()
    expect(steps, "a check has no steps")
    bad = {name: step.message for name, step in steps.items() if step.result == _Step.RESULT_FAILED}
    expect(not bad, f"steps fail with settings that are right: {bad}")


@check("check.unreachable")
async def unreachable(subject: Subject) -> None:
    """A system that does not answer fails a step with a reason and a remedy, and skips those behind it."""
    name = _address_setting(subject)
    await _fails(subject, subject.with_configuration(**{name: _NOBODY}))


@check("check.refused")
async def refused(subject: Subject) -> None:
    """A wrong secret fails a step with a reason and a remedy, and is not shown."""
    if not subject.binding.credential:
        skip("the system asks for no credential")
    binding = pb.Binding()
    binding.CopyFrom(subject.binding)
    material = json.loads(binding.credential)
    secrets = [name for name in ("secret", "password", "private_key") if material.get(name)]
    if not secrets:
        skip("the credential has no secret that could be wrong")
    binding.credential = json.dumps({**material, **dict.fromkeys(secrets, _WRONG)})
    await _fails(subject, binding)


@check("check.misconfigured")
async def misconfigured(subject: Subject) -> None:
    """A configuration that does not fit its schema fails the first step, which names the setting."""
    name = _address_setting(subject)
    steps = await subject.check(subject.with_configuration(**{name: 17}))
    failed = [step for step in steps.values() if step.result == _Step.RESULT_FAILED]
    expect(failed, f"`{name}: 17` passes")
    expect(name in failed[0].message, f"the message does not name the setting {name}: {failed[0].message!r}")


async def _fails(subject: Subject, binding: pb.Binding) -> None:
    steps = list((await subject.check(binding)).values())
    failed = [step for step in steps if step.result == _Step.RESULT_FAILED]
    expect(failed, "every step passes")
    first = failed[0]
    expect(first.reason.isupper() and first.message, f"step {first.step} fails without reason or message")
    expect(first.remedy, f"step {first.step} says no remedy: {first.message!r}")
    behind = steps[steps.index(first) + 1 :]
    tried = [step.step for step in behind if step.result != _Step.RESULT_SKIPPED]
    expect(not tried, f"steps behind the failed one were tried all the same: {tried}")
    shown = [step.step for step in steps if _WRONG in step.message or _WRONG in step.remedy]
    expect(not shown, f"the secret can be read in {shown}")


def _address_setting(subject: Subject) -> str:
    """The setting that says where the system is."""
    configuration = json.loads(subject.binding.configuration or "{}")
    for name, value in configuration.items():
        if isinstance(value, str) and value.startswith(("http://", "https://")):
            return str(name)
    skip("no setting says where the system is")
