"""`iq cache`: the cache of measurements, its size and how to clear it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from iqcli.cli import console
from iqcli.cli.console import counted, warn
from iqcli.cli.options import CacheDir, show_help
from iqcli.errors import Exit
from iqcli.settings import load
from iqcli.text import display_path

if TYPE_CHECKING:
    from iqcli.pipeline.cache import Cache

app = typer.Typer(
    help="Show or clear the cache of measurements.",
    callback=show_help,
    invoke_without_command=True,
)


def _open(cache_dir: str | None) -> Cache:
    from iqcli.pipeline.cache import Cache  # deferred: NumPy is not for `iq --help`

    return Cache(load({"cache_dir": cache_dir}, None).cache_dir, warn)


@app.command()
def info(cache_dir: CacheDir = None) -> Exit:
    """Show the folder of the cache, its number of entries and its size."""
    found = _open(cache_dir).info()
    assert found is not None
    typer.echo(
        f"{display_path(found.folder)}: {counted(found.entries, 'entry', 'entries')}, "
        f"{found.bytes / 1e6:,.1f} MB"
    )
    return Exit.DONE


@app.command()
def clear(cache_dir: CacheDir = None) -> Exit:
    """Delete all cached measurements. No photo, plan or journal is touched."""
    cache = _open(cache_dir)
    count = cache.clear()
    cache.close()
    console.info(f"deleted {count:,} cache entries")
    return Exit.DONE
