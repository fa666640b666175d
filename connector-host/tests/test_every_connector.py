"""What holds for every connector that is installed."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import jsonschema
import pytest
import yaml
from isthmus.sdk import Credential
from isthmus.sdk.declared import settings_model
from isthmus.sdk.runtime import spec_of
from isthmus.sdk.settings import load_settings

CONNECTORS = {point.name: point for point in entry_points(group="isthmus.connectors")}
BESIDE = Path(__file__).parents[1] / "connectors"


@pytest.fixture(params=sorted(CONNECTORS))
def connector(request):
    return CONNECTORS[request.param].load()


@pytest.fixture
def readme(connector):
    path = BESIDE / connector.connector_id.replace("-", "_") / "README.md"
    if not path.exists():
        pytest.skip("this connector lives in another repository")
    return path.read_text()


def test_it_describes_itself(connector):
    """
    Name, description, version, digest, and at least one thing that it can do.
    """
    spec = spec_of(connector)

    assert CONNECTORS[spec.connector_id].load() is connector
    assert spec.description.endswith(".")
    assert re.fullmatch(r"\d+\.\d+\.\d+", spec.version)
    assert re.fullmatch(r"[0-9a-f]{64}", spec.build_digest)
    assert spec.capabilities
    assert spec.auth_methods


def test_its_form_is_json_schema(connector):
    """
    The schema is valid 2020-12, and every setting at the top is described or speaks for itself.
    """
    schema = spec_of(connector).configuration_schema

    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["type"] == "object"


def test_the_readme_configuration_works(connector, readme):
    """
    The smallest configuration passes the form and the settings.
    """
    block = yaml.safe_load(readme.split("```yaml\n", 1)[1].split("```", 1)[0])
    configuration = block.get("configuration", block.get("spec", {}).get("configuration"))

    jsonschema.validate(
        configuration, spec_of(connector).configuration_schema, jsonschema.Draft202012Validator
    )
    load_settings(settings_model(connector), configuration, Credential())


def test_settings_are_named_in_the_readme(connector, readme):
    """
    Whoever reads the README knows every setting at the top.
    """
    missing = [
        name
        for name in settings_model(connector).model_fields
        if f"`{name}" not in readme and f"{name}:" not in readme
    ]

    assert missing == []


def test_it_knows_the_sdk_and_its_vendor_only(connector):
    """
    Importing a connector brings neither gRPC nor the chassis.
    """
    strangers = "grpc google nats sqlalchemy hvac isthmus.kit isthmus.client"
    code = (
        f"import sys, {connector.__module__}; print([m for m in '{strangers}'.split() if m in sys.modules])"
    )

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"
