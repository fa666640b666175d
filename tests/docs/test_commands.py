"""Every command that documentation or help shows works as shown."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from isthmus.client.cli import run
from isthmus.testing.waiting import PATIENCE_SECONDS

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.slow,
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"^```yaml\n# (\S+\.yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"Example: `(.+)`")
SHELL = set("|&;<>$`*?~#(){}\n")
# They end something that the following examples need, or the mesh itself, or make others of us.
ENDING = {"delete", "deactivate", "down", "up", "demo", "cancel", "revoke", "drop", "retire"}
ENDING |= {"login", "logout", "passwd", "totp", "sandbox"}
PERSON = "{type: object, properties: {id: {type: string}}, additionalProperties: false}"
RECORD = {"policyId": "p", "requirementId": "r", "status": "fail", "evidenceRef": "e"}


def shown(text):
    """Gives each `$ isthmus …` with the exit code that a following `# exits N` states."""
    for block in CONSOLE.findall(text):
        for line, after in zip((lines := block.splitlines()), [*lines[1:], ""], strict=True):
            if line.startswith("$ isthmus "):
                stated = re.match(r"# exits (\d+)", after)
                yield line.removeprefix("$ "), int(stated[1]) if stated else 0


def examples(command):
    """Gives the example of every command in the order of the tree."""
    for child in getattr(command, "commands", {}).values():
        yield from examples(child)
    yield from EXAMPLE.findall(f"{command.help or ''}\n{command.epilog or ''}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Gives the folder that a reader of the documentation works in."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def shell(mesh, commands, folder):
    """Runs a line in that folder on a mesh that holds the demonstration; what needs no shell does without."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ISTHMUS_HOME": str(mesh.home), "NO_COLOR": "1"}
    mesh.ok("demo", "--no-network", timeout=300)
    (folder / "records.json").write_text(json.dumps([RECORD]))
    (folder / "person.yaml").write_text(PERSON)

    def do(line):
        if not SHELL & set(line):
            done = commands.run(shlex.split(line)[1:], environment, folder=folder)
            return done.code, done.out, done.err
        done = subprocess.run(
            line,
            shell=True,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return do


@pytest.mark.parametrize(
    "page", ["README.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
def test_commands_of_documentation_work(shell, folder, page):
    """
    In the order of the page, on what `make run` leaves behind and the files that the page shows.
    """
    for name, text in FILE.findall((ROOT / page).read_text()):
        (folder / name).write_text(text)

    for line, code in shown((ROOT / page).read_text()):
        ended, out, told = shell(line)

        assert ended == code, f"{line}\n{out}\n{told}"


@pytest.fixture
def inside(shell, mesh, monkeypatch, capsys):
    """Runs a command in this process, which saves importing everything each time."""
    commands = run.tree()
    monkeypatch.setenv("ISTHMUS_HOME", str(mesh.home))

    def do(*words):
        monkeypatch.setattr("sys.argv", list(words))
        code = run.run(commands)
        return code, *capsys.readouterr()

    return do


def test_examples_of_help_work(shell, inside, folder, monkeypatch):
    """
    Whoever copies an example out of `--help` sees it work; those that need an id of yours are left out.
    """
    shell("isthmus export > integrations.yaml")
    monkeypatch.chdir(folder)

    for line in examples(run.tree()):
        words = shlex.split(line)
        if ENDING & set(words) or "_01j9" in line or ">" in words:
            continue
        code, out, told = inside(*words)

        assert code == 0, f"{line}\n{out}\n{told}"
        assert out or told, line


def test_json_of_every_list_is_json(inside):
    """
    A program gets one JSON value and nothing else on standard output, also where there is nothing.
    """
    for line in examples(run.tree()):
        words = shlex.split(line.partition(" --output")[0])
        if "list" in words:
            _, out, _ = inside(*words, "--output", "json")

            assert isinstance(json.loads(out), list), line
