"""`iq cache`: how much is remembered, and forgetting it."""

from __future__ import annotations

from pathlib import Path

import typer

from iqcli.cache import Cache
from iqcli.commands.options import CacheDir
from iqcli.commands.screen import counted, say, warn
from iqcli.errors import Exit
from iqcli.outputs.names import shown
from iqcli.settings import load

app = typer.Typer(help="How much is remembered, and forgetting it.", no_args_is_help=True)


def _open(cache_dir: Path | None) -> Cache:
    return Cache(load({"cache_dir": cache_dir}, Path()).cache_dir, warn)


@app.command()
def info(cache_dir: CacheDir = None) -> Exit:
    """Say where the cache lies, how many entries it has and how large it is."""
    found = _open(cache_dir).info()
    assert found is not None
    typer.echo(
        f"{shown(found.folder)}: {counted(found.entries, 'entry').replace('entrys', 'entries')}, "
        f"{found.bytes / 1e6:,.1f} MB"
    )
    return Exit.DONE


@app.command()
def clear(cache_dir: CacheDir = None) -> Exit:
    """Forget all measurements. No photo, plan or journal is touched."""
    cache = _open(cache_dir)
    count = cache.clear()
    cache.close()
    say(f"forgot {count:,} cache entries")
    return Exit.DONE
