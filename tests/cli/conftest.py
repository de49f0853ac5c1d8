"""Commands run in this process, small runs of them, and saved models."""

import pytest
import torch

from lddm_lite._common import progress
from lddm_lite.cli import commands
from tests.support.command_line import LINES, TINY
from tests.support.comparisons import NEWS, SAW, build, lines


@pytest.fixture(autouse=True)
def threads_as_they_were():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def no_lines_of_progress(monkeypatch):
    """What a command says does not depend on how slow the machine is."""
    monkeypatch.setattr(progress, "FIRST", 1e9)


@pytest.fixture
def run(capsys):
    """Run a command: (exit status, stdout, stderr)."""

    def go(*words):
        try:
            status = commands.main([str(w) for w in words])
        except SystemExit as e:
            status = e.code or 0
        done = capsys.readouterr()
        return status, done.out, done.err

    return go


@pytest.fixture
def fails(run):
    """Run a command that must say `error: ...` in one line and exit with 2; returns that line."""

    def go(*words):
        status, out, err = run(*words)
        assert status == 2, out
        assert err.startswith("error: ") and err.count("\n") == 1 and "Traceback" not in err, err
        return err

    return go


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    path.write_text("\n".join(LINES * 10), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def saw_run(tmp_path_factory):
    """A trained co-seq on Binsaw of 8 bits."""
    out = tmp_path_factory.mktemp("runs") / "saw"
    words = ["train", "--task", "binsaw", "--length", "8", "--steps", "12", "--out", str(out), *TINY]
    assert commands.main(words) == 0
    return out


@pytest.fixture(scope="session")
def text_run(tmp_path_factory, text_file):
    """A trained mdlm on text."""
    out = tmp_path_factory.mktemp("runs") / "text"
    words = ["train", "--text", str(text_file), "--system", "mdlm", "--steps", "12", "--out", str(out)]
    assert commands.main([*words, "--length", "12", "--vocab", "90", "--holdout", "0.2", *TINY]) == 0
    return out


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Saved models, and a text file."""
    folder = tmp_path_factory.mktemp("saved")
    for name, model in {
        "text-mdlm": build("mdlm"), "text-seq": build("co-seq"), "text-seq-2": build("co-seq", seed=1),
        "saw": build("di-seq", SAW), "news": build("mdlm", NEWS),
    }.items():  # fmt: skip
        model.save(folder / name)
    (folder / "held.txt").write_text("\n".join(lines(40, seed=1)))
    return folder
