import json
import shutil

import numpy as np
import onnx
import pytest
import torch
from small_run import make_run
from typer.testing import CliRunner

from polypskd.artifacts import read_json
from polypskd.cli import app
from polypskd.cohort.location import locate_frames
from polypskd.cohort.preparation import prepare_frame
from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.export import assembly
from polypskd.deployment.export.assembly import Source, Wish, export_bundle
from polypskd.deployment.export.frames import FrameSet
from polypskd.deployment.export.parity import TOLERANCE, answer_with_onnx
from polypskd.deployment.export.smaller import Margins
from polypskd.errors import ArtifactError, CohortError, ConfigError, OutputError
from polypskd.labels.examples import read_examples
from polypskd.models.checkpoint import read_network


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    run = make_run(tmp_path_factory.mktemp("made") / "run")
    yield run
    torch.set_num_threads(threads)


def source(run):
    return Source(run.folder, run.config, locate_frames(run.config.cohort, run.cohort))


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    return export_bundle(source(made), tmp_path_factory.mktemp("out") / "bundle", Wish())


@pytest.fixture
def run(made, tmp_path):
    """Give a copy that a test may spoil; its cohort stays where it is."""
    shutil.copytree(made.folder, tmp_path / "run", ignore=shutil.ignore_patterns("cohort"))
    return Source(tmp_path / "run", made.config, locate_frames(made.config.cohort, made.cohort))


def calm(monkeypatch):
    """Leave out what takes time and is not looked at."""
    monkeypatch.setattr(assembly, "verify_files", lambda folder: None)


def test_the_graph_answers_as_the_evaluation_did(made, exported):
    # The oracle are the probabilities that the run wrote, through its own decoding and batching.
    examples = read_examples(made.folder / "examples.csv")
    chosen = np.flatnonzero(examples.split == "val")
    root = locate_frames(made.config.cohort, made.cohort)
    names = tuple(str(name) for name in examples.path[chosen])
    pixels = FrameSet(root, names, made.config.cohort, 48, "validation frames")[:]
    found = answer_with_onnx(exported.bundle.read("student.onnx"), pixels)
    answers = np.load(made.folder / "answers.npz")
    logits = answers["student"][[answers["rows"].tolist().index(row) for row in chosen]]
    temperature = read_json(made.folder / "evaluation.json")["calibration"]["temperature"]
    scaled = np.exp((logits - logits.max(1, keepdims=True)) / temperature)
    expected = scaled / scaled.sum(1, keepdims=True)
    assert temperature not in (None, 1.0)
    assert np.abs(found.classes - expected).max() < TOLERANCE
    assert np.abs(expected - expected.mean(0)).max() > 100 * TOLERANCE  # frames do differ


def test_probabilities_of_subclasses_add_up_to_those_of_classes(exported):
    pixels = np.random.default_rng(0).integers(0, 256, (7, 48, 48, 3), np.uint8)
    found = answer_with_onnx(exported.bundle.read("student.onnx"), pixels)
    class_of = np.array(exported.bundle.subclass_to_class)
    for k in range(2):
        total = found.subclasses[:, class_of == k].sum(1)
        np.testing.assert_allclose(total, found.classes[:, k], atol=1e-6)
    np.testing.assert_allclose(found.classes.sum(1), 1, atol=1e-6)
    np.testing.assert_array_equal(found.confidence, found.classes.max(1))


@pytest.mark.parametrize("count", [1, 2, 33, 65])
def test_the_graph_takes_batches_of_any_size_and_frames_do_not_touch(exported, count):
    pixels = np.random.default_rng(1).integers(0, 256, (count, 48, 48, 3), np.uint8)
    model = exported.bundle.read("student.onnx")
    together = answer_with_onnx(model, pixels)
    alone = answer_with_onnx(model, pixels[-1:])
    assert together.classes.shape == (count, 2)
    np.testing.assert_allclose(together.classes[-1], alone.classes[0], atol=1e-6)


def test_the_graph_takes_bytes_and_is_pinned(exported):
    model = onnx.load_model_from_string(exported.bundle.read("student.onnx"))
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
    (given,) = model.graph.input
    assert given.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    sides = [one.dim_param or one.dim_value for one in given.type.tensor_type.shape.dim]
    assert sides == ["batch", 48, 48, 3]
    text = exported.bundle.read("student.onnx")
    assert b"site-packages" not in text
    assert b".py" not in text


def test_the_same_run_gives_the_same_bundle(made, exported, tmp_path, monkeypatch):
    calm(monkeypatch)
    again = export_bundle(source(made), tmp_path / "again", Wish()).bundle
    names = [*again.manifest.files, "manifest.json"]
    assert len(names) == 9
    for name in names:
        assert (again.folder / name).read_bytes() == (exported.bundle.folder / name).read_bytes()


def test_the_bundle_holds_what_the_run_has_fixed_on_validation(made, exported):
    limits, study = exported.bundle.limits, read_json(made.folder / "study.json")
    band = study["endpoints"]["confidence_rule"]["rule"]
    assert limits.confidence.negative_to == band["negative_to"]
    assert limits.confidence.positive_from == band["positive_from"]
    points = study["operating_points"]["points"]
    assert [one.threshold for one in limits.thresholds] == [
        one["chosen"]["threshold"] for one in points
    ]
    assert {one.fixed_on for one in limits.thresholds} == {"val"}
    assert limits.min_side == 16
    assert exported.bundle.positive == (False, True)
    assert (exported.bundle.folder / "student.safetensors").read_bytes() == (
        made.folder / "student.safetensors"
    ).read_bytes()


