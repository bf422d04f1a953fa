import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.artifacts import clear_leftovers
from polypskd.cohort.quality import find_exclusions, measure_quality
from polypskd.config import Quality as Rules
from polypskd.deployment.bundle import PRIVATE, Code
from polypskd.deployment.export.codebook import build_codebook, name_private
from polypskd.deployment.export.frames import spread_evenly
from polypskd.deployment.export.limits import derive_quality
from polypskd.deployment.export.parity import Answers, check_parity, compare_answers
from polypskd.deployment.export.placing import clear_killed, place_folder
from polypskd.deployment.export.smaller import Judgement, Margins, judge_forms
from polypskd.deployment.manifest import write_canonical
from polypskd.errors import ArtifactError, ConfigError, OutputError
from polypskd.labels.scheme import Scheme

SCHEME = Scheme(
    ("hyperplastic", "serrated", "adenoma"),
    ("hyperplastic", "serrated/easy", "serrated/hard", "adenoma"),
    np.array([0, 1, 1, 2]),
    np.zeros(4, np.int64),
)


def write_page(tmp_path, text):
    path = tmp_path / "codebook.yaml"
    path.write_text(text)
    return path


# --- codes --------------------------------------------------------------------------------------


def test_a_class_without_a_public_code_has_one_of_our_own_scheme():
    book = build_codebook(SCHEME, ["serrated", "adenoma"])
    codes = {one.name: one.code for one in book.classes}
    assert codes["hyperplastic"] == Code(
        value="hyperplastic", scheme=PRIVATE, meaning="hyperplastic"
    )
    assert codes["adenoma"] == Code(value="1187375007", scheme="SCT", meaning="Adenoma")
    assert [one.positive for one in book.classes] == [False, True, True]
    below = {one.name: (one.of, one.code) for one in book.subclasses}
    assert below["adenoma"] == ("adenoma", codes["adenoma"])
    assert below["serrated/hard"][0] == "serrated"
    assert below["serrated/hard"][1].scheme == PRIVATE


def test_the_public_codes_are_those_of_pydicoms_dictionary():
    from polypskd.deployment.deidentification.codes import list_codes
    from polypskd.deployment.export.codebook import KNOWN

    known = list_codes()
    for code in KNOWN.values():
        assert known[code.scheme, code.value] == code.meaning


def test_the_hospitals_codebook_goes_before(tmp_path):
    page = write_page(
        tmp_path,
        "classes:\n"
        "- {name: hyperplastic, code: {value: H1, scheme: 99HOSP, meaning: Hyperplastic polyp}}\n"
        "- {name: serrated, definition: cloud-like}\n"
        "- {name: adenoma}\n"
        "- {name: cancer}\n"
        "subclasses:\n"
        "- {name: serrated/easy, code: {value: S1, scheme: 99HOSP, meaning: Serrated}}\n",
    )
    book = build_codebook(SCHEME, ["adenoma"], page)
    assert book.classes[0].code.value == "H1"
    assert book.classes[1].definition == "cloud-like"
    assert book.classes[1].code.scheme == PRIVATE
    assert [one.code.value for one in book.subclasses[:2]] == ["H1", "S1"]
    assert len(book.classes) == 3


def test_the_annotators_codebook_of_the_example_is_read():
    from pathlib import Path

    page = Path(__file__).resolve().parents[2] / "annotations" / "codebook.yaml"
    book = build_codebook(SCHEME, ["adenoma"], page)
    assert all(one.definition for one in book.classes)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("classes: [{name: adenoma}, {name: serrated}]", "lacks the class 'hyperplastic'"),
        ("classes: [{name: adenoma, code: {value: '1'}}]", "scheme"),
        ("classes: {a: 1}", "classes"),
        ("[", "not a YAML page"),
        ("a: !!python/object/apply:os.system [ls]", "not a YAML page"),
        ("", "the page"),
        ("a: &a [*a]", "classes"),
        (
            "classes: [{name: hyperplastic, code: {value: '1', scheme: X, meaning: m}}, "
            "{name: serrated, code: {value: '1', scheme: X, meaning: m}}, {name: adenoma}]",
            "have one code",
        ),
        (
            "classes: [{name: hyperplastic}, {name: serrated}, {name: adenoma}]\n"
            "subclasses: [{name: other}]",
            "'other' is none of this run",
        ),
    ],
)
def test_a_codebook_that_does_not_fit_is_one_line(tmp_path, text, says):
    with pytest.raises(ConfigError, match=r"codebook\.yaml") as caught:
        build_codebook(SCHEME, ["adenoma"], write_page(tmp_path, text))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_codebook_that_is_missing_or_huge_is_one_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        build_codebook(SCHEME, ["adenoma"], tmp_path / "codebook.yaml")
    page = write_page(tmp_path, "")
    with page.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        build_codebook(SCHEME, ["adenoma"], page)


