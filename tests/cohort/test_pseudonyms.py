import hashlib
import hmac
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polypskd.cohort.pseudonyms import check_apart, pseudonymize, read_key
from polypskd.errors import ConfigError

KEY = bytes(range(1, 33))


def test_the_hash_is_the_published_hmac_sha_256():
    # RFC 4231, test case 2 has a key that is too short here; case 1 has one of 20 bytes.
    key = bytes([0x0B] * 20)
    assert pseudonymize("Hi There", key, 64) == (
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
    )


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_equal_ids_get_equal_names_and_others_others(one, two):
    same = one.strip() == two.strip()
    assert (pseudonymize(one, KEY) == pseudonymize(two, KEY)) == same
    if one.strip():
        expected = hmac.new(KEY, one.strip().encode("utf-8", "surrogatepass"), hashlib.sha256)
        assert pseudonymize(one, KEY) == expected.hexdigest()[:16]


def test_another_key_gives_other_names_and_a_missing_id_stays_missing():
    assert pseudonymize("P-1", KEY) != pseudonymize("P-1", KEY[::-1])
    assert pseudonymize("  ", KEY) == ""
    assert len(pseudonymize("P-1", KEY, 8)) == 8


@pytest.mark.parametrize(("key", "length"), [(b"short", 16), (KEY, 7), (KEY, 65)])
def test_a_weak_key_or_length_is_refused(key, length):
    with pytest.raises(ValueError, match="must"):
        pseudonymize("P-1", key, length)


def test_a_key_is_read_from_a_file_or_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "key"
    path.write_bytes(KEY.hex().encode() + b"\n")
    path.chmod(0o600)
    monkeypatch.setenv("POLYPSKD_KEY", KEY.hex())
    assert read_key(path) == read_key(str(path)) == read_key("env:POLYPSKD_KEY")
    path.chmod(0o640)
    assert read_key(path) == KEY.hex().encode()


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o666, 0o620])
def test_a_key_open_to_others_is_refused(tmp_path, mode):
    path = tmp_path / "key"
    path.write_bytes(KEY)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=r"open to others.*chmod 600 key"):
        read_key(path)


@pytest.mark.parametrize("content", [b"", b"only fifteen 15", b" \n" * 40, b"x" * 5000])
def test_a_key_too_short_or_too_long_is_refused_without_being_shown(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="the key has") as error:
        read_key(path)
    assert len(str(error.value).splitlines()) == 1
    assert "only" not in str(error.value)


def test_a_missing_key_is_told(tmp_path, monkeypatch):
    monkeypatch.delenv("POLYPSKD_KEY", raising=False)
    for source, what in (
        (tmp_path / "no", "key file no: not found"),
        (tmp_path, "cannot be read"),
        ("env:POLYPSKD_KEY", "environment variable POLYPSKD_KEY: is not set"),
        (Path("/dev/null"), "is no file"),
    ):
        with pytest.raises(ConfigError, match=what):
            read_key(source)


def test_a_key_within_a_folder_that_is_handed_on_is_refused_also_by_a_link(tmp_path):
    key = tmp_path / "run" / "deep" / "key"
    key.parent.mkdir(parents=True)
    key.write_text("f" * 32)
    (tmp_path / "link").symlink_to(key)
    for path in (key, tmp_path / "link", tmp_path / "run" / ".." / "run" / "deep" / "key"):
        with pytest.raises(ConfigError, match="lies within the run folder") as told:
            check_apart(path, tmp_path / "run", "the run folder")
        assert str(tmp_path) not in str(told.value)
    check_apart(key, tmp_path / "runs", "the run folder")
    check_apart(None, tmp_path, "the run folder")
