"""Command-line options. A command is a dataclass: its docstring is the help, its fields
are the options (see `_common.options`). Those of models, training and draws are the library's own.

Argparse it is, since `train` must know which options were given (--resume compares them, and --size
yields to them) and a mistake is one line: what reads dataclasses into whole objects knows neither.
"""

from __future__ import annotations

import argparse
import inspect
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import MISSING, dataclass, replace

from .._common.options import Option, option, options
from ..config import SIZES, Config
from .compare_command import DRAWS, Compare
from .score_command import Score

__all__ = ["CLASSES", "PROGRAM", "SOURCES", "TEXT_ONLY", "build_parser", "defaults", "model_options", "of_command"]
__all__ += ["run_options"]

PROGRAM = "python -m lddm_lite"
ABOUT = f"""commands in the order in which they are used:
  {PROGRAM} doctor
  {PROGRAM} train --task binsaw --system co-seq --steps 2000 --out runs/a
  {PROGRAM} sample runs/a
  {PROGRAM} evaluate runs/a
  {PROGRAM} compare runs/a binsaw-mdlm --out runs/compared
Each explains itself: {PROGRAM} train --help"""
FOLLOWS = ("length", "vocab", "pad_id", "latent")  # fields of Config that the data or the system decide
SOURCES = ("task", "text", "ids", "molecules")  # fields of Data, of which a run has one
TEXT_ONLY = ("vocab", "lowercase", "tokenizer", "stream", "allow_losses")  # fields of Data


@dataclass
class Machine:
    """Threads and device: options of every command that computes."""

    threads: int | None = option(None, "CPU threads (default: torch's own choice)", minimum=1)
    device: str = option("auto", "what computes", choices=("auto", "cpu", "cuda", "mps", "xpu"))
    logits: int = option(
        256, "megabytes of log-probabilities of tokens held at once; less where memory is short", minimum=1)


@dataclass
class Fetch:
    """fetch a part of the One Billion Word benchmark

    It prints the path of a file with one sentence a line. The archive (1.79 GB) is read only as far
    as needed; what was read stays in the cache, and a download that breaks goes on there. The held-out
    part may lie at the archive's end. Without a network: LDDM_LM1B=/path/to/archive.tar.gz.

    examples:
      python -m lddm_lite data lm1b --sentences 50000
      python -m lddm_lite data lm1b --split heldout --sentences 5000
    """

    source: str = option(help="what to fetch: the One Billion Word benchmark", choices=("lm1b",), flags=("source",))
    sentences: int = option(50_000, "how many", minimum=1)
    split: str = option("train", "which part", choices=("train", "heldout"))
    cache: str | None = option(None, "folder for it (default: $LDDM_CACHE, else the user's cache)", metavar="DIR")
    url: str | None = option(None, "another address of the archive", metavar="URL")
    quiet: bool = option(False, "no progress bar")


@dataclass
class Train:
    """train one of the five systems on a task or on a text

    systems: mdlm (no latents), co-joint, co-seq (continuous latents), di-joint, di-seq (discrete ones);
    *-seq resolves the latents before the tokens, *-joint both at once.

    examples:
      python -m lddm_lite train --task binsaw --length 32 --steps 1000 --out runs/a    # a few minutes
      python -m lddm_lite train --task newswire --system mdlm --out runs/b
      python -m lddm_lite train --text FILE.txt --slots 8 --out runs/c                 # one sentence a line
      python -m lddm_lite train --task my.py:Bars --out runs/bars                      # data of your own
      python -m lddm_lite train --ids digits.npy --shape 8x8 --system di-seq --out runs/digits
      python -m lddm_lite train --out runs/a --resume                                  # go on where it stopped
      python -m lddm_lite train --out runs/a --resume --steps 4000                     # more than were planned
      python -m lddm_lite train --text FILE.txt --size small --precision bf16 --dry-run       # what would it need?
    on several GPUs, or CPUs with --device cpu (--batch is that of all together):
      accelerate launch --multi_gpu --num_processes 2 -m lddm_lite train --task binsaw --out runs/d
    Ctrl-C stops after the current step and keeps what was learned; resuming is exact, bit for bit on a CPU.
    With more --steps than planned it is not: the rate warms up again to half of its peak, and falls to 0.
    """

    out: str | None = option(None, "folder for the model, its history and its state", metavar="DIR")
    resume: bool = option(
        False, "go on with the run in --out; needs no other option, but --task FILE.py:NAME where that was given")
    init_from: str | None = option(
        None, "begin with the weights of another model, as far as names and shapes are the same", metavar="DIR")
    recipe: str | None = option(None, "a new run with the options of the one in DIR, but those given", metavar="DIR")
    force: bool = option(False, "overwrite another run in --out")
    minutes: float | None = option(
        None, "stop after so many, as Ctrl-C does; --resume goes on, exit status 130 says that there is more to do",
        above=0, below=math.inf)
    quiet: bool = option(False, "no progress bar")
    dry_run: bool = option(False, "only tell parameters, memory, tokens per step and time")


