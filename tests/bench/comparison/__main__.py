"""`make bench`: runs what is asked for, prints tables, and keeps a full run in the documentation."""

from __future__ import annotations

import sys

from comparison.bench import open_bench
from comparison.figures import FIGURES, Measured
from comparison.figures.goals import bulk_figures
from comparison.machine import facts
from comparison.options import Options, read_options
from comparison.page import page
from comparison.series import brief, run_series


def run(options: Options) -> str:
    """Runs everything; gives the page."""
    with open_bench(options.cache, options.most_records) as bench:
        about = facts(bench)
        runners = [runner() for runner in options.runners]
        series = [run_series(bench, runners, size, options.rounds) for size in options.sizes if runners]
        figures = [figure for one in series for figure in bulk_figures(one)]
        for name in options.figures:
            bench.progress(f"{name} …\n")
            try:
                figures += FIGURES[name](bench, options.rounds)
            except Exception as error:
                bench.progress(f"{name} failed: {error}\n")
                figures.append(Measured.failed(name, brief(error)))
    return page(about, series, figures)


def main() -> None:
    """Reads the options, runs, prints, and writes the page when everything ran."""
    options = read_options()
    text = run(options)
    sys.stdout.write(f"\n{text}")
    if options.page is not None:
        options.page.write_text(text)


if __name__ == "__main__":
    main()
