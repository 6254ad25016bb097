"""Commands of linkage: train a model, link what is new, judge it, and have pairs reviewed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ruam.cli.active import log, settings
from ruam.cli.console import said, say, show, table
from ruam.cli.identity import Purpose, open_vault
from ruam.errors import LinkageError

if TYPE_CHECKING:
    from ruam.settings import Settings

EVALUATED = (
    "The population is invented anew from the seed, which must not be that of the training (101)."  # Not tuned on.
)
ModelFile = Annotated[
    Path | None, typer.Option("--model", help="Model JSON; default the one that comes with Ruam.", show_default=False)
]


def link_people(active: Settings, command: str, purpose: str, model: Path | None = None) -> None:
    """Link records that are new or changed, and write the links. Raises what `identity.linkage.link` does; the last
    links then stay."""
    from identity.keys import keys_of, load_keys
    from identity.linkage.link import link as link_new
    from identity.linkage.link import persons
    from identity.linkage.links import write_links
    from identity.linkage.model import CURRENT, load
    from identity.pseudonym import Pseudonymiser

    chosen = load(model or CURRENT)
    made = Pseudonymiser(load_keys(keys_of(active.data_home)))
    with open_vault(active, command, purpose) as vault:
        done = link_new(vault.connection, chosen)
        found = persons(vault.connection, chosen)
        told = {"new": done.n_new, "residue": done.n_residue, "linked": done.n_linked, "model": chosen.version}
        vault.tell(event="linked", **told)
    n = write_links(found, active.data_home.links, of_number=made.of_linkage_pseudonym, of_name=made.pseudonym)
    log.info("linked", extra=told)
    if done.is_anew:
        say("An earlier version had made the vault's index: it was made anew, and persons kept their names.")
    say(
        f"{done.n_new:,} records are new or changed, {done.n_residue:,} without a usable number: "
        f"{done.n_linked:,} of these are linked (model {chosen.version}). {n:,} links are in force."
    )
    if done.n_bridges:
        say(f"{done.n_bridges:,} pairs speak for two persons being one; both keep their names (linkage.bridges).")
    if done.n_dropped_keys:
        say(f"{done.n_dropped_keys:,} keys were too common to look for candidates by.")


def link(purpose: Purpose, model: ModelFile = None) -> None:
    """Link records that are new or changed, and write the links that the warehouse reads; `ruam run` does it too.

    Exit code 4 when the model does not fit the records, 9 when the result is not plausible; the last links stay.
    """
    active = settings()
    active.data_home.require()
    link_people(active, "link", purpose, model)


def review(
    purpose: Purpose,
    file: Annotated[Path, typer.Argument(help="The sample to write, or the first reviewer's answers.")],
    second: Annotated[Path | None, typer.Argument(help="The second reviewer's answers.", show_default=False)] = None,
    read: Annotated[bool, typer.Option("--read", help="Read answers back instead of writing a sample.")] = False,
    model: ModelFile = None,
) -> None:
    """Write 400 pairs round the threshold for two reviewers, or read their answers back (--read)."""
    from identity.linkage.model import CURRENT, load
    from identity.linkage.review import read_back, sample

    active, chosen = settings(), load(model or CURRENT)
    active.data_home.require()
    with open_vault(active, "review", purpose) as vault:
        if not read:
            n = sample(vault.connection, chosen, file)
            vault.tell(event="sample written", pairs=n)
            say(f"{n:,} pairs in {said(file)}. It names people: keep it in the vault's zone, and delete it.")
            return
        told = read_back(vault.connection, chosen, [path for path in (file, second) if path])
    say(
        f"{told.n_answered:,} of {told.n_pairs:,} pairs have both answers: agreement {told.agreement:.1%}, "
        f"kappa {told.kappa:.2f}. Where both agree: {told.precision:.1%} of linked pairs are one person, "
        f"and {told.missed:.1%} of those not linked."
    )


def train(
    version: Annotated[str, typer.Argument(help="Name of the version.")],
    out: Annotated[Path, typer.Option(help="Folder for <version>.json and its report.")],
    persons: Annotated[int, typer.Option(min=1000, help="People of the invented population.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Of the invented population.")] = 101,
) -> None:
    """Train a model on an invented population, and write it with its training report."""
    from identity.linkage.train import WITHOUT_NUMBER
    from identity.linkage.train import train as train_model
    from ingestion.synthetic.linkage import invented_records

    records = invented_records(persons, seed, without_number=WITHOUT_NUMBER)
    model = train_model(
        records,
        version=version,
        population=f"{persons:,} invented people, seed {seed}, those without a number {WITHOUT_NUMBER:g} times as many",
        report=out / version,
    )
    model.save(out / f"{version}.json")
    say(f"Model {version} links from {model.thresholds.link}; report in {said(out / version)}.")


def evaluate(
    persons: Annotated[int, typer.Option(min=500, help="People of the invented population.")] = 20_000,
    seed: Annotated[int, typer.Option(help=EVALUATED)] = 202,
    model: ModelFile = None,
    charts: Annotated[Path | None, typer.Option(help="Folder for charts.", show_default=False)] = None,
) -> None:
    """Judge a model against an invented population whose truth is known. Exit code 9 below the targets."""
    from identity.linkage.evaluation import TARGETS, evaluated, failures
    from identity.linkage.model import CURRENT, load
    from identity.linkage.train import WITHOUT_NUMBER
    from ingestion.synthetic.linkage import invented_records

    chosen = load(model or CURRENT)
    records = invented_records(persons, seed, without_number=WITHOUT_NUMBER)
    qualities = evaluated(records, chosen, charts)
    shown = table(
        f"Model {chosen.version}, {len(records):,} records", "pairs of", "precision", "recall", "true", "asked for"
    )
    for group, quality in qualities.items():
        asked = " / ".join(str(target) for target in TARGETS.get(group, ()))
        shown.add_row(group, f"{quality.precision:.4f}", f"{quality.recall:.4f}", f"{quality.n_true:,}", asked)
    show(shown)
    missed = failures(qualities)
    if missed:
        raise LinkageError("The model is not good enough:\n" + "\n".join(f"  {sentence}" for sentence in missed))
