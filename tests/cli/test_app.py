"""The app of one command is the whole app to whoever calls that command."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from iqcli.cli.app import _app_for, app

COMMANDS = [command.name or command.callback.__name__ for command in app.registered_commands]
GROUPS = [group.name for group in app.registered_groups]


@pytest.mark.parametrize("named", [*COMMANDS, *GROUPS])
def test_a_command_is_what_it_is_among_the_others(named: str) -> None:
    lean = _app_for(["--traceback", named, "cache"])
    assert len(lean.registered_commands) + len(lean.registered_groups) == 1
    lean_help, whole_help = (
        CliRunner().invoke(each, [named, "--help"], prog_name="iq") for each in (lean, app)
    )
    assert lean_help.exit_code == 0 and lean_help.output == whole_help.output


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["-h"], ["scor", "score"]])
def test_all_commands_are_there_where_none_is_named(arguments: list[str]) -> None:
    assert _app_for(arguments) is app