@dataclass
class Data:
    """Training data of `train`."""

    task: str | None = option(
        None, "a task with exact answers: binsaw, mixture, newswire, parity or twins; or FILE.py:NAME, MODULE:NAME, "
        "data of your own (protocols.Data)")
    text: str | None = option(None, "any UTF-8 text, one sentence a line", metavar="FILE")
    ids: str | None = option(None, "rows of token ids, as numpy.save writes them", metavar="FILE.npy")
    molecules: str | None = option(
        None, "strings of molecules, after `make molecules`: qm9 or moses", choices=("qm9", "moses"))
    length: int | None = option(
        None, "tokens per sequence (default: the task's own; 64 for text, up to 512 where tokens are characters or "
        "bytes; longer sentences are dropped)",
        minimum=1, flags=("--length", "--task-length"))
    vocab: int | None = option(
        None, "text: pieces of the tokenizer trained on it (default: 4000), or the most frequent of bert's (all)",
        minimum=1)
    lowercase: bool | None = option(None, "text: in small letters (default: only words of English are)")
    limit: int | None = option(
        None, "that many sentences, drawn once (default: all of a text; a task draws afresh)", minimum=1)
    holdout: float = option(0.05, "text, ids: share kept for the final score", minimum=0.0, below=1.0)
    tokenizer: str = option(
        "auto", "text: words, characters, bytes, symbols, the path of a tokenizer.json, bert (bert-base-uncased's), or "
        "auto, which looks at the text and says what it chose")
    allow_losses: bool = option(
        False, "text: train also where more than a hundredth of the tokens is unknown, a fifth of the lines dropped, "
        "or a thousandth of the characters changed")
    stream: bool | None = option(None, "text: keep its ids on disk, in little memory (default: above 50 MB)")
    labels: str | None = option(None, "ids: the words shown for them, one a line (default: numbers)", metavar="FILE")
    pad_id: int | None = option(None, "ids: the one that fills short sequences up", minimum=0)
    shape: str | None = option(None, "ids: rows x columns of sequences that are pictures, such as 8x8", metavar="RxC")
    classes: str | None = option(
        None, "ids: the class of each row, an integer; it becomes the first token, for sample --label",
        metavar="FILE.npy")
    names: str | None = option(None, "ids: names of the classes, one a line", metavar="FILE")


@dataclass
class Size:
    """How large a model `train` makes, in a word."""

    size: str | None = option(
        None, "width, blocks and heads: tiny (3 million parameters), small (30), base (the papers'), or minilm, for "
        "--init-from minilm; --lr 3e-4 is usual from small on; all systems alike but for base (default: those below)",
        choices=tuple(SIZES))


@dataclass
class Use:
    """What commands that use a model have in common."""

    model: str = option(help="a folder written by train, or the name of a shipped checkpoint", metavar="DIR",
                        flags=("model",))
    n: int | None = option(None, "sequences per number of steps (default: 2048; 256 for text)", minimum=1)
    token_steps: tuple[int, ...] | None = option((1, 2, 4, 8, 16), "token step counts", minimum=1, metavar="K,...")
    latent_steps: int | None = option(
        None, "latent steps (default: as many as token steps on the joint path; else 16 for continuous latents, one "
        "per slot for discrete ones)", minimum=0, metavar="K")
    lead: float | None = option(
        None, "path: 0 joint, 0.5 sequential, or between (default: the system's)", minimum=0.0, maximum=0.5)
    seed: int = option(0, "the same seed gives the same result", minimum=0)
    encoder: str | None = option(
        None, "the frozen encoder that the model's file names, where it is no known package: you trust it",
        metavar="NAME")


