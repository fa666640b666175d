"""What a dry run has found, as tables."""

import typer
from isthmus.client.cli.output import note, show_table, word
from isthmus.scheduling.v1 import scheduling_pb2

_Sample = scheduling_pb2.PreviewSample
_UNIT_SEPARATOR = "\x1f"


def show_preview(execution: scheduling_pb2.Execution) -> None:
    """Shows counts, reasons and samples of a dry run that has completed."""
    preview, counts = execution.preview, execution.preview.counts
    effects = ("created", "updated", "unchanged", "deleted") if preview.is_exact else ()
    rows = [(name, f"{getattr(counts, name):,}") for name in (*effects, "quarantined", "filtered", "read")]
    if not preview.is_exact:
        rows.insert(0, ("sent", f"{preview.to_be_sent:,}"))
    show_table(("WOULD BE", "RECORDS"), rows)
    _more(
        ("QUARANTINED BECAUSE OF", "FIELD", "RECORDS", "MESSAGE"),
        [(one.reason, one.path or "-", f"{one.records:,}", one.message) for one in preview.reasons],
        wide=True,
    )
    _more(
        ("FOR EXAMPLE", "KEY", "FIELD", "NOW", "WOULD BE"),
        [row for sample in preview.samples for row in _rows(sample)],
    )
    note(preview.note or "The destination was asked; nothing was written anywhere.")


def _more(headings: tuple[str, ...], rows: list[tuple[str, ...]], *, wide: bool = False) -> None:
    if rows:
        typer.echo()
        show_table(headings, rows, wide=wide)


def _rows(sample: scheduling_pb2.PreviewSample) -> list[tuple[str, ...]]:
    """One line a field; the first one says which record it is."""
    kind = word(_Sample.Kind.Name(sample.kind), "KIND_")
    names = [(kind, sample.key.replace(_UNIT_SEPARATOR, " ") or "-")]
    fields = [(one.path, one.before or "-", one.after or "-") for one in sample.fields] or [("-", "-", "-")]
    names += [("", "")] * (len(fields) - 1)
    return [(*name, *field) for name, field in zip(names, fields, strict=True)]


__all__ = ["show_preview"]
