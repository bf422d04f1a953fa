"""Bodies of several parts, held against an independent reader: the standard library's."""

import email
from email.policy import HTTP

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from polypskd.deployment.pacs.multipart import (
    FilesBody,
    TornError,
    find_boundary,
    read_only_part,
)

BOUNDARY = b"ab"
# Bytes that look like marks and heads, at every place.
TRICKY = st.lists(
    st.sampled_from([b"\r\n", b"--", b"ab", b"\r\n--ab", b"a", b"\0", b"\r", b"--ab--", b"\xff"]),
    max_size=12,
).map(b"".join)


def build_body(content: bytes, head: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    return b"--ab\r\n" + head + b"\r\n" + content + b"\r\n--ab--\r\n"


def cut(body: bytes, places: list[int]) -> list[bytes]:
    ends = sorted(place % (len(body) + 1) for place in places)
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


def read(pieces: list[bytes], boundary: bytes = BOUNDARY) -> bytes:
    got: list[bytes] = []
    read_only_part(pieces, boundary, got.append)
    return b"".join(got)


@given(TRICKY, st.lists(st.integers(0, 200), max_size=8))
@example(b"", [])
@example(b"\r\n", [20, 21, 22])
def test_a_part_comes_out_as_it_went_in_however_the_body_is_cut(content, places):
    if b"\r\n--ab" in b"\r\n" + content:
        return  # then it is no part with this boundary
    assert read(cut(build_body(content), places)) == content


@given(TRICKY, st.integers(0, 200))
def test_a_body_cut_anywhere_is_told(content, at):
    if b"\r\n--ab" in b"\r\n" + content:
        return
    body = build_body(content)
    end = len(body) - len(b"--\r\n")
    with pytest.raises(TornError):
        read([body[: at % end]])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"<html>" * 10_000,
        b"--ab--\r\n",
        b"--ab\r\n\r\none\r\n--ab\r\n\r\ntwo\r\n--ab--",
        b"--ab\r\n" + b"X: y\r\n" * 10_000 + b"\r\nbody\r\n--ab--",
    ],
)
def test_what_is_not_one_part_is_refused(body):
    with pytest.raises(TornError):
        read([body[at : at + 1000] for at in range(0, len(body), 1000)])


def test_bytes_are_handed_on_as_they_come_and_not_kept():
    pieces = [build_body(b"x" * 1000)[:500]]
    got: list[bytes] = []
    with pytest.raises(TornError):
        read_only_part(pieces, BOUNDARY, got.append)
    assert len(b"".join(got)) > 400


def test_a_preamble_and_no_head_are_let_pass():
    assert read([b"words before\r\n--ab\r\n\r\nbody\r\n--ab--"]) == b"body"


@pytest.mark.parametrize(
    ("value", "boundary"),
    [
        ("multipart/related; boundary=x", b"x"),
        ('multipart/related; type="application/dicom"; boundary="x y;z"', b"x y;z"),
        ("multipart/related; BOUNDARY=x; start=y", b"x"),
        ('multipart/related;type="a;boundary=no";boundary=yes', b"yes"),
    ],
)
def test_the_boundary_is_found(value, boundary):
    assert find_boundary(value) == boundary


@pytest.mark.parametrize("value", ["", "multipart/related", "multipart/related; boundary=", "a;b"])
def test_a_missing_boundary_is_told(value):
    with pytest.raises(TornError):
        find_boundary(value)


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 70))
def test_files_are_sent_as_parts_that_another_reader_understands(tmp_path_factory, parts, step):
    folder = tmp_path_factory.mktemp("parts")
    files = []
    for turn, part in enumerate(parts):
        files.append(folder / f"{turn}.dcm")
        files[-1].write_bytes(part)
    body = FilesBody(files)
    told = b"".join(iter(lambda: body.read(step), b""))
    assert len(told) == len(body)
    head = f"Content-Type: {body.content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + told, policy=HTTP)
    marks = f"--{body.boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    assert message.is_multipart()
    assert len(message.get_payload()) == len(parts)
    end = f"--{body.boundary}--\r\n".encode()
    assert told == b"".join(marks + part + b"\r\n" for part in parts) + end
