"""The tree of commands."""

from types import SimpleNamespace

import pytest
import typer
from isthmus.client.cli import app as tree
from isthmus.client.cli import links
from isthmus.client.cli import run as runner
from isthmus.client.problem import ExitCode, Problem, Violation
from isthmus.client.profile import load_profile
from typer.testing import CliRunner

COMMANDS = typer.main.get_command(tree.app)


ONE_FORM = {"audit export", "secrets key", "secrets signing-key", "vault script"}
"""What these write has one form by its nature: JSON Lines whose bytes are verified, keys, a shell script."""


def leaves(command, path=()):
    found = getattr(command, "commands", None)
    if not found:
        return [(path, command)]
    return [leaf for name, child in found.items() for leaf in leaves(child, (*path, name))]


def test_every_command_has_an_example_and_an_output_option():
    """
    Help shows how, and every answer can be read by a program.
    """
    found = {" ".join(path): command for path, command in leaves(COMMANDS)}
    bare = {
        path
        for path, command in found.items()
        if not any("--output" in option.opts for option in command.params)
    }

    assert [
        path for path, one in found.items() if "Example: `isthmus " not in f"{one.help} {one.epilog}"
    ] == []
    assert bare <= ONE_FORM


def test_help_ends_well():
    """
    Asking for help is no mistake.
    """
    assert CliRunner().invoke(tree.app, ["sync", "run", "--help"]).exit_code == ExitCode.DONE


def test_a_problem_is_one_sentence_with_its_reason_and_fields(capsys):
    """
    A person reads what happened and what to do, never a traceback.
    """
    code = runner._explain(Problem("FIELD_INVALID", "Mend [this].", exit_code=ExitCode.USAGE))

    assert code == ExitCode.USAGE
    assert capsys.readouterr().err == "error: Mend [this]. (FIELD_INVALID)\n"


def test_services_words_become_commands(capsys):
    """
    Who types commands is told a command, not the name of an RPC.
    """
    runner._explain(Problem("FLOW_UNKNOWN", "There is no flow x; ListFlows shows what there is."))

    assert "; `isthmus flows list` shows" in capsys.readouterr().err


def test_a_mistake_is_told_once(capsys):
    """
    A violation that says the same as the message is not repeated below it.
    """
    told = "Set `name`; it is empty."
    runner._explain(Problem("FIELD_INVALID", told, violations=(Violation("name", told),)))

    assert capsys.readouterr().err.count(told) == 1


@pytest.mark.parametrize("arguments", [["flows"], []])
def test_a_group_alone_shows_its_help_and_no_error(arguments, monkeypatch, capsys):
    """
    Half a command leads on.
    """
    monkeypatch.setattr("sys.argv", ["isthmus", *arguments])

    code = runner.run(COMMANDS)

    shown = capsys.readouterr()
    assert code == ExitCode.USAGE
    assert "Usage: isthmus" in shown.out + shown.err
    assert "error:" not in shown.err


@pytest.mark.parametrize("path", ["absent", "."])
def test_an_unreadable_key_file_is_named(path, tmp_path, monkeypatch):
    """
    The variable and the file are in the message.
    """
    monkeypatch.setenv("ISTHMUS_API_KEY_FILE", str(tmp_path / path))
    monkeypatch.setenv("ISTHMUS_ADDRESS", "127.0.0.1:1")

    with pytest.raises(Problem, match="ISTHMUS_API_KEY_FILE names") as told:
        load_profile(tmp_path)

    assert told.value.exit_code == ExitCode.USAGE


def test_without_a_mesh_the_way_to_one_is_shown(tmp_path, monkeypatch):
    """
    The first command on a new machine leads on.
    """
    monkeypatch.chdir(tmp_path)

    result = CliRunner().invoke(tree.app, ["--home", str(tmp_path / "none"), "connectors", "list"])

    assert isinstance(result.exception, Problem)
    assert "isthmus up" in result.exception.message


def test_nothing_in_doubt_is_not_told_as_nothing_linked(monkeypatch, capsys):
    """
    A flow that holds a thousand tickets may have none in doubt.
    """
    monkeypatch.setattr(links, "mesh_of", lambda ctx: SimpleNamespace(links=SimpleNamespace(ListLinks=None)))
    monkeypatch.setattr(links, "flow_id", lambda mesh, flow: "flw_1")
    monkeypatch.setattr(links, "pages", lambda *asked: [])

    links.list_links(None, "tickets", in_doubt=True)

    assert "No link is in doubt." in "".join(capsys.readouterr())
