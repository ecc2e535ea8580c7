"""`iq models`: which models there are, and what is known of each."""

from __future__ import annotations

from typing import Annotated

import typer

from iqcli.errors import Exit, IqError
from iqcli.outputs.stdout import write

app = typer.Typer(
    help="Which models there are, and what is known of each.", invoke_without_command=True
)


@app.callback()
def _alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_() -> Exit:
    """List the models with state, licence and summary."""
    from iqcli.models.registry import ENTRIES, TASTE, entry
    from iqcli.outputs import table

    rows = [
        (each.name, "ready" if each.is_ready else "missing", each.licence, each.summary)
        for each in (*ENTRIES.values(), entry(TASTE))
    ]
    table.show(table.plain_table(("model", "state", "licence", "what it is"), rows))
    return Exit.DONE


@app.command()
def info(name: Annotated[str, typer.Argument(help="A model, or a file you trained.")]) -> Exit:
    """Print the model card: data, licence remarks, figures, limits."""
    from iqcli.models import taste
    from iqcli.models.registry import entry, load

    found = entry(name)
    if isinstance(model := load(name), taste.TasteModel):
        write([taste.account(model.head)])
        return Exit.DONE
    blocks = ", ".join(f"{block.name} ({block.size})" for block in model.blocks)
    if found.card is None:
        write([f"{found.name}: {found.summary}\nblocks: {blocks}\n"])
        return Exit.DONE
    try:
        write([found.card.read_text("utf-8")])
    except OSError as error:
        raise IqError(f"cannot read {found.card}: {error.strerror}; install iq again") from error
    return Exit.DONE
