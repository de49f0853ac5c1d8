"""Help that teaches by example, and no option without it."""

import dataclasses
import itertools
import re
import shlex

import pytest

from lddm_lite import tasks
from lddm_lite._common.options import options as options_of
from lddm_lite.cli import commands, options
from lddm_lite.config import Config
from lddm_lite.diffusion.sampler import Draws
from lddm_lite.training.config import TrainConfig
from tests.support import ROOT


def words(text):
    """With the breaks of lines taken out, which argparse puts after hyphens too."""
    return re.sub(r"\s+", " ", text).replace("- ", "-")


@pytest.mark.parametrize(("cls", "command"), [(Config, "train"), (TrainConfig, "train"), (Draws, "sample")])
def test_every_field_is_an_option_with_its_own_help(run, cls, command):
    status, out, _ = run(command, "--help")
    assert status == 0
    for field, option in zip(dataclasses.fields(cls), options_of(cls), strict=True):
        assert option.name == field.name and option.help
        if cls is Config and field.name in options.FOLLOWS:
            continue
        assert re.search(rf"--{field.name.replace('_', '-')}[ ,]", out), field.name
        assert words(option.help) in words(out), field.name


@pytest.mark.parametrize("command", options.CLASSES)
def test_no_option_of_a_command_is_without_help_or_has_two_meanings(command):
    found = [*options.of_command(command), *itertools.chain(*options.run_options().values())]
    found = found if command == "train" else options.of_command(command)
    assert all(option.help for option in found) and len({option.name for option in found}) == len(found)


def test_a_default_is_what_its_option_allows():
    for option in itertools.chain(*options.run_options().values(), *map(options.of_command, options.CLASSES)):
        if option.default is not dataclasses.MISSING:
            assert option.check(option.default) == option.default


def test_only_what_is_given_to_train_is_noted():
    given = vars(options.build_parser(commands.COMMANDS).parse_args(["train", "--steps", "2000", "--no-compile"]))
    assert {name: given[name] for name in options.defaults() if name in given} == {"steps": 2000, "compile": False}


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
    pages = [options.ABOUT, *(cls.__doc__ for cls in options.CLASSES.values()), (ROOT / "README.md").read_text()]
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
