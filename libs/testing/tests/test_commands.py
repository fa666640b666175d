import subprocess
import threading

import pytest
from isthmus.testing.commands import CommandLine

ENVIRONMENT = {"NO_COLOR": "1", "COLUMNS": "240"}


@pytest.fixture(scope="module")
def commands():
    with CommandLine() as line:
        yield line


def test_a_command_ends_as_in_a_shell(commands, tmp_path):
    """
    With its exit code, what it says, and what it complains of.
    """
    helped = commands.run(["--help"], ENVIRONMENT)
    failed = commands.run(["--home", str(tmp_path), "flows", "list"], ENVIRONMENT)

    assert (helped.code, helped.err) == (0, "")
    assert "Connects compliance, security and IT systems" in helped.out
    assert (failed.code != 0, failed.out) == (True, "")
    assert "MESH_UNKNOWN" in failed.err


def test_each_command_has_its_own_environment(commands, tmp_path):
    """
    Variables and the folder it is run in are its own.
    """
    named = commands.run(["flows", "list"], {**ENVIRONMENT, "ISTHMUS_HOME": str(tmp_path / "named")})
    (tmp_path / "empty.yaml").touch()
    unfound = commands.run(["apply", "-f", "empty.yaml"], ENVIRONMENT)
    found = commands.run(["apply", "-f", "empty.yaml"], ENVIRONMENT, folder=tmp_path)

    assert str(tmp_path / "named") in named.err
    assert "empty.yaml" in unfound.err
    assert "empty.yaml" not in found.err


def test_commands_run_beside_one_another(commands):
    """
    Threads get each what theirs has said.
    """
    words, said = ["flows", "records", "audit", "links"], {}

    def ask(word):
        said[word] = commands.run([word, "--help"], ENVIRONMENT).out

    threads = [threading.Thread(target=ask, args=[word]) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(f"isthmus {word}" in said[word] for word in words)


def test_what_takes_too_long_is_killed(commands):
    """
    As a command of a shell would be, and the next one is run as ever.
    """
    with pytest.raises(subprocess.TimeoutExpired):
        commands.run(["--help"], ENVIRONMENT, timeout=0.001)

    assert commands.run(["--help"], ENVIRONMENT).code == 0
