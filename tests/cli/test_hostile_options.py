"""Hostile words for every option of every command: what its domain refuses is refused in one line that names
it; all else runs, or says in one line what does not fit. No traceback, no silence.

Words are made from the options' own domains by hypothesis: 60 quickly, 1,000 with `-m slow`.
"""

import contextlib
import io
import itertools
import os
import shutil
import subprocess
import sys

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st

from lddm_lite.cli import commands
from lddm_lite.cli.options import CLASSES, of_command, run_options
from tests.support import ROOT
from tests.support.domains import ODD_TEXTS, words_for
from tests.support.hostile import Count

DRAW = "-n 1 --token-steps 1 --latent-steps 1".split()
SMALL = "--system mdlm --width 16 --blocks 1 --heads 2 --steps 2 --batch 4 --warmup 1 --quiet".split()
BASES = {
    "data": "lm1b --sentences 1 --cache cache --url http://127.0.0.1:9/none --quiet".split(),
    "train": ["--task", "mixture", "--length", "4", *SMALL],
    "sample": ["MODEL", *DRAW],
    "infill": ["MODEL", "01__", *DRAW],
    "evaluate": ["MODEL", "-n", "4", "--token-steps", "1", "--latent-steps", "1", "--no-exact"],
    "score": ["MODEL", "bits.txt", "--draws", "1"],
    "compare": ["MODEL", "--out", "compared", "-n", "4", "--nfe", "2", "--no-health", "--no-exact"],
    "doctor": ["python"],
}
OUTSIDE = "../../etc/passwd"  # is a place to write to, if asked for
TELLS = ["http://127.0.0.1:9", "unrecognized", "is no regular file", "Is a directory", "is a folder", "No such file"]
TELLS += ["File name too long", "no checkpoint '", "no checkpoint at", "nothing to fill in: write"]
TELLS += ["no line can be scored"]


def options_of(command):
    found = list(of_command(command)) if command != "doctor" else []
    return found + (list(itertools.chain(*run_options().values())) if command == "train" else [])


PLACES = [(command, o) for command in CLASSES for o in options_of(command)]


def line(command, option, word, model, out):
    """The words of a command line in which an option has this word."""
    base = [model if w == "MODEL" else w for w in BASES[command]]
    if command == "train" and option.name != "out":
        base += ["--out", out]
    if option.flags and not option.flags[0].startswith("-"):  # the first, the second positional
        at = 1 if option.name in ("pattern", "file") else 0
        base[at : at + 1] = [*(["--"] if word.startswith("-") else []), word]
        return [command, *base] if not word.startswith("-") else [command, *base[2:], *base[:2]]
    flag = option.flags[-1] if option.flags else f"--{option.name.replace('_', '-')}"
    return [command, *base, f"{flag}={word}" if flag.startswith("--") else flag + word]


def held(option, word):
    """Is the word one that the option's domain holds?"""
    try:
        parts = [option.kind(w) for w in word.split(",")] if option.many else option.kind(word)
        option.check(tuple(parts) if option.many else parts)
        return option.kind is not bool
    except (ValueError, TypeError, OverflowError):
        return False


SHARES = [pytest.param(1000, marks=pytest.mark.slow, id="many"), pytest.param(60, id="few")]
COMMANDS = ["sample", *(pytest.param(c, marks=pytest.mark.slow) for c in CLASSES if c != "sample")]


@pytest.mark.parametrize("examples", SHARES)
def test_each_option_keeps_its_domain(examples, saw_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "bits.txt").write_text("01010101\n")
    count, number = Count(), itertools.count()
    assert len(PLACES) > 120

    @hypothesis.settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @hypothesis.given(data=st.data())
    def try_one(data):
        command, option = data.draw(st.sampled_from(PLACES))
        word = data.draw(words_for(option).filter(lambda w: w != OUTSIDE))
        words = line(command, option, word, str(saw_run), f"run{next(number)}")
        names = [option.name, option.name.replace("_", "-"), *option.flags, (option.metavar or "?").lower(), *TELLS]

        def call():
            told = io.StringIO()
            with contextlib.redirect_stderr(told):
                try:
                    status = commands.main(words)
                except SystemExit as e:  # --help
                    status = e.code
            errors = told.getvalue()
            if status == 2:
                said = [line for line in errors.splitlines() if line.startswith("error: ")]
                assert len(said) == 1 and "Traceback" not in errors, errors
                raise ValueError(said[0])
            return held(option, word) and status == 0

        count.case(" ".join(words), call, ValueError, names, seconds=60)
        shutil.rmtree(words[-1] if command == "train" else "compared", ignore_errors=True)

    try_one()
    count.verdict("command line")


@pytest.mark.parametrize("command", COMMANDS)
def test_words_that_are_no_text(command, saw_run, tmp_path):
    """Bytes that are not UTF-8, as a shell passes them on, in a place of each kind."""
    shutil.copytree(saw_run, tmp_path / "model")
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for bad in (b"\xff\xfe", b"\xc3", b"\xed\xa0\x80"):
        base = [b"model" if w == "MODEL" else w.encode() for w in BASES[command]]
        lines = [[*base, b"--seed=" + bad], [*base, b"--out=" + bad + b"/\xff"], [bad, *base[1:]]]
        for words in lines if command != "doctor" else [[bad]]:
            told = [sys.executable, "-m", "lddm_lite", command, *words]
            done = subprocess.run(told, cwd=tmp_path, capture_output=True, env=env, timeout=240)
            errors = done.stderr.decode(errors="replace")
            assert done.returncode in (0, 2) and "Traceback" not in errors, (words, errors)
            assert done.returncode == 0 or errors.count("error: ") == 1, (words, errors)


def test_odd_texts_are_there():
    assert OUTSIDE in ODD_TEXTS and len(ODD_TEXTS) > 15
