"""`iq models pull`, `rm` and `verify`: the weights that are fetched on request."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from iqcli.cli.console import counted, info, transfer, warn
from iqcli.errors import Exit, IqError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from iqcli.models.registry import Registry
    from iqcli.weights.install import Installed
    from iqcli.weights.manifest import Weight
    from iqcli.weights.store import WeightStore


def registry_of_user() -> Registry:
    """The models and weights that the settings of the person point to."""
    from iqcli import settings
    from iqcli.models.registry import Registry

    return Registry.of(settings.load({}, None))


def _pullable() -> list[str]:
    from iqcli.models.registry import ENTRIES
    from iqcli.weights.store import shipped_rows

    needy = [name for name, each in ENTRIES.items() if each.needs]
    return list(dict.fromkeys([*needy, *shipped_rows()]))


def _pulled() -> list[str]:
    weights = registry_of_user().weights
    return [name for name in weights.rows if weights.record(name)]


Names = Annotated[
    list[str],
    typer.Argument(help="Models or weights.", metavar="NAME", autocompletion=_pullable),
]
Here = Annotated[
    list[str],
    typer.Argument(help="Models or weights.", metavar="NAME", autocompletion=_pulled),
]
Some = Annotated[
    list[str] | None,
    typer.Argument(help="Models or weights [all].", metavar="[NAME]", autocompletion=_pulled),
]


def pull(
    names: Names,
    given: Annotated[
        Path | None,
        typer.Option("--from", help="Take this file instead; for one name.", metavar="FILE"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the weights that are here already.")
    ] = False,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept terms that forbid to sell.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
) -> Exit:
    """Fetch the weights that a model needs, and check them."""
    from iqcli.models import status
    from iqcli.weights import install

    store = registry_of_user().weights
    rows = [status.row_of_file(names, store)] if given else status.rows_of(names, store)
    wanted = [each for each in rows if force or not store.is_installed(each.name)]
    _check_licences(wanted, accept_licence, names, store)
    for each in rows:
        if each not in wanted:
            if given:
                install.check_same(store, each, given)
            _report(f"{each.name} is here already", quiet)
            continue
        if given is None:
            _report(f"pulling {each.name}: {each.megabytes}, {each.licence}", quiet)
        with transfer(each.name, each.size, quiet=quiet) as on_progress:
            installed = install.pull(store, each, on_progress, given)
        _report_installed(installed, quiet)
    return Exit.DONE


def _check_licences(
    rows: Sequence[Weight], accept: bool, names: Sequence[str], store: WeightStore
) -> None:
    """Raise IqError where terms that forbid to sell are neither accepted now nor were before."""
    open_ = [each for each in rows if not each.commercial and not store.accepted(each)]
    if accept or not open_:
        return
    listed = "; ".join(
        f"{each.name}: {each.licence}, {each.terms or each.source}" for each in open_
    )
    raise IqError(
        f"not for commercial use: {listed}; read the terms, and if you accept them run "
        f"`iq models pull {' '.join(names)} --accept-licence`"
    )


def _report_installed(installed: Installed, quiet: bool) -> None:
    name = installed.weight.name
    if installed.verified_by:
        known = f"its sum is the one that {installed.verified_by} knows"
        _report(f"{name} is in place; {known}", quiet)
        return
    warn(f"{name} is in place, but its sum was not known before: sha256 {installed.sha256}")


def _report(sentence: str, quiet: bool) -> None:
    if not quiet:
        info(sentence)


def rm(
    names: Here,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only errors.")] = False,
) -> Exit:
    """Remove pulled weights. Of a model, those that no other ready model needs."""
    from iqcli.models import status
    from iqcli.weights import install
    from iqcli.weights.manifest import megabytes

    registry = registry_of_user()
    going, freed = _going(names, registry, quiet), 0
    for each in going:
        lost = status.users(each.name, registry, names, [one.name for one in going])
        size = install.remove(registry.weights, each)
        freed += size
        what = f"; {', '.join(lost)} cannot do without" if lost else ""
        _report(f"removed {each.name}, {megabytes(size)}{what}", quiet)
    _report(f"{counted(len(going), 'file')} of weights gone, {megabytes(freed)} freed", quiet)
    return Exit.DONE


def _going(names: Sequence[str], registry: Registry, quiet: bool) -> list[Weight]:
    """What to remove: weights as named, and what the models named need and nobody else does."""
    from iqcli.models import status
    from iqcli.models.registry import ENTRIES
    from iqcli.weights import install

    store = registry.weights
    of_models = status.rows_of((name for name in names if name in ENTRIES), store)
    asked = {*names, *(each.name for each in of_models)}
    rows = [each for each in status.rows_of(names, store) if each.name in asked]
    found = []
    for each in rows:
        if not install.pulled_files(store, each):
            continue
        others = status.users(each.name, registry, names, asked)
        if others and each.name not in names:
            _report(f"kept {each.name}, which {', '.join(others)} needs", quiet)
        else:
            found.append(each)
    if not found:
        raise IqError(f"no weights of {', '.join(names)} are here; see `iq models list --weights`")
    return found


def verify(names: Some = None) -> Exit:
    """Read pulled weights again: are they what was placed?"""
    from iqcli.models import status
    from iqcli.output import table
    from iqcli.weights import install

    store = registry_of_user().weights
    rows = status.rows_of(names, store) if names else [store.row(name) for name in _pulled()]
    if not rows:
        info("no weights are here to verify")
    found = []
    for each in rows:
        if fault := install.verify(store, each):
            info(f"iq: {fault}")
        found.append((each.name, "BAD" if fault else "as it was placed"))
    if found:
        table.show(table.plain_table(("weights", "state"), found))
    return Exit.SOME_FAILED if any(state == "BAD" for _, state in found) else Exit.DONE
