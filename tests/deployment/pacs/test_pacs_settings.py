"""The settings file and the secrets that it names."""

import pickle
from datetime import date
from pathlib import Path

import pytest
import yaml
from small_bundle import write_bundle

from polypskd.deployment.bundle import open_bundle
from polypskd.deployment.pacs.credentials import Secret, build_authorization, read_secret
from polypskd.deployment.pacs.settings import read_settings
from polypskd.deployment.pacs.stopping import Stop
from polypskd.deployment.pacs.study_run import open_worker
from polypskd.errors import ArtifactError, ConfigError

ROOT = Path(__file__).resolve().parents[3]
PLANTED = "hunter2-PLANTED"
WEB = {"kind": "dicomweb", "url": "https://pacs.example.org/dicom-web"}
DIMSE = {"kind": "dimse", "host": "127.0.0.1", "port": 104, "called_ae": "PACS"}


def write(tmp_path, page):
    path = tmp_path / "pacs.yaml"
    path.write_text(page if isinstance(page, str) else yaml.safe_dump(page))
    return path


def refuse(tmp_path, page):
    with pytest.raises(ConfigError) as told:
        read_settings(write(tmp_path, page))
    lines = str(told.value).splitlines()
    assert all(line.startswith(str(tmp_path / "pacs.yaml")) for line in lines)
    assert PLANTED not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "pacs").glob("*.yaml")), ids=str)
def test_the_shipped_examples_are_read(path):
    assert read_settings(path).send


def test_the_page_shows_an_example_that_is_read(tmp_path):
    text = (ROOT / "docs" / "pacs.md").read_text()
    example = text.split("```yaml\n")[1].split("```")[0]
    assert read_settings(write(tmp_path, example)).archive.kind == "dicomweb"


@pytest.mark.parametrize("key", ["password", "token", "secret", "Password"])
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path, key):
    told = refuse(tmp_path, {"archive": WEB | {"username": "u", key: PLANTED}})
    assert "password_env" in told


@pytest.mark.parametrize(
    "url",
    [
        f"https://user:{PLANTED}@pacs.example.org/",
        f"https://pacs.example.org/?token={PLANTED}",
        f"ftp://{PLANTED}",
        f"https:///{PLANTED}",
        f"https://pacs.example.org/#{PLANTED}",
    ],
)
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(tmp_path, url):
    refuse(tmp_path, {"archive": WEB | {"url": url}})


@pytest.mark.parametrize(
    "archive",
    [
        WEB | {"password_env": f"{PLANTED}!"},
        WEB | {"username": "u"},
        WEB | {"password_file": "p"},
        WEB | {"username": "u", "password_file": "p", "token_file": "t"},
        WEB | {"tls": {"client_cert": "c.pem"}},
        WEB | {"port": 3},
        {"kind": "ftp"},
        f"https://user:{PLANTED}@pacs.example.org",
        [PLANTED],
        {},
        DIMSE | {"called_ae": "A" * 17},
        DIMSE | {"called_ae": "A\\B"},
        DIMSE | {"called_ae": " "},
        DIMSE | {"port": 0},
        DIMSE | {"retrieve": "move"},
        DIMSE | {"retrieve": "move", "listen_port": 105, "listen_host": "0.0.0.0"},  # noqa: S104
        DIMSE | {"retrieve": "move", "listen_port": 105, "tls": {"ca_file": "ca.pem"}},
    ],
)
def test_what_does_not_fit_is_told_in_a_line_each(tmp_path, archive):
    refuse(tmp_path, {"archive": archive})


@pytest.mark.parametrize(
    "more",
    [
        {"query": {"last_days": 2, "since": "2026-01-01"}},
        {"query": {"since": "2026-02-01", "until": "2026-01-01"}},
        {"query": {"modalities": ["es"]}},
        {"send": []},
        {"send": ["sr", "sr"]},
        {"send": ["presentation_state"]},
        {"send": ["sr", "pdf"]},
        {"send": ["sr"], "report": "r.pdf"},
        {"transfer": {"tries": 0}},
        {"watch": {"receiver": {"port": 104, "callers": []}}},
        {"watch": {"receiver": {"host": "0.0.0.0", "port": 104, "callers": ["A"]}}},  # noqa: S104
        {"watch": {"receiver": {"port": 104, "callers": ["A"], "tls": {"ca_file": "c.pem"}}}},
        {"threads": 0},
        {"nonsense": 1},
    ],
)
def test_other_parts_are_held_to_their_shape(tmp_path, more):
    refuse(tmp_path, {"archive": WEB} | more)


@pytest.mark.parametrize("page", ["", "- 1", "a: b: c", f"archive: {{password: {PLANTED}", "\0"])
def test_what_is_no_page_is_told_without_its_words(tmp_path, page):
    refuse(tmp_path, page)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_settings(tmp_path / "pacs.yaml")