@dataclass
class Evaluate(Use):
    """quality against the number of steps, beside the exact predictor without latents

    Tasks are scored exactly: excess nats, total variation over hidden modes, coherence; what as many
    true samples show stands in brackets. Divergences of the samples' law q from the task's p* are
    exact or estimated where q is at hand (tiny tasks, one token step); "≤" marks a bound. The rows
    'exact' are the exact predictor without latents, in even steps or, with --schedule best, in its own
    best ones: a limit for models without latents in these steps, under this order. Text has no exact
    scores: on --text FILE, which the model should not have seen, the bound is taken in nats per token,
    and the unigram entropy of the samples stands beside that of the text.

    examples:
      python -m lddm_lite evaluate runs/a --token-steps 1,2,4 --json scores.json
      python -m lddm_lite evaluate runs/c --text held_out.txt -n 256
    """

    text: str | None = option(None, "text models: held-out text, one sentence a line", metavar="FILE")
    task: str | None = option(None, "models of your own data: FILE.py:NAME or MODULE:NAME, as in train", metavar="NAME")
    ids: str | None = option(None, "models of your own data: held-out rows of ids", metavar="FILE.npy")
    classes: str | None = option(
        None, "the class of each of these rows, where the model has classes", metavar="FILE.npy")
    schedule: str = option(
        "even", "best: --token-steps are then network calls in all, in the steps that are best for the model",
        choices=("even", "best"))
    no_exact: bool = option(False, "leave out the exact predictor without latents")
    json: str | None = option(None, "write everything as JSON too; - prints JSON and nothing else", metavar="FILE")


@dataclass
class Sample(Use):
    """draw sequences from a trained model

    NFE, the number of network calls, is the price to compare at; it is printed with every result.

    examples:
      python -m lddm_lite sample runs/a
      python -m lddm_lite sample runs/a -n 4 --token-steps 1,4,16 --latent-steps 16
      python -m lddm_lite sample runs/a --lead 0.25 --trace run.json   # lddm_lite.Trace.load reads it
      python -m lddm_lite sample runs/c --prompt "The bank" --order even --top-p 0.9
    """

    n: int = option(8, "sequences", minimum=1)
    token_steps: tuple[int, ...] = option((8,), "token step counts", minimum=1, metavar="K,...")
    schedule: str = option(
        "even", "best: --token-steps are then network calls in all, in the steps that are best for the model of a task",
        choices=("even", "best"))
    trace: str | None = option(None, "save every step of the sampler as JSON (one step count only)", metavar="FILE")
    prompt: str | None = option(None, "what each text begins with (models of text, the toy newswire)", metavar="TEXT")
    gap: str | None = option(None, "what stands for a gap in --prompt (default: [MASK])", metavar="MARK")
    length: int | None = option(None, "tokens of each sequence (default: as in the training data)", minimum=1)
    label: str | None = option(None, "the class of each sequence, of data with classes", metavar="CLASS")
    batch: int = option(512, "sequences in one network call", minimum=1)
    precision: str = option(
        "float32", "of the network; bf16 takes less time on a GPU, and on a CPU that multiplies bfloat16",
        choices=("float32", "bf16"))
    out: str | None = option(None, "write JSON too, an object a line: text, tokens, nfe, seed", metavar="FILE")


@dataclass(kw_only=True)
class Infill(Use):
    """fill in what is masked

    examples:
      python -m lddm_lite infill runs/c "The [MASK] said on Monday that [MASK] ." -n 4
      python -m lddm_lite infill runs/a 01__10      # bits: _ is a mask too, and so is what is missing at the end
    """

    pattern: str = option(help="what is given, with [MASK] for each token to fill in", metavar="PATTERN",
                          flags=("pattern",))
    n: int = option(4, "ways to fill it in", minimum=1)
    token_steps: tuple[int, ...] | None = option(
        None, "token step counts (default: 8, or the number of masks if smaller)", minimum=1, metavar="K,...")
    gap: str | None = option(
        None, "what stands for a gap (default: [MASK], and _ unless it is a symbol)", metavar="MARK")
    batch: int = option(512, "sequences in one network call", minimum=1)
    trace: str | None = option(None, "save every step of the sampler as JSON (one step count only)", metavar="FILE")


@dataclass
class Doctor:
    """what is installed, what is missing, and the command that mends it

    example:
      python -m lddm_lite doctor
    """

    what: str | None = option(None, "only this: will the interpreter do?", choices=("python",), flags=("what",))


CLASSES: dict[str, type] = {
    "data": Fetch, "train": Train, "sample": Sample, "infill": Infill, "evaluate": Evaluate, "score": Score,
    "compare": Compare, "doctor": Doctor,
}  # fmt: skip


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message):
        raise ValueError(f"{message}; see {self.prog} --help")


