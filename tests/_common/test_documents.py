"""JSON from outside: plain values or a ValueError, in time and memory of the order of its size."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lddm_lite._common import documents, schemas

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(PLAIN)
def test_what_json_writes_comes_back(value):
    assert documents.parse(json.dumps(value)) == value
    assert documents.parse(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "more than 64 deep"),
        ("[" * 66 + "]" * 66, "more than 64 deep"),
        ('{"a":' * 70 + "1" + "}" * 70, "more than 64 deep"),
        ("1" * 5000, "an integer of 5,000 digits; at most 20"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' stands twice"),
        ("NaN", "NaN is no number"), ("[-Infinity]", "-Infinity is no number"),
        (r'"\ud800"', "half a character"), (r'{"\udc00": 1}', "half a character"),
        ("{", "damaged or cut off"), ("", "damaged or cut off"), (b"\xff", "damaged or cut off"),
        ("{}".encode("utf-16"), "damaged or cut off"), ("{} {}", "damaged or cut off"),
    ],
)  # fmt: skip
def test_what_is_not_json_is_named(text, message):
    with pytest.raises(ValueError, match=message) as e:
        documents.parse(text, "a.json")
    assert str(e.value).startswith("a.json is damaged") and len(str(e.value)) < 400


def test_constants_where_they_are_allowed_and_a_mark_before_the_text():
    assert documents.parse("[NaN, Infinity]", constants=True)[1] == float("inf")
    assert documents.parse(b"\xef\xbb\xbf{}") == {}


def test_limits_and_how_to_lift_them(tmp_path, monkeypatch):
    file = tmp_path / "a.json"
    file.write_text("[" + "1," * 1000 + "1]")
    monkeypatch.setenv("LDDM_LIMIT_JSON", "100")
    with pytest.raises(ValueError, match="a.json: its size in bytes must be at most 100.*LDDM_LIMIT_JSON"):
        documents.read_document(file)
    monkeypatch.setenv("LDDM_LIMIT_JSON", "10000")
    assert len(documents.read_document(file)) == 1001


def test_pipes_devices_and_folders_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, "/dev/zero", tmp_path / "nowhere"):
        with pytest.raises(OSError) as e:
            documents.read_bytes(place)
        assert str(place) in str(e.value)


def test_a_schema_names_file_and_place(tmp_path):
    file = tmp_path / "a.json"
    file.write_text('{"rows": [{"n": 1}, {"n": -1}]}')
    form = schemas.record({"rows": schemas.items(schemas.record({"n": schemas.whole(0)}))})
    with pytest.raises(ValueError, match=r"a.json: rows\[1\].n must be an integer >= 0, got -1"):
        documents.read_document(file, form)
