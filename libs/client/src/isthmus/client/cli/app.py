"""The tree of commands."""

from pathlib import Path
from typing import Annotated

import typer
from isthmus.client.cli import (
    access,
    audit,
    auth,
    conflicts,
    connectors,
    credentials,
    events,
    flows,
    identity,
    instances,
    links,
    login,
    logs,
    manifests,
    mapping_functions,
    mapping_inverse,
    mapping_previews,
    mapping_suggestions,
    mapping_versions,
    mappings,
    models,
    people,
    plans,
    privacy,
    providers,
    quarantine,
    quotas,
    ready,
    reconcile,
    records,
    schema_explorer,
    schemas,
    scim,
    sessions,
    support,
    sync,
)

app = typer.Typer(
    name="isthmus",
    help="Connects compliance, security and IT systems: syncs their records and shows what happened.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _root(
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            envvar="ISTHMUS_HOME",
            help="Folder of the local mesh; the nearest .isthmus when not given.",
        ),
    ] = None,
) -> None:
    """Connects compliance, security and IT systems: syncs their records and shows what happened."""


for _group in (
    connectors,
    instances,
    credentials,
    auth,
    mappings,
    mapping_functions,
    mapping_inverse,
    mapping_versions,
    ready,
    mapping_suggestions,
    mapping_previews,
    models,
    schemas,
    schema_explorer,
    flows,
    plans,
    sync,
    records,
    links,
    quarantine,
    conflicts,
    reconcile,
    privacy,
    events,
    logs,
    audit,
    manifests,
    identity,
    login,
    people,
    sessions,
    access,
    support,
    providers,
    quotas,
    scim,
):
    _group.register(app)
