"""`iq train`: fit a model on opinions, or the issue thresholds on good photos."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from iqcli.commands.evaluate import Images, MosRange, Where, one_file
from iqcli.commands.options import over_photos, say_help
from iqcli.commands.run import Run
from iqcli.commands.screen import say
from iqcli.errors import Exit, IqError
from iqcli.outputs.names import shown

app = typer.Typer(
    help="Fit a model on opinions, or thresholds on photos.",
    callback=say_help,
    invoke_without_command=True,
)


@app.command()
@over_photos
def fusion(
    run: Run,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where the weights go.")],
    images: Images = None,
    mos_range: MosRange = None,
    where: Where = None,
    blocks: Annotated[
        str, typer.Option("--blocks", help="Blocks to fuse, with commas.")
    ] = "brisque,photometry",
    scene: Annotated[
        str | None,
        typer.Option("--scene", help="Column that names near duplicates; they share a fold."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Model id in results [the file's name].")
    ] = None,
) -> Exit:
    """Fit the fusion network on opinions: iq train fusion FILE.csv -o my.safetensors.

    Blocks are cached, so a second fit takes a minute. Prints SRCC and RMSE on photos that the
    scoring member did not see. Use the result with --model my.safetensors.
    """
    from iqcli import opinions
    from iqcli.training.fitting import fit_fusion

    told = opinions.read(one_file(run), images, mos_range, where)
    if output.suffix != ".safetensors":
        raise IqError(f"--output is {shown(output)}; give a name that ends in .safetensors")
    if scene is None:
        say("no --scene: photos of one scene may fall into several folds and flatter the figures")
    report = fit_fusion(told, blocks, scene, output, name or output.stem, run.measured, say)
    say(f"learnt from {report.photos:,} photos and {report.ladders:,} ladders")
    say(f"held-out folds: SRCC {report.srcc:.3f}, RMSE {report.rmse:.3f} points")
    say(f"wrote {shown(output)}")
    return run.finish("used")


@app.command()
@over_photos
def issues(
    run: Run,
    output: Annotated[Path, typer.Option("--output", "-o", help="JSON file for the thresholds.")],
) -> Exit:
    """Fit the issue thresholds on folders of good photos.

    Synthetic faults of three strengths are put on each photo; the thresholds let each fault be
    seen on at most 3.5 % of the good photos.
    """
    from iqcli.files import write_atomic
    from iqcli.outputs import table
    from iqcli.training.fitting import fit_issues

    if output.suffix != ".json":
        raise IqError(f"--output is {shown(output)}; give a name that ends in .json")
    fitted = fit_issues(run.paths, run.settings.max_megapixels, say)
    write_atomic(output, json.dumps({"thresholds": fitted.levels}, indent=1).encode() + b"\n")
    titles = ("issue", "false alarms", "found slight", "found clear", "found severe")
    table.show(
        table.plain_table(
            titles,
            [
                (name, f"{fitted.false_alarms[name]:.1%}", *(f"{x:.1%}" for x in found))
                for name, found in fitted.found.items()
            ],
        )
    )
    return Exit.DONE
