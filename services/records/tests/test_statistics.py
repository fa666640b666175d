"""What the values of a stream are like, by a sample of it."""

from isthmus.mapper.privacy import Classes, DataClass, Scrubber
from isthmus.records.v1 import statistics_pb2 as pb
from isthmus.records.v1.statistics_pb2_grpc import StatisticsServiceStub
from isthmus.services.records.domain.statistics import statistics_of

RECORDS = [
    {"id": 1, "level": "high", "who": {"mail": "ada@example.org"}, "tags": ["a", "b"]},
    {"id": 2, "level": "high", "who": {"mail": None}, "tags": []},
    {"id": 3.5, "level": "low", "who": {}, "list": [{"n": 1}, {"m": 2}]},
]


def told(records, **classes):
    """Statistics by path."""
    scrubber = Scrubber(Classes({path.replace("_", "."): kind for path, kind in classes.items()}))
    return {one.path: one for one in statistics_of(records, scrubber)}


def test_each_field_tells_how_full_it_is_and_what_is_in_it():
    """
    What lies inside something counts by how often that was there.
    """
    found = told(RECORDS)

    assert (found["id"].least, found["id"].greatest, found["id"].distinct) == ("1", "3.5", 3)
    assert found["level"].examples == (('"high"', 2), ('"low"', 1))
    assert found["level"].lengths == (3, 4)
    mail = found["who.mail"]
    assert (mail.places, mail.missing, mail.nulls) == (3, 1, 1)
    assert (found["list[*].n"].places, found["list[*].n"].missing) == (2, 1)
    assert found["tags"].types == ("array",)


def test_sensitive_values_are_not_told():
    """
    Neither as examples nor as the least and greatest; that there are some is.
    """
    mail = told(RECORDS, who_mail=DataClass.PERSONAL)["who.mail"]

    assert "ada" not in str(mail)
    assert (mail.least, mail.greatest, mail.examples) == ("", "", (("‹personal›", 1),))
    assert mail.distinct == 1


async def test_a_sample_comes_from_both_ends_of_the_stream(hub, refused):
    """
    As many as were asked for, each once.
    """
    statistics = StatisticsServiceStub(hub.service.channel(tenant=hub.tenant))
    await hub.put("counted", [{"id": f"{n:03}"} for n in range(20)], [f"{n:03}" for n in range(20)])

    def asked(stream, size=0):
        request = pb.GetStreamStatisticsRequest(stream=stream, sample_size=size)
        return statistics.GetStreamStatistics(request)

    few, everything = await asked("counted", 4), await asked("counted")

    assert (few.records, few.sampled, everything.sampled) == (20, 4, 20)
    assert (few.fields[0].least, few.fields[0].greatest) == ('"000"', '"019"')
    assert (await refused(asked("nothing")))[1] == "STREAM_UNKNOWN"
