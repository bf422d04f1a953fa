"""What a comparison refuses to replace; nothing is trained here."""

import json
from importlib import resources
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from polypskd.comparison import running
from polypskd.config import parse_config
from polypskd.errors import OutputError

OLDER = {"seeds": [17, 18], "methods": {}}


def read(*overrides):
    text = resources.files("polypskd").joinpath("demo.yaml").read_text(encoding="utf-8")
    return parse_config(yaml.safe_load(text), overrides)


@pytest.fixture
def compare(tmp_path, monkeypatch):
    """Plan a comparison beside an older one; what would be trained is returned, labels are not."""
    labels = SimpleNamespace(split=np.array(["test"])), {}
    for name in ("locate_cohort", "load_cohort", "parse_scheme"):
        monkeypatch.setattr(running, name, lambda *_, **__: None)
    monkeypatch.setattr(running, "derive_labels", lambda *_: labels)
    monkeypatch.setattr(running, "do_runs", lambda planned, *_, **__: planned)
    (tmp_path / "comparison.json").write_text(json.dumps(OLDER))
    (tmp_path / "comparison.html").write_text("older")

    def call(*overrides, seeds=2, overwrite=False):
        return running.run_comparison(
            read(*overrides), ("none",), seeds, tmp_path, overwrite=overwrite
        )

    return call


def test_another_training_seed_is_refused_before_anything_is_trained(compare, tmp_path):
    told = r"from training seed 17 on, this config begins at 18; give --out .* or --overwrite"
    with pytest.raises(OutputError, match=told) as caught:
        compare("training_seed=18")
    assert len(caught.value.lines) == 1
    assert json.loads((tmp_path / "comparison.json").read_text()) == OLDER
    assert (tmp_path / "comparison.html").read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "comparison.html",
        "comparison.json",
    ]


def test_with_overwrite_the_older_page_goes(compare, tmp_path):
    assert [one.seed for one in compare("training_seed=18", overwrite=True)] == [18, 19]
    assert not (tmp_path / "comparison.json").exists()
    assert not (tmp_path / "comparison.html").exists()


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_more_or_fewer_seeds_of_the_same_beginning_go_on(compare, seeds):
    assert len(compare("training_seed=17", seeds=seeds)) == seeds


@pytest.mark.parametrize("text", ["{ not json", "[]", '{"seeds": "all"}', "{}"])
def test_a_damaged_page_is_no_hindrance(compare, tmp_path, text):
    (tmp_path / "comparison.json").write_text(text)
    assert compare("training_seed=18")
