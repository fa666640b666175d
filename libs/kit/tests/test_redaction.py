import io
import json
import logging

import pydantic
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from hypothesis import given
from hypothesis import strategies as st
from isthmus.kit import logs
from isthmus.kit.principal import Principal, acting_as, correlated
from isthmus.kit.redaction import STARS, loggable, scrub, without_secrets
from isthmus.kit.trace import continue_trace

Field = descriptor_pb2.FieldDescriptorProto
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ"
SECRET = st.text(ALPHABET, min_size=12, max_size=40)


def _schema():
    """A message with marked fields in every position: plain, repeated, nested, in maps, bytes."""
    file = descriptor_pb2.FileDescriptorProto(name="redaction_test.proto", package="redaction.test")
    file.syntax = "proto3"
    entry = file.message_type.add(name="Login")
    _add(entry, "user", 1)
    _add(entry, "password", 2, secret=True)
    _add(entry, "old_passwords", 3, secret=True, repeated=True)
    _add(entry, "raw", 4, secret=True, kind=Field.TYPE_BYTES)
    box = file.message_type.add(name="Box")
    _add(box, "name", 1)
    _add(box, "one", 2, kind=Field.TYPE_MESSAGE, type_name=".redaction.test.Login")
    _add(box, "many", 3, repeated=True, kind=Field.TYPE_MESSAGE, type_name=".redaction.test.Login")
    _add(box, "hidden", 4, secret=True, kind=Field.TYPE_MESSAGE, type_name=".redaction.test.Login")
    for number, (name, secret) in enumerate([("logins", False), ("headers", True)], start=5):
        pair = box.nested_type.add(name=f"{name.capitalize()}Entry")
        pair.options.map_entry = True
        _add(pair, "key", 1)
        message = {"kind": Field.TYPE_MESSAGE, "type_name": ".redaction.test.Login"}
        _add(pair, "value", 2, **({} if secret else message))
        _add(
            box,
            name,
            number,
            secret=secret,
            repeated=True,
            kind=Field.TYPE_MESSAGE,
            type_name=f".redaction.test.Box.{name.capitalize()}Entry",
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    names = ("Box", "Login")
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"redaction.test.{n}")) for n in names]


def _add(message, name, number, *, secret=False, repeated=False, kind=Field.TYPE_STRING, type_name=""):
    field = message.field.add(name=name, number=number, type=kind, json_name=name)
    field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
    if type_name:
        field.type_name = type_name
    if secret:
        field.options.debug_redact = True


Box, Login = _schema()


def login(user, secret):
    return Login(user=user, password=secret, old_passwords=[secret, "x" + secret], raw=secret.encode())


@given(secret=SECRET, user=st.text("abc ", max_size=5), count=st.integers(0, 3))
def test_marked_fields_never_show(secret, user, count):
    """
    Wherever a marked field sits, its value is not in what may be logged, and the rest is.
    """
    logins = {str(n): login(user, secret) for n in range(count)}
    box = Box(name="box", one=login(user, secret), many=[login(user, secret)] * count, logins=logins)
    box.hidden.user = secret
    box.headers["authorization"] = secret
    shown = json.dumps(loggable(box))

    assert secret not in shown
    assert '"box"' in shown
    assert box.one.password == secret


@given(secret=SECRET)
def test_copy_without_secrets_has_none(secret):
    """
    What is stored to answer a repeated request contains no marked field.
    """
    box = Box(name="box", one=login("u", secret), logins={"a": login("u", secret)}, headers={"h": secret})
    copy = without_secrets(box)

    assert secret.encode() not in copy.SerializeToString()
    assert (copy.name, copy.one.user, copy.logins["a"].user) == ("box", "u", "u")


SHAPES = [
    "ist_01hzy_{}",
    "Authorization: Bearer {}",
    "authorization: basic {}",
    "https://user:{}@host/path",
    "postgresql://isthmus:{}@127.0.0.1:5432/db",
    "https://host/x?api_key={}&a=b",
    "https://host/x?a=b&access_token={}#f",
    "https://host/x?X-Amz-Signature={}",
    "{{'password': '{}'}}",
    '{{"client_secret": "{}"}}',
    "password={} host=x",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
    "eyJhbGciOi.{}.sig",
]