def test_the_manifest_names_no_patient_frame_user_or_folder(made, exported):
    examples = read_examples(made.folder / "examples.csv")
    names = {*examples.patient_id.tolist(), *examples.frame_id.tolist(), *examples.path.tolist()}
    for path in sorted(exported.bundle.folder.rglob("*")):
        text = path.read_bytes().decode("latin-1") if path.is_file() else ""
        assert not [name for name in names if len(name) > 3 and name in text]
        assert str(made.folder) not in text


def test_a_graph_that_answers_otherwise_is_refused_and_nothing_is_left(run, tmp_path, monkeypatch):
    build = assembly.build_graph
    monkeypatch.setattr(assembly, "build_graph", lambda stored, t: build(stored, t * 1.01))
    with pytest.raises(ArtifactError, match=r"student\.onnx: differs from PyTorch by"):
        export_bundle(run, tmp_path / "bundle", Wish())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]


def test_frames_that_are_gone_are_told_and_may_be_replaced(run, tmp_path, monkeypatch):
    calm(monkeypatch)
    gone = Source(run.run, run.config, tmp_path / "gone")
    with pytest.raises(CohortError, match=r"the run's frames are gone; .*--parity-frames"):
        export_bundle(gone, tmp_path / "bundle", Wish())
    with pytest.raises(ConfigError, match="leave --parity-frames out"):
        export_bundle(gone, tmp_path / "bundle", Wish(parity_frames=run.frames, int8=True))
    done = export_bundle(gone, tmp_path / "bundle", Wish(parity_frames=run.frames))
    assert "frames of a folder given at export" in done.bundle.limits.quality_fixed_on
    assert done.parity.frames == 48


def test_an_empty_folder_of_frames_is_told(run, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="holds no image"):
        export_bundle(run, tmp_path / "bundle", Wish(parity_frames=tmp_path / "empty"))


@pytest.mark.parametrize(
    "name",
    ["student.safetensors", "evaluation.json", "provenance.json", "examples.csv", "model_card.md"],
)
def test_files_of_the_run_that_are_missing_or_do_not_belong_are_named(run, tmp_path, name):
    data = (run.run / name).read_bytes()
    (run.run / name).unlink()
    with pytest.raises(ArtifactError, match=name):
        export_bundle(run, tmp_path / "bundle", Wish())
    if name != "model_card.md":  # the authors may write theirs
        (run.run / name).write_bytes(data.replace(b"0", b"1", 1))
        with pytest.raises(ArtifactError, match=name):
            export_bundle(run, tmp_path / "bundle", Wish())
    assert not (tmp_path / "bundle").exists()


def test_int8_is_kept_within_its_margins_and_refused_beyond(run, tmp_path, monkeypatch):
    calm(monkeypatch)
    kept = export_bundle(run, tmp_path / "a", Wish(int8=True, margins=Margins(1, 1)))
    told = kept.bundle.manifest.precisions["int8"]
    assert told["kept"]
    assert told["file"] == "student.int8.onnx"
    small = kept.bundle.read("student.int8.onnx")
    assert len(small) < len(kept.bundle.read("student.onnx")) / 2
    pixels = np.random.default_rng(0).integers(0, 256, (2, 48, 48, 3), np.uint8)
    np.testing.assert_allclose(answer_with_onnx(small, pixels).classes.sum(1), 1, atol=1e-5)

    tight = Wish(int8=True, margins=Margins(-1, -1))
    refused = export_bundle(run, tmp_path / "b", tight)
    assert not (tmp_path / "b" / "student.int8.onnx").exists()
    assert not refused.bundle.manifest.precisions["int8"]["kept"]
    assert "refused, and not in the bundle: macro-F1 0." in str(refused.forms["int8"])


def test_the_verb_writes_a_bundle_and_says_so_once(run, tmp_path, monkeypatch):
    calm(monkeypatch)
    shutil.copytree(run.frames.parent, run.run / "cohort")
    out = tmp_path / "bundle"
    words = ["export", str(run.run), "--out", str(out), "--quiet", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["model_sha256"] == open_bundle(out).model_hash
    assert result["parity"]["max_difference"]["class_probabilities"] <= TOLERANCE
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, OutputError)
    assert "--overwrite" in str(again.exception)
    assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0
    (run.run / "study.json").write_text("{}")
    stale = CliRunner().invoke(app, [*words, "--overwrite"])
    assert isinstance(stale.exception, ArtifactError)
    assert "polypskd report" in str(stale.exception)
    assert open_bundle(out).classes == ("hyperplastic", "adenoma")


def test_packages_that_are_missing_are_named_before_anything_is_done(run, tmp_path, monkeypatch):
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "onnx" else find(name))
    done = CliRunner().invoke(app, ["export", str(run.run), "--out", str(tmp_path / "bundle")])
    assert isinstance(done.exception, ConfigError)
    assert "needs onnx; pip install 'polypskd[export]'" in str(done.exception)


def test_a_folder_that_is_no_run_is_one_line(tmp_path):
    done = CliRunner().invoke(app, ["export", str(tmp_path)])
    assert isinstance(done.exception, ArtifactError)
    assert "not a run folder" in str(done.exception)


def test_the_student_of_the_bundle_is_the_runs(exported, made):
    stored = read_network(exported.bundle.folder / "student.safetensors", "distill")
    assert stored.classes == exported.bundle.classes
    assert stored.subclasses == exported.bundle.subclasses
    assert prepare_frame(np.zeros((9, 9, 3), np.uint8), stored.size).shape == (48, 48, 3)
