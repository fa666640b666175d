"""Protobuf schemas: read and written as Google's compiler reads them, and judged by numbers of fields."""

import json

import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from isthmus.models import models
from isthmus.services.mapping.domain.registry.protobuf.compatibility import unread
from isthmus.services.mapping.domain.registry.protobuf.from_json_schema import proto_of
from isthmus.services.mapping.domain.registry.protobuf.reading import ProtoInvalid, read_proto
from isthmus.services.mapping.domain.registry.protobuf.to_json_schema import json_schema_of
from jsonschema import Draft202012Validator

PERSON = """
// A person.
syntax = "proto3";
package crm.v1;
import "google/protobuf/timestamp.proto";
option go_package = "x;y";

message Person {
  enum Level { LEVEL_UNSPECIFIED = 0; LEVEL_HIGH = 1 [deprecated = true]; }
  message Address { string street = 1; repeated Person owners = 2; }
  reserved 5, 8 to 10; reserved "old";
  string id = 1 [json_name = "personId", deprecated = true];
  optional int32 age = 2;
  repeated Address addresses = 3; /* where */
  map<string, sint64> scores = 4;
  Level level = 6;
  oneof reach { string mail = 7; .crm.v1.Person.Address post = 11; }
  google.protobuf.Timestamp seen = 12;
}
service Ignored { rpc Get(Person) returns (Person) { option (x) = { a: 1 }; } }
"""


@pytest.fixture
def compiled(tmp_path):
    """Has a file compiled by `protoc` and returns the fields of its messages."""

    def compiled(text):
        (tmp_path / "tried.proto").write_text(text)
        out = tmp_path / "tried.binpb"
        known = f"{protoc.__file__.rpartition('/')[0]}/_proto"
        words = ["protoc", f"-I{tmp_path}", f"-I{known}", f"--descriptor_set_out={out}", "tried.proto"]
        assert protoc.main(words) == 0, text
        [file] = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file
        return {
            f".{file.package}.{one.name}".replace("..", "."): {
                field.name: field.number for field in one.field
            }
            for one in file.message_type
        }

    return compiled


def test_a_file_is_read_as_the_compiler_reads_it(compiled):
    """
    Names and numbers of the first message, whatever else stands in the file.
    """
    text = PERSON.partition("service")[0]
    proto = read_proto(PERSON)

    read = {one.name: one.number for one in proto.messages["crm.v1.Person"].fields}

    assert read == compiled(text)[".crm.v1.Person"]
    assert set(proto.messages) == {"crm.v1.Person", "crm.v1.Person.Address"}
    assert proto.enums["crm.v1.Person.Level"] == {"LEVEL_UNSPECIFIED": 0, "LEVEL_HIGH": 1}


def test_a_message_goes_to_json_schema_and_back(compiled):
    """
    With its numbers; what JSON Schema or Protobuf cannot say is told.
    """
    schema, losses = json_schema_of(read_proto(PERSON))
    text, more = proto_of(schema, "person")

    Draft202012Validator.check_schema(schema)
    assert {loss.path for loss in losses if "oneof" in loss.message} == {"mail", "post"}
    assert {loss.path for loss in more} == {"level", "seen"}
    assert compiled(text)[".Person"] == compiled(PERSON.partition("service")[0])[".crm.v1.Person"]


@pytest.mark.parametrize("model", models(), ids=lambda model: model.reference)
def test_models_are_written_so_that_the_reader_reads_them(model):
    """
    Every built-in model, whatever it is made of.
    """
    text, _ = proto_of(json.loads(json.dumps(model.schema)), model.name)

    assert read_proto(text).root


def test_what_is_written_compiles(compiled):
    """
    Names that are no identifiers, lists of lists, maps, alternatives and anything at all.
    """
    inner = {"type": "object", "properties": {"message": {"type": "integer"}}, "additionalProperties": False}
    schema = {
        "type": "object",
        "properties": {
            "first name": {"type": "string"},
            "1": {"type": ["integer", "null"]},
            "grid": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
            "by key": {"type": "object", "additionalProperties": inner},
            "several": {"type": "array", "items": inner},
            "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            "any": True,
            "firstName": {"type": "string"},
            "first_name": {"type": "string"},
        },
    }

    text, losses = proto_of(schema, "thing/name")

    assert len(compiled(text)) == 2
    assert {"$", "1", "either"} <= {loss.path for loss in losses}


BEFORE = """
syntax = "proto3";
message M { string a = 1; int32 b = 2; repeated int32 c = 3; N n = 4; }
message N { string x = 1; }
"""


@pytest.mark.parametrize(
    ("change", "rules"),
    [
        (("string a = 1;", "string a = 1; string d = 9;"), []),
        (("int32 b", "int64 b"), []),
        (("int32 b = 2;", "reserved 2;"), []),
        (("int32 b", "string b"), ["TYPE_NOT_ALLOWED"]),
        (("string a", "string z"), ["NAME_CHANGED"]),
        (("repeated int32", "int32"), ["TYPE_NOT_ALLOWED"]),
        (("string x", "int32 x"), ["TYPE_NOT_ALLOWED"]),
        (("string a = 1; int32 b = 2;", "oneof o { string a = 1; int32 b = 2; }"), ["ALTERNATIVES_OVERLAP"]),
    ],
)
def test_what_does_not_go_together_is_named(change, rules):
    """
    By the numbers on the wire, and by the names that records have.
    """
    assert [one.rule for one in unread(read_proto(BEFORE), read_proto(BEFORE.replace(*change)))] == rules


@pytest.mark.parametrize(
    "text",
    [
        "",
        "message M {",
        "message M { string a = 1; string b = 1; }",
        "message M { string a = 0; }",
        "message M { Other a = 1; }",
        'import "other.proto"; message M {}',
        "message M { string a 1; }",
        "message M { string \x01 = 1; }",
    ],
)
def test_what_is_no_schema_is_refused(text):
    """
    With a sentence, never with a crash.
    """
    with pytest.raises(ProtoInvalid, match=r"\w \w"):
        read_proto(text)


def test_what_says_nothing_of_records_is_told_to_be_left_out():
    """
    Options, services and extensions, each with its place; names for JSON are kept.
    """
    text = """syntax = "proto3"; package a; option java_package = "b"; service S { rpc R(M) returns (M); }
    message M { option (own.thing) = true; reserved 2;
      string name = 1 [json_name = "Name", deprecated = true, (own.other) = {x: 1}]; }"""
    schema, losses = json_schema_of(read_proto(text))

    assert list(schema["properties"]) == ["Name"]
    assert [(one.path, one.message.split(": ")[1]) for one in losses] == [
        ("a", "the option java_package."),
        ("a", "service S."),
        ("a.M", "option own.thing."),
        ("a.M", "reserved 2."),
        ("a.M.name", "the option deprecated."),
        ("a.M.name", "the option own.other."),
    ]
