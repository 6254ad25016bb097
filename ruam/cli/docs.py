"""For those who use what is published: the documentation, and the export."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import said, say

if TYPE_CHECKING:
    from ruam.docs.facts import File
    from ruam.docs.lineage import Column
    from ruam.docs.project import Project


def docs(
    out: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="Folder to write; default docs in the data home.", show_default=False),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Then serve it on this machine, until interrupted (Ctrl-C).")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of --serve; 0 takes a free one.")] = 8502,
) -> None:
    """Write the documentation as pages that open offline: open DIR/index.html.

    Each measure has its formula, parameters by date, code sets, tests, SQL, history, and its lineage from the fields
    of the senders to the published figure, in Thai and English; then the data dictionary, every field, and dbt's own
    documentation. It needs no data: what it cannot say without a built warehouse or a publication, it says.

    Example: ruam docs /srv/ruam-docs --serve --port 8502
    """
    from ruam.docs.site import Words
    from ruam.docs.write import write_docs

    active = settings()
    home = active.data_home
    folder = (out or home.root / "docs").absolute()
    written = write_docs(home, _project(), _standard(), _figures, folder)
    say(f"{written.n_measures:,} measures, {written.n_pages:,} pages: {said(folder / 'index.html')}")
    for key in written.missing:
        say(Words("en")("missing." + key))
    log.info("documented", extra={"measures": written.n_measures, "missing": list(written.missing)})
    if serve:
        _serve(folder, port)


def export(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A new folder, or that of an earlier export, which is replaced whole."),
    ],
) -> None:
    """Export what is published as a data package: Parquet files, and a descriptor that says what each column is.

    Only disclosure-controlled tables leave, with the definitions of the measures, as of when they are, the licence
    (RUAM_EXPORT_LICENCE__NAME, __TITLE, __PATH) and the hash of each file. The same publication gives the same bytes.
    Exit code 6 when nothing is published.

    Example: ruam export /srv/ruam-export
    """
    from ruam.export import DESCRIPTOR
    from ruam.export import export as export_package

    active = settings()
    target = folder.absolute()
    done = export_package(active.data_home, target, active.export_licence)
    say(f"Exported {done.n_tables} tables, {done.n_rows:,} rows of run {done.run_id}: {said(target / DESCRIPTOR)}")
    log.info("exported", extra={"run_id": done.run_id, "rows": done.n_rows})


def _project() -> Project:
    from identity.linkage.links import ensure_links
    from ingestion.landing import ensure_schema_batch
    from ingestion.reference import ensure_schemas
    from ruam.docs.project import compiled_project
    from ruam.home import DataHome

    with TemporaryDirectory(prefix="ruam-docs-") as folder:
        scratch = DataHome(Path(folder) / "home")
        scratch.create()
        ensure_schema_batch(scratch.landing)
        ensure_schemas(scratch)
        ensure_links(scratch.links)
        return compiled_project(scratch)


def _standard() -> tuple[File, ...]:
    """The files of the contracts, by the dbt source that reads them."""
    from ingestion.checks import landing_columns
    from ingestion.contract import load_contracts
    from ingestion.reference_rows import load_reference_contracts
    from ruam.docs.facts import Field, File

    own = [
        File(
            contract.file,
            contract.label_th,
            contract.description,
            # A file of the standard without a number is one of our own, which the 16 files fill.
            f"{'f43' if contract.number else 'f16'}.{contract.table}",
            tuple(
                Field(
                    column.name, column.label_th, column.description, tuple(landing_columns(column)), column.why_dropped
                )
                for column in contract.columns
            ),
        )
        for contract in load_contracts().values()
    ]
    reference = [
        File(
            contract.table,
            contract.label_th,
            contract.description,
            {
                "drugs": "drugs.map",
                "indicators": "indicators.given",
                "registry": "registry.facilities",
                "rollout_effects": "studies.rollout_effects",
            }[contract.table],
            tuple(Field(one.name, one.label_th, one.description, (one.name,)) for one in contract.columns),
        )
        for contract in load_reference_contracts().values()
    ]
    return (*own, *reference)


def _figures(measure_id: str) -> tuple[Column, ...]:
    """Published columns of a measure's figure, as the pages read them."""
    from dashboards.queries.figures import columns_of
    from ruam.docs.lineage import Column

    return tuple(Column(*one) for one in columns_of(measure_id))


def _serve(folder: Path, port: int) -> None:
    from ruam.docs.serve import LOOPBACK, server
    from ruam.errors import UsageError

    try:
        pages = server(folder, port)
    except OSError as error:
        raise UsageError(
            f"Port {port} of this machine cannot be used ({error.strerror}). Name another: --port."
        ) from error
    with pages:
        say(f"Serving on http://{LOOPBACK}:{pages.server_port} (stop with Ctrl-C)")
        try:
            pages.serve_forever()
        except KeyboardInterrupt:
            say("Stopped.")
