"""`iq models`: which models there are, what is known of each, and which one is yours."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli import console
from iqcli.cli.commands.models import weights as pull
from iqcli.cli.console import warn
from iqcli.cli.options import format_option
from iqcli.cli.output import choose
from iqcli.errors import Exit
from iqcli.output.stdout import write
from iqcli.text import display_path

if TYPE_CHECKING:
    from iqcli.models.base import Entry
    from iqcli.models.registry import Registry
    from iqcli.models.status import Item

FORMATS = ("table", "json", "jsonl")

app = typer.Typer(
    help="Which models there are, what is known of each, and their weights.",
    invoke_without_command=True,
)


def _names() -> list[str]:
    from iqcli.models.registry import NAMES

    return [*NAMES]


def _any_names() -> list[str]:
    from iqcli.weights.store import shipped_rows

    return list(dict.fromkeys([*_names(), *shipped_rows()]))


@app.callback()
def _alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        list_()


@app.command("list")
def list_(
    weights: Annotated[
        bool, typer.Option("--weights", help="List the weights that models need.")
    ] = False,
    format_: Annotated[
        str,
        format_option(FORMATS),
    ] = "table",
) -> Exit:
    """List the models with state, download, licence and summary."""
    from iqcli.models import status
    from iqcli.output import rows, table

    choose(format_, FORMATS)
    registry = pull.registry_of_user()
    items = status.rows(registry.weights) if weights else status.models(registry)
    if format_ == "table":
        titles = ("weights" if weights else "model", "state", "download", "commercial", "licence")
        last = "what it is" if weights else "what it is [weights it needs]"
        table.show(table.plain_table((*titles, last), map(_line, items)))
        return Exit.DONE
    records = ({**asdict(each), "needs": list(each.needs)} for each in items)
    write(rows.to_text(format_, records))
    return Exit.DONE


def _line(item: Item) -> tuple[str, ...]:
    needs = f" [{', '.join(item.needs)}]" if item.needs else ""
    commercial = "yes" if item.commercial else "no"
    return item.name, item.state, item.size, commercial, item.licence, item.what + needs


@app.command()
def info(
    name: Annotated[
        str,
        typer.Argument(help="A model, weights, or a file you trained.", autocompletion=_any_names),
    ],
) -> Exit:
    """Print what is known of it: data, source, licence, figures, limits."""
    from iqcli.models import card, status
    from iqcli.models.registry import NAMES

    registry = pull.registry_of_user()
    if name not in NAMES and name in registry.weights.rows:
        write([status.describe([registry.weights.row(name)], registry.weights)])
        return Exit.DONE
    entry = registry.entry(name)
    if entry.needs:
        write([_on_weights(entry, registry)])
    else:
        write([card.describe(entry, registry.load(name))])
    return Exit.DONE


def _on_weights(entry: Entry, registry: Registry) -> str:
    """Of a model that stands on weights, whether or not they are here."""
    from iqcli.models import card, status

    item = status.model(entry, registry.weights)
    rows = status.rows_of([item.name], registry.weights)
    own = f"{card.card_of(entry)}\n" if entry.card else ""
    return (
        f"{own}{item.name}: {item.what}\n"
        f"state: {item.state}; download: {item.size}; licence: {item.licence}; "
        f"commercial use: {'yes' if item.commercial else 'no'}\n\n"
        f"It stands on these weights:\n\n{status.describe(rows, registry.weights)}"
    )


@app.command()
def use(
    name: Annotated[
        str, typer.Argument(help="A model, or a file you trained.", autocompletion=_names)
    ],
) -> Exit:
    """Make it the model that scores photos unless --model names another."""
    from iqcli import settings
    from iqcli.models import status
    from iqcli.models.registry import HUB_ID, NAMES

    registry = pull.registry_of_user()
    entry = registry.entry(name)
    own = entry.weights if name not in {*NAMES, HUB_ID} else None
    path = settings.put("model", str(own.absolute()) if own else name)
    console.info(f"{name} is now the model in {display_path(path)}")
    if (state := status.model(entry, registry.weights).state) != status.READY:
        warn(f"{name} is {state}; see `iq models info {name}`")
    if os.environ.get("IQ_MODEL"):
        warn(f"IQ_MODEL is {os.environ['IQ_MODEL']!r}, which is stronger; unset it")
    return Exit.DONE


app.command("pull")(pull.pull)
app.command("rm")(pull.rm)
app.command("verify")(pull.verify)