@pytest.mark.parametrize(
    ("archive", "plain"),
    [
        (WEB | {"url": "http://pacs.example.org/x"}, True),
        (WEB | {"url": "http://127.0.0.1:8042/x"}, False),
        (WEB | {"url": "http://[::1]:8042/x"}, False),
        (WEB | {"url": "http://localhost/x"}, False),
        (WEB | {"url": "http://127.0.0.1.example.org/x"}, True),
        (DIMSE | {"host": "10.1.2.3"}, True),
        (DIMSE, False),
    ],
)
def test_without_encryption_only_this_machine_is_spoken_with_unless_allowed(
    tmp_path, archive, plain
):
    if plain:
        assert "unencrypted" in refuse(tmp_path, {"archive": archive})
    read_settings(write(tmp_path, {"archive": archive | {"allow_plain": True}}))


def test_paths_are_taken_from_the_files_folder(tmp_path):
    page = {"archive": WEB | {"username": "u", "password_file": "p", "tls": {"ca_file": "ca.pem"}}}
    settings = read_settings(write(tmp_path, page))
    assert settings.archive.password_file == tmp_path / "p"
    assert settings.archive.tls.ca_file == tmp_path / "ca.pem"


def test_the_last_days_count_today(tmp_path):
    page = {"archive": WEB, "query": {"last_days": 2, "station": "TOWER1"}}
    query = read_settings(write(tmp_path, page)).query.build_query(date(2026, 3, 1))
    assert (query.days, query.station, query.modalities) == ("20260228-", "TOWER1", ("ES",))


def closed(tmp_path, text, mode=0o600):
    path = tmp_path / "secret"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_secret_is_read_from_a_closed_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("PACS_PASSWORD", PLANTED)
    assert read_secret("password", "PACS_PASSWORD", None).reveal() == PLANTED
    path = closed(tmp_path, f"{PLANTED}\n", 0o640)
    assert read_secret("password", None, path).reveal() == PLANTED
    assert read_secret("password", None, None) is None


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602])
def test_a_secrets_file_that_is_open_to_others_is_refused(tmp_path, mode):
    path = closed(tmp_path, PLANTED, mode)
    with pytest.raises(ConfigError, match="chmod 600") as told:
        read_secret("password", None, path)
    assert PLANTED not in str(told.value)


@pytest.mark.parametrize("text", ["", "\n", f"{PLANTED}\n{PLANTED}", f"{PLANTED}\0", "x" * 20_000])
def test_what_is_no_secret_is_refused_and_not_repeated(tmp_path, text):
    with pytest.raises(ConfigError) as told:
        read_secret("token", None, closed(tmp_path, text))
    assert PLANTED not in str(told.value)


def test_a_secret_in_place_of_a_variables_name_is_not_repeated(tmp_path):
    name = PLANTED.replace("-", "_")
    with pytest.raises(ConfigError) as told:
        read_secret("password", name, None)
    assert name not in str(told.value)


def test_missing_files_folders_and_pipes_are_refused(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("missing", ".", "pipe"):
        with pytest.raises(ConfigError, match=r"no such file|no file|cannot be read"):
            read_secret("token", None, tmp_path / name)


def test_a_secret_is_neither_shown_nor_written_by_accident():
    secret = Secret(PLANTED)
    assert PLANTED not in f"{secret} {secret!r} {[secret]}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)


def test_passwords_of_any_letters_become_the_header(tmp_path):
    page = {"archive": WEB | {"username": "dienst", "password_file": "secret"}}
    closed(tmp_path, "pä:ß")
    archive = read_settings(write(tmp_path, page)).archive
    # As `printf 'dienst:pä:ß' | base64` gives it.
    assert build_authorization(archive) == "Basic ZGllbnN0OnDDpDrDnw=="


def test_a_token_that_changes_is_read_anew(tmp_path):
    closed(tmp_path, "one")
    page = {"archive": WEB | {"token_file": "secret"}}
    archive = read_settings(write(tmp_path, page)).archive
    assert build_authorization(archive) == "Bearer one"
    closed(tmp_path, "two")
    assert build_authorization(archive) == "Bearer two"


@pytest.mark.parametrize(
    ("send", "report", "words"),
    [
        (["sr", "presentation_state"], None, "take presentation_state out of send:"),
        (["sr", "secondary_capture"], None, "take secondary_capture out of send:"),
        (["sr", "pdf"], "text.pdf", "not a whole PDF file; name a PDF file as report:"),
        (["sr", "pdf"], "missing.pdf", "No such file or directory); name a PDF file as report:"),
    ],
)
def test_results_that_cannot_be_made_are_told_before_the_archive_is_asked(
    tmp_path, send, report, words
):
    bundle = open_bundle(write_bundle(tmp_path))
    (tmp_path / "text.pdf").write_text("no PDF")
    page = {"archive": WEB | {"url": "http://127.0.0.1:1/"}, "send": send}
    page |= {"report": report} if report else {}
    settings = read_settings(write(tmp_path, page))
    opened = open_worker(settings, bundle, tmp_path / "out", Stop())
    with pytest.raises((ArtifactError, ConfigError)) as told, opened:
        pass
    assert words in str(told.value)
    assert "--" not in str(told.value)
    assert not (tmp_path / "out").exists()
