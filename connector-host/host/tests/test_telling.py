"""What an attempt tells of itself."""

from types import SimpleNamespace

from isthmus.host.attempt.telling import Story
from isthmus.host.attempt.tools import Ending
from isthmus.host.reports import Log
from isthmus.scheduling.v1 import scheduling_pb2 as scheduling
from isthmus.type.v1.batch_pb2 import Counts

Finish = scheduling.FinishAttemptRequest


async def test_what_happened_can_be_read_in_the_log(world):
    """
    Begin and end of an attempt are told to monitoring, with what was used.
    """
    tools = world.tools()
    await world.run(tools=tools)

    while await tools.reports.flush() and not world.monitoring.samples:
        pass

    assert [line.execution_id for line in world.monitoring.logs] == ["exe_1", "exe_1"]
    assert "10 records read" in world.monitoring.logs[-1].message
    assert world.monitoring.samples[0].records == 10


async def test_an_attempt_that_finds_nothing_at_once_leaves_no_lines(world):
    """
    That it took place is on record in scheduling; what it used is counted all the same.
    """
    told, used = [], []
    reports = SimpleNamespace(log=lambda *line, **_: told.append(line), usage=lambda *one: used.append(one))
    story = Story(reports, "tnt_a", world.scheduling.grant())

    story.begin()
    story.end()
    story.report(Ending(Finish.OUTCOME_COMPLETED, Counts()))

    assert (len(told), len(used)) == (0, 1)


async def test_an_attempt_tells_of_its_beginning_before_anything_else(world):
    """
    A line that comes first is about the beginning, also where the source has something to tell.
    """
    told = []
    reports = SimpleNamespace(log=lambda *line, **_: told.append(line[2]))
    story = Story(reports, "tnt_a", world.scheduling.grant())
    story.begin()

    story.say(Log.TYPE_WARNING, "The source is slow.")
    story.end()

    assert ["began" in line for line in told] == [True, False]