@pytest.mark.parametrize("shape", SHAPES)
@given(secret=SECRET)
def test_known_shapes_of_secrets_are_scrubbed(shape, secret):
    """
    Secrets in free text are found by their shape.
    """
    assert secret not in scrub("before " + shape.format(secret) + " after")


@given(text=st.text(max_size=300))
def test_scrubbing_is_stable_and_total(text):
    """
    Any text can be scrubbed, and scrubbing twice changes nothing more.
    """
    once = scrub(text)

    assert scrub(once) == once


def test_ordinary_text_stays():
    """
    What is no secret is not touched.
    """
    text = 'flow flw_01 moved 3 records of "incident" in 0.4 s, see https://host/a?page=2&primary=id'

    assert scrub(text) == text


@pytest.fixture
def written():
    """A logger and the lines it wrote."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter("registry"))
    target = logging.getLogger("test.redaction")
    target.handlers, target.propagate, target.level = [handler], False, logging.DEBUG
    return logs.logger("test.redaction"), lambda: [
        json.loads(line) for line in stream.getvalue().splitlines()
    ]


def test_line_says_who_where_and_which_request(written):
    """
    A line carries service, tenant, correlation id and trace id.
    """
    log, lines = written
    continue_trace("00-" + "a" * 32 + "-" + "b" * 16 + "-01")
    with correlated("c-1"), acting_as(Principal("usr_1", "tnt_1", frozenset(), "user")):
        log.info("instance created", instance_id="ins_1", count=3)
    continue_trace("")
    line = lines()[0]

    assert line.pop("ts")
    assert line == {
        "level": "info",
        "service": "registry",
        "logger": "test.redaction",
        "message": "instance created",
        "correlation_id": "c-1",
        "trace_id": "a" * 32,
        "tenant_id": "tnt_1",
        "fields": {"instance_id": "ins_1", "count": 3},
    }


@given(secret=SECRET)
def test_fields_are_scrubbed_by_name_shape_and_mark(secret):
    """
    A field's name, its value's shape or a mark in the contract keeps a secret out of the log.
    """
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonFormatter("registry"))
    target = logging.getLogger("test.property")
    target.handlers, target.propagate, target.level = [handler], False, logging.DEBUG
    log = logs.logger("test.property")
    log.info(
        f"called with Bearer {secret}",
        password=secret,
        headers={"Authorization": f"Bearer {secret}", "x-api-key": "k", "token": [secret]},
        request=login("u", secret),
        url=f"https://u:{secret}@h/",
        error=ValueError(f"?token={secret}"),
    )

    assert secret not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_tracebacks_keep_the_stack_and_drop_the_data(written):
    """
    An exception is logged with its frames and causes, without parameters, rows and inputs.
    """
    log, lines = written

    class Settings(pydantic.BaseModel):
        number: int

    def fail():
        try:
            Settings(number="hunter2")
        except pydantic.ValidationError as error:
            raise RuntimeError("broken\nDETAIL:  Key (id)=(hunter2) already exists.") from error

    with pytest.raises(RuntimeError) as caught:
        fail()
    log.error("failed", error=caught.value)
    text = lines()[0]["error"]

    assert "hunter2" not in text.replace('Settings(number="hunter2")', "").replace("(hunter2) already", "")
    assert "in fail" in text
    assert "number: int_parsing" in text
    assert STARS not in text


def test_what_cannot_be_rendered_still_gives_a_line(written):
    """
    A hostile object or a wrong format string does not lose the line.
    """
    log, lines = written

    class Hostile:
        def __str__(self):
            raise ValueError("no")

    log.info("odd", value=Hostile(), text="\ud800\u2028\x00")
    wrong = logging.LogRecord("x", logging.INFO, "", 0, "%d items", ("many",), None)

    assert len(lines()) == 1
    assert json.loads(logs.JsonFormatter("registry").format(wrong))["message"] == "%d items"


@given(
    st.text("istr_-A9", max_size=40) | st.from_regex(r"is[tr]_[a-z]{1,4}_[A-Za-z0-9_-]{6,12}", fullmatch=True)
)
def test_a_single_word_is_looked_at_as_closely_as_a_sentence(word):
    """
    Ids are let through at once, and a key is none.
    """
    assert scrub(word) == scrub(f"{word} ")[:-1]
