"""`kinemark models`: which there are, and how they come onto this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kinemark.cli.output import Json, out, print_json
from kinemark.errors import RequestError

if TYPE_CHECKING:
    from kinemark.wan.releases import Release

app = typer.Typer(help="Which models there are; pull or import one of the open Wan family.", no_args_is_help=True)

GB = 1e9


@app.command(name="list")
def list_models(json: Json = False) -> None:
    """Name, size, memory that the weights take, licence, and whether it is on this machine."""
    rows = [_spark(), *_wan()]
    if json:
        print_json({"models": rows})
        return
    for row in rows:
        here = "here" if row["here"] else f"kinemark models pull {row['name']}"
        out().print(
            f"{row['name']:<26}{row['parameters'] / GB:6.2f} B  {row['memory'] / GB:6.1f} GB  "
            f"{row['licence']:<44}  {here}\n{'':<26}{row['about']}",
            soft_wrap=True,
        )


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="Of kinemark models list.", show_default=False)],
    yes: Annotated[bool, typer.Option("--yes", help="Accept the licence without being asked.")] = False,
) -> None:
    """Bring a model onto this machine from the Hugging Face hub; an interrupted pull goes on where it was."""
    from kinemark.catalogue import without_packages
    from kinemark.settings import load_settings
    from kinemark.wan.releases import RELEASES
    from kinemark.wan.store import installed
    from kinemark.wan.store import pull as bring

    if name not in RELEASES:
        raise RequestError(f"there is no release {name!r}; those to pull are: {', '.join(RELEASES)}")
    try:
        from kinemark.wan.hub import download
    except ModuleNotFoundError as error:
        raise RequestError(without_packages("a pull", error)) from error

    models = load_settings().models_dir
    release = RELEASES[name]
    wanted = [RELEASES[one] for one in (release.base, name) if one and one not in installed(models)]
    for one in wanted:
        out().print(f"{one.name}: {one.repository}, licence {one.licence}", soft_wrap=True)
    if wanted and not yes and not typer.confirm("Pull under these licences?"):
        raise typer.Exit(1)
    for one in wanted:
        bring(one, models, download)
    out().print(f"{name} is here; use it: kinemark generate ... --model {name}", soft_wrap=True)


@app.command(name="import")
def import_model(
    checkpoint: Annotated[Path, typer.Argument(help="A file, or a folder of shards.", show_default=False)],
    like: Annotated[str, typer.Option(help="The release that it was made from or like.", show_default=False)],
    name: Annotated[str | None, typer.Option(help="By which to ask for it.", show_default="the file's")] = None,
    lora: Annotated[Path | None, typer.Option(help="An adapter to merge into it.")] = None,
    licence: Annotated[str, typer.Option(help="Of the weights.")] = "unknown",
) -> None:
    """Convert a checkpoint of any layout of the Wan family, once. No code in it is run."""
    from kinemark.catalogue import without_packages
    from kinemark.settings import load_settings
    from kinemark.wan.releases import RELEASES
    from kinemark.wan.store import import_checkpoint, record_of

    if like not in RELEASES:
        raise RequestError(f"--like is {like!r}; give one of: {', '.join(RELEASES)}")
    called = name or checkpoint.stem
    models = load_settings().models_dir
    try:
        folder = import_checkpoint(checkpoint, models, name=called, release=RELEASES[like], lora=lora, licence=licence)
    except ModuleNotFoundError as error:
        raise RequestError(without_packages("an import of a folder", error)) from error
    out().print(f"{called} is here (weights {record_of(folder).digest[:16]}); it runs like {like}", soft_wrap=True)


def _spark() -> dict[str, Any]:
    from kinemark.model.load import WEIGHTS

    size = (WEIGHTS / "spark.safetensors").stat().st_size
    about = "a small drawn world, on a laptop's CPU; ships with the package"
    return {
        "name": "spark",
        "parameters": size // 2,
        "memory": size,
        "licence": "Apache-2.0",
        "about": about,
        "here": True,
    }


def _wan() -> list[dict[str, Any]]:
    """The releases, and what was imported beside them."""
    from kinemark.settings import load_settings
    from kinemark.wan.releases import RELEASES
    from kinemark.wan.store import installed

    here = installed(load_settings().models_dir)
    rows = [
        _row(release.name, release, release.licence, release.about, here=release.name in here)
        for release in RELEASES.values()
    ]
    for name, record in here.items():
        if name not in RELEASES:
            about = f"like {record.release}, imported from {record.source}"
            rows.append(_row(name, RELEASES[record.release], record.licence, about, here=True))
    return rows


def _row(name: str, release: Release, licence: str, about: str, *, here: bool) -> dict[str, Any]:
    parameters = release.parameters
    return {
        "name": name,
        "parameters": parameters,
        "memory": 2 * parameters,
        "licence": licence,
        "about": about,
        "here": here,
    }
