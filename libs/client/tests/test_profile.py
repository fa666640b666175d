"""Where the mesh is and who is calling."""

import json

import pytest
from isthmus.client.problem import Problem
from isthmus.client.profile import find_home, load_profile


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for name in ("ISTHMUS_HOME", "ISTHMUS_ADDRESS", "ISTHMUS_API_KEY", "ISTHMUS_API_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)


def home_with(tmp_path, **content):
    (tmp_path / "cli.json").write_text(json.dumps(content))
    return tmp_path


def test_the_nearest_home_upwards_is_found(tmp_path, monkeypatch):
    """
    Commands work anywhere below the folder in which the mesh was started.
    """
    (tmp_path / ".isthmus").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "a" / "b")

    assert find_home() == tmp_path / ".isthmus"


def test_the_stored_profile_is_read(tmp_path):
    """
    `isthmus up` leaves all that later commands need.
    """
    home = home_with(tmp_path, addresses={"registry": "127.0.0.1:1"}, api_key="ist_a_b", tenant_id="tnt_1")

    profile = load_profile(home)

    assert (profile.addresses["registry"], profile.api_key) == ("127.0.0.1:1", "ist_a_b")


def test_the_environment_wins_over_the_stored_profile(tmp_path, monkeypatch):
    """
    A pipeline points the same command at another mesh.
    """
    monkeypatch.setenv("ISTHMUS_ADDRESS", "mesh.example:443")
    monkeypatch.setenv("ISTHMUS_API_KEY", "ist_other_key")

    profile = load_profile(home_with(tmp_path, addresses={"registry": "127.0.0.1:1"}, api_key="x"))

    assert profile.addresses["records"] == "mesh.example:443"
    assert profile.api_key == "ist_other_key"


def test_the_key_is_not_printed(tmp_path):
    """
    A profile in a log line shows no secret.
    """
    home = home_with(tmp_path, addresses={"registry": "127.0.0.1:1"}, api_key="ist_a_topsecret")

    assert "topsecret" not in repr(load_profile(home))


def test_a_damaged_profile_is_told_with_a_remedy(tmp_path):
    """
    Half a file is no reason for a traceback.
    """
    (tmp_path / "cli.json").write_text("{")

    with pytest.raises(Problem, match="isthmus up"):
        load_profile(tmp_path)
