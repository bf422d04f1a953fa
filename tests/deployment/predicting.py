"""`polypskd predict` as a test calls it."""

import csv
from pathlib import Path

from typer.testing import CliRunner

from polypskd.cli import app
from polypskd.errors import PolypskdError


def predict(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["predict", *map(str, arguments), "--quiet"])
    if isinstance(done.exception, PolypskdError):
        return 1, str(done.exception)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def rows_of(out: Path, name: str = "predictions.csv") -> list[dict[str, str]]:
    return list(csv.DictReader((out / name).read_text().splitlines()))