def model_options() -> list[Option]:
    """The fields of `Config` that `train` has as options; `lead` None: the system's own.

    >>> model_options()[0].name
    'system'
    """
    found = {o.name: o for o in options(Config) if o.name not in FOLLOWS}
    lead = found["lead"]
    found["lead"] = replace(lead, default=None, optional=True, help=lead.help + " (default: the system's)")
    return list(found.values())


def run_options() -> dict[str, Sequence[Option]]:
    """The options that shape a run of `train`, and are kept with it, by what they are about.

    >>> [o.name for o in run_options()["data"]][:2]
    ['task', 'text']
    """
    from ..training.config import TrainConfig

    model = [*options(Size), *model_options()]
    return {"data": options(Data), "model": model, "training": options(TrainConfig)}


def defaults() -> dict:
    """Default values of `run_options`.

    >>> defaults()["system"], defaults()["task"]
    ('co-seq', None)
    """
    return {o.name: o.default for found in run_options().values() for o in found}


def of_command(name: str) -> list[Option]:
    """The options of a command, but for `run_options`.

    >>> [o.name for o in of_command("doctor")]
    ['what']
    """
    found = list(options(CLASSES[name]))
    if name in ("sample", "infill", "compare"):
        from ..diffusion.sampler import Draws

        found += [o for o in options(Draws) if name != "compare" or o.name in DRAWS]
    return found if name in ("data", "doctor") else [*found, *options(Machine)]


def build_parser(commands: Mapping[str, Callable], asked: Collection[str] | None = None) -> argparse.ArgumentParser:
    """The parser of `commands`, which it notes as `run`. Only those `asked` for get their options,
    for some of which torch must be loaded; None stands for all.

    >>> build_parser({"sample": print}).parse_args(["sample", "runs/a", "-n", "2"]).n
    2
    """
    top = _Parser(prog=PROGRAM, description="Latent discrete diffusion, small enough to read.", epilog=ABOUT)
    sub = top.add_subparsers(dest="command", metavar="command")
    for name, run in commands.items():
        line, _, more = inspect.cleandoc(CLASSES[name].__doc__ or "").partition("\n\n")
        either_of = "--task NAME | --text FILE | --ids FILE"
        usage = f"{PROGRAM} train ({either_of}) --out DIR [options]" if name == "train" else None
        p = sub.add_parser(name, help=line, description=line, epilog=more, usage=usage)
        p.set_defaults(run=run)
        if asked is not None and name not in asked:
            continue
        for o in of_command(name):
            _add(p, o)
        for title, found in run_options().items() if name == "train" else ():
            group = p.add_argument_group(title)
            either = group.add_mutually_exclusive_group()
            for o in found:  # only what is given is in the namespace: --resume compares it
                _add(either if o.name in SOURCES else group, o, default=argparse.SUPPRESS)
    return top


def _add(group, o: Option, **more) -> None:
    """An option of argparse out of an `Option`."""
    long = "--" + o.name.replace("_", "-")
    names = o.flags or ([f"-{o.name}", long] if len(o.name) == 1 else [long])
    if not names[0].startswith("-"):
        more["nargs"] = "+" if o.many else None if o.default is MISSING else "?"
    elif o.default is MISSING:
        more["required"] = True
    if o.kind is bool:
        more["action"] = argparse.BooleanOptionalAction if "default" in more else "store_true"
    else:
        usual = "{" + ",".join(o.choices) + "}" if o.choices else {int: "N", float: "X", str: "NAME"}[o.kind]
        more |= {"type": _reader(o), "metavar": o.metavar or usual}
    told = o.default in (None, MISSING) or "(default" in o.help or more.get("action") == "store_true"
    value = ",".join(map(str, o.default)) if o.many and not told else o.default
    more.setdefault("default", None if o.default is MISSING else o.default)
    group.add_argument(*names, help=o.help if told else f"{o.help} (default: {value})", **more)


def _reader(o: Option) -> Callable[[str], object]:
    def value(word: str):
        try:
            return o.kind(word)
        except ValueError:
            return word  # the check says what is allowed

    def read(words: str):
        try:
            return o.check(tuple(map(value, words.split(","))) if o.many else value(words))
        except ValueError as e:
            raise argparse.ArgumentTypeError(str(e)) from None

    return str if o.kind is str and o.many else read