@given(st.lists(st.text(min_size=1), min_size=1, unique=True))
def test_own_codes_are_short_plain_and_tell_names_apart(names):
    codes = [name_private(name) for name in names]
    assert len({code.value for code in codes}) == len(names)
    for code in codes:
        assert code.value.isascii()
        assert not set(code.value) & set("\\/ \n\t\0")
        assert "\\" not in code.meaning
        assert "\n" not in code.meaning


# --- limits -------------------------------------------------------------------------------------


def draw_frames(count):
    random = np.random.default_rng(0)
    frames = random.integers(0, 40, (count, 64, 64, 3)) + random.integers(20, 160, (count, 1, 1, 1))
    return [
        measure_quality(one)
        for one in (frames + np.array([60, 10, 0])).clip(0, 255).astype(np.uint8)
    ]


def test_limits_let_frames_pass_that_they_were_chosen_on_and_stop_others():
    measured = draw_frames(60)
    rules, told = derive_quality(measured, "training frames", None)
    within = sum(not find_exclusions(one, rules) for one in measured)
    assert within >= 58
    assert f"{within} of these frames lie within" in told
    black = measure_quality(np.zeros((64, 64, 3), np.uint8))
    assert any("min_brightness" in one for one in find_exclusions(black, rules))
    assert "60 training frames" in told


def test_rules_of_the_config_go_before_those_that_were_derived():
    rules, told = derive_quality(draw_frames(10), "frames", Rules(max_blur=0.25))
    assert rules.max_blur == 0.25
    assert told.endswith("of the config: max_blur")


def test_a_limit_that_no_frame_can_break_is_left_out():
    rules, _ = derive_quality(draw_frames(10), "frames", None)
    for rule, limit in rules.model_dump(exclude_none=True).items():
        assert limit > 0 if rule.startswith("min") else (limit < 1 or rule == "max_noise")


@given(st.integers(1, 60), st.integers(1, 60))
def test_frames_are_taken_evenly_and_none_twice(count, most):
    names = tuple(str(number) for number in range(count))
    taken = spread_evenly(names, most)
    assert len(taken) == len(set(taken)) == min(count, most)
    assert list(taken) == sorted(taken, key=int)


# --- parity and smaller forms -------------------------------------------------------------------


def answer(p):
    return Answers(p, p, p.max(axis=1))


def test_parity_finds_the_one_answer_that_is_off_and_nan():
    p = np.full((50, 2), 0.5)
    other = p.copy()
    other[37, 1] += 2e-4
    parity = compare_answers(answer(p), answer(other), "frames")
    assert parity.classes == pytest.approx(2e-4)
    with pytest.raises(ArtifactError, match=r"differs from PyTorch by 0\.0002"):
        check_parity(parity)
    other[37, 1] = np.nan
    with pytest.raises(ArtifactError, match="by inf"):
        check_parity(compare_answers(answer(p), answer(other), "frames"))
    check_parity(compare_answers(answer(p), answer(p + 5e-5), "frames"))
    with pytest.raises(ArtifactError, match="no frame"):
        check_parity(compare_answers(answer(p[:0] + 0), Answers(p[:0], p[:0], p[:0, 0]), "frames"))


@pytest.mark.parametrize(
    ("macro_f1", "ece", "kept"),
    [
        ((0.9, 0.9), (0.1, 0.1), True),
        ((0.9, 0.89), (0.1, 0.11), True),
        ((0.9, 0.8899), (0.1, 0.1), False),
        ((0.9, 0.95), (0.1, 0.1101), False),
        ((0.9, 0.95), (0.1, 0.01), True),
        ((0.9, float("nan")), (0.1, 0.1), False),
    ],
)
def test_a_form_is_kept_within_both_margins_only(macro_f1, ece, kept):
    judgement = Judgement(100, macro_f1, ece, Margins())
    assert judgement.kept is kept
    assert ("refused" in str(judgement)) is not kept


def test_forms_are_judged_on_every_frame_by_the_reference_standard():
    frames = np.arange(70, dtype=np.uint8).reshape(70, 1, 1, 1).repeat(3, axis=3)
    labels = (np.arange(70) % 2).astype(np.int64)

    def right(batch):
        odd = batch[:, 0, 0, 0] % 2
        return np.stack([1 - odd, odd], axis=1).astype(float)

    def wrong(batch):
        return right(batch)[:, ::-1]

    told = judge_forms(
        {"float32": right, "same": right, "wrong": wrong}, frames, labels, Margins(), bins=15
    )
    assert told["same"].macro_f1 == (1, 1)
    assert told["wrong"].macro_f1 == (1, 0)
    assert told["wrong"].ece == (0, 1)
    assert told["same"].frames == 70
    assert (told["same"].kept, told["wrong"].kept) == (True, False)


