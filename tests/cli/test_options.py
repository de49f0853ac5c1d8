"""Help that teaches by example, and no option without it."""

import dataclasses
import re
import shlex

import pytest

from lddm_lite import tasks
from lddm_lite.cli import commands, options
from lddm_lite.config import Config
from lddm_lite.training.config import TrainConfig
from tests.support import ROOT


def test_every_field_of_both_configurations_is_an_option_with_help(run):
    status, out, _ = run("train", "--help")
    assert status == 0
    for cls in (Config, TrainConfig):
        for field in dataclasses.fields(cls):
            if cls is Config and field.name in options.FOLLOWS:
                continue
            assert re.search(rf"--{field.name.replace('_', '-')}[ ,]", out), field.name
            assert options.HELP.get(field.name), f"options.HELP lacks {field.name}"
    assert not set(options.HELP) - {f.name for c in (Config, TrainConfig) for f in dataclasses.fields(c)}


@pytest.mark.parametrize("command", [None, *commands.COMMANDS])
def test_help_teaches_by_example(run, command):
    status, out, _ = run(*[command] * bool(command), "--help")
    assert status == 0 and f"{options.PROGRAM} {command or 'train'}" in out
    assert "(default: " in out or command in (None, "doctor")


def test_no_command_prints_the_commands(run):
    status, out, _ = run()
    assert status == 0 and all(name in out for name in commands.COMMANDS)


def test_examples_in_help_and_readme_are_accepted():
    parser = options.build_parser(commands.COMMANDS)
    pages = [*options.EPILOGS.values(), (ROOT / "README.md").read_text()]
    lines = re.findall(r"python -m lddm_lite (\w[^`\n]*)", "\n".join(pages))
    examples = [shlex.split(line.rstrip(". "), comments=True) for line in lines]
    assert len(examples) > 12
    for words in examples:
        if "--help" not in words:
            parser.parse_args(words)


def test_the_tasks_of_the_help_are_those_of_the_library():
    words = ["train", "--out", "x", "--task"]
    for name in tasks.TASKS:
        assert options.build_parser(commands.COMMANDS).parse_args([*words, name]).task == name
