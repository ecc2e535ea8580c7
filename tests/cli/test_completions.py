"""The completion files of the package are what `iq` prints, and bash completes with them."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from support.cli_runner import IQ, SOURCE

if TYPE_CHECKING:
    from support.cli_runner import Iq

FILES = {"bash": "iq.bash", "zsh": "_iq", "fish": "iq.fish", "powershell": "iq.ps1"}
# A zsh that finds the file by its name runs it as the function: without this line the first TAB
# would only define it.
ADDED = {
    "zsh": """
# Loaded by its name, this file is the function: complete at the first TAB too.
_iq_completion "$@"
"""
}
FOLDER = SOURCE / "completions"
BASH = shutil.which("bash")
COMPLETE = """
source "$1"
complete -p iq
COMP_WORDS=("${@:2}")
COMP_CWORD=$(($# - 2))
_iq_completion iq
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize("shell", FILES)
def test_the_file_is_what_the_program_prints(iq: Iq, shell: str) -> None:
    ran = iq("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert ran.code == 0
    printed = ran.out.decode().replace("\r\n", "\n") + ADDED.get(shell, "")
    assert printed == (FOLDER / FILES[shell]).read_text("utf-8"), (
        f"renew completions/{FILES[shell]}"
    )


@pytest.mark.skipif(BASH is None, reason="no bash here")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["sc"], ["score"]),
        (["c"], ["cull", "compare", "cache"]),
        (["models", ""], ["list", "info", "use", "pull", "rm", "verify"]),
        (["score", "--format", ""], ["table", "csv", "json", "jsonl", "paths"]),
        (["score", "-f", "json"], ["json", "jsonl"]),
        (["rank", "--model", "fusion-m"], ["fusion-mini"]),
        (["rank", "--sort", "t"], ["technical", "taken", "taken_from"]),
        (["cull", "--ap"], ["--apply"]),
        (["export", "--format", "p"], ["parquet"]),
        (["score", "IMG"], [""]),
    ],
)
def test_bash_completes(iq: Iq, words: list[str], found: list[str]) -> None:
    spy = iq.home / "bin" / "iq"
    spy.parent.mkdir()
    spy.write_text(
        f'#!/bin/sh\necho "$_IQ_COMPLETE" >> "{iq.home}/asked"\nexec {" ".join(IQ)} "$@"\n'
    )
    spy.chmod(0o755)
    env = iq.environ | {"PATH": f"{spy.parent}{os.pathsep}{os.environ['PATH']}"}
    command = [str(BASH), "--norc", "-c", COMPLETE, "bash", FOLDER / "iq.bash", "iq", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=iq.cwd, check=True)
    binding, *seen = done.stdout.split("\n")[:-1]
    assert binding == "complete -o default -F _iq_completion iq"
    assert seen == found
    assert done.stderr == ""
    assert (iq.home / "asked").read_text() == "complete_bash\n"
    assert not iq.cache.exists()