# --- places -------------------------------------------------------------------------------------


def write_some(folder):
    (folder / "configs").mkdir()
    (folder / "configs" / "x").write_text("new")
    (folder / "manifest.json").write_bytes(write_canonical({"new": True}))
    return "made"


def fail(folder):
    write_some(folder)
    raise OSError(28, "No space left on device")


def test_a_folder_appears_whole_and_others_may_read_it(tmp_path):
    out = tmp_path / "deep" / "bundle"
    assert place_folder(out, write_some, overwrite=False) == "made"
    assert (out / "configs" / "x").read_text() == "new"
    assert out.stat().st_mode & 0o777 == 0o755
    assert (out / "configs" / "x").stat().st_mode & 0o777 == 0o644
    assert [path.name for path in out.parent.iterdir()] == ["bundle"]


def test_what_fails_leaves_nothing_and_harms_nothing(tmp_path):
    out = tmp_path / "bundle"
    place_folder(out, write_some, overwrite=False)
    (out / "configs" / "x").write_text("old")
    with pytest.raises(OutputError, match="free some space"):
        place_folder(out, fail, overwrite=True)
    assert (out / "configs" / "x").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_a_kill_leaves_in_a_run_folder_is_cleared_by_the_next_run(tmp_path):
    class KillError(BaseException):
        pass

    def die(folder):
        write_some(folder)
        left.append(shutil.copytree(folder.parent, tmp_path / folder.parent.name, symlinks=True))
        raise KillError

    left = []
    real = tmp_path / "real"
    with pytest.raises(KillError):
        place_folder(real / "bundle", die, overwrite=False)
    assert not list(real.iterdir())
    assert left[0].is_dir()
    clear_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["real"]


def test_a_bundle_is_replaced_only_when_asked_and_wholly(tmp_path):
    out = tmp_path / "bundle"
    out.mkdir()
    (out / "manifest.json").write_text("{}")
    (out / "student.int8.onnx").write_text("of before")
    with pytest.raises(OutputError, match="--overwrite"):
        place_folder(out, write_some, overwrite=False)
    place_folder(out, write_some, overwrite=True)
    assert not (out / "student.int8.onnx").exists()
    assert json.loads((out / "manifest.json").read_text()) == {"new": True}


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_bundle_is_never_replaced(tmp_path, overwrite):
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter.tex").write_text("x")
    with pytest.raises(OutputError, match="not a bundle"):
        place_folder(out, write_some, overwrite=overwrite)
    link = tmp_path / "link"
    link.symlink_to(out)
    with pytest.raises(OutputError, match="no folder"):
        place_folder(link, write_some, overwrite=overwrite)
    with pytest.raises(OutputError, match="no folder"):
        place_folder(out / "chapter.tex", write_some, overwrite=overwrite)
    assert (out / "chapter.tex").read_text() == "x"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "thesis"]


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "bundle").mkdir()
    place_folder(tmp_path / "bundle", write_some, overwrite=False)
    assert (tmp_path / "bundle" / "manifest.json").exists()


# --- what a killed export has left ---------------------------------------------------------------


def leave(out, name, **files):
    folder = out.parent / f".{out.name}.{name}.drawing"
    for path, text in files.items():
        (folder / path).mkdir(parents=True)
        (folder / path / "manifest.json").write_text(text)
    return folder


def write_one(folder):
    (folder / "manifest.json").write_text("new")


def test_what_a_killed_export_left_beside_its_place_is_removed_by_the_next(tmp_path):
    out = tmp_path / "bundle"
    leave(out, "abc", bundle="half")
    other = leave(tmp_path / "other", "abc", bundle="of another place")
    place_folder(out, write_one, overwrite=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, "bundle"]


def test_a_bundle_that_a_killed_export_had_moved_away_comes_back(tmp_path):
    out = tmp_path / "bundle"
    leave(out, "abc", bundle="new", before="old")
    with pytest.raises(OutputError, match="--overwrite"):
        place_folder(out, write_one, overwrite=False)
    assert (out / "manifest.json").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    out = tmp_path / "bundle"

    def write(folder):
        clear_killed(out)  # as a second export would, while the first is at work
        write_one(folder)

    place_folder(out, write, overwrite=False)
    assert (out / "manifest.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
