"""Progress bars: shown on stderr, or not at all."""

from lddm_lite._common.progress import bar


def test_a_bar_is_shown_on_stderr_unless_unwanted(capfd):
    assert list(bar(range(3), show=False, desc="steps")) == [0, 1, 2]
    assert capfd.readouterr() == ("", "")
    with bar(total=2, desc="rows", unit="row") as b:
        b.update(2)
    out, err = capfd.readouterr()
    assert out == "" and "rows: 100%" in err and "2/2" in err
