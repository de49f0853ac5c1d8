"""What travels to the browser: packed numbers come back, in the smallest type that holds them."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lddm_lite.widgets import payload

ARRAYS = hnp.arrays(
    st.sampled_from(["u1", "i4", "i8", "f4"]),
    hnp.array_shapes(min_dims=1, max_dims=3, max_side=5),
    elements={"min_value": 0, "max_value": 200},
)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.text("abcxyz", min_size=1), ARRAYS, max_size=4), st.text())
def test_pack_and_unpack_are_inverse(arrays, title):
    out = payload.unpack(payload.pack({"title": title}, arrays))
    assert out.pop("head") == {"title": title}
    assert set(out) == set(arrays)
    for name, a in arrays.items():
        assert out[name].shape == a.shape and np.array_equal(out[name], a)


@pytest.mark.parametrize(
    "values, kind", [([0, 255], "|u1"), ([0, 256], "<u2"), ([0, 65536], "<u4"), ([-1, 5], "<i4"), ([], "|u1")]
)
def test_integers_take_the_smallest_type_that_holds_them(values, kind):
    assert payload.small_ints(np.array(values, dtype=int)).dtype.str == kind


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="do not fit 32 bits"):
        payload.pack({}, {"a": np.array([-1, 2**33])})
    with pytest.raises(ValueError, match="'a' must hold numbers"):
        payload.pack({}, {"a": np.array(["x"])})
    with pytest.raises(ValueError):  # JSON has no NaN: the browser could not read it
        payload.pack({"x": float("nan")}, {})


def test_no_template_spans_lines():
    """Since spaces and comments before a line are left out of the script."""
    for file in (Path(payload.__file__).parent / "static").glob("*.js"):
        for line in file.read_text("utf-8").splitlines():
            assert line.split(" // ")[0].count("`") % 2 == 0 or line.strip().startswith("//"), f"{file.name}: {line}"
    script = payload.bundle("scrubber")
    assert "\n//" not in script and "\n " not in script and "startHtml" in script
