"""What the command line understands. Options of models and training are the fields of `Config` and
`TrainConfig`."""

from __future__ import annotations

import argparse
from dataclasses import fields

from . import compare_command

__all__ = ["EPILOGS", "HELP", "PROGRAM", "TEXT_ONLY", "build_parser", "defaults"]
__all__ += ["model_defaults", "step_counts", "training_defaults"]

TEXT_ONLY: dict = {"vocab": 4000, "lowercase": True, "holdout": 0.05}  # options of train --text
TEXT_ONLY |= {"tokenizer": "own", "stream": None}
DATA = {"task": None, "text": None, "length": None, "limit": None, **TEXT_ONLY}
FOLLOWS = ("length", "vocab", "pad_id", "latent", "system")  # fields of Config that the data or the system decide

PROGRAM = "python -m lddm_lite"

HELP = {  # one line per field of Config and TrainConfig; a test sees to it that none is missing
    "lead": "path that it samples on by default: 0 joint, 0.5 sequential (default: the system's)",
    "slots": "latent slots m",
    "dim": "coordinates d of a latent slot",
    "codes": "codebook size K of discrete latents",
    "width": "transformer width of both streams",
    "blocks": "transformer blocks",
    "heads": "attention heads; they divide the width",
    "network": "plain, or text: rotary attention, small embeddings, open gates at the start; --size has text",
    "encoder": "what makes the latents of a text: learned, or a frozen encoder: minilm, a folder, a name on the hub",
    "encoder_blocks": "transformer blocks of the encoder",
    "log_snr_max": "log signal-to-noise ratio of continuous latents at t_z=0, their noise floor",
    "log_snr_min": "the same at t_z=1, pure noise",
    "latent_schedule": "linear: that log ratio falls evenly; sqrt: Diffusion-LM's schedule, more steps at much noise",
    "own_share": "share of training times drawn on the system's own path",
    "off_path_share": "share drawn off every path, which infilling needs; the rest is on random leads",
    "steps": "training steps",
    "batch": "sequences per step",
    "seed": "seed of weights, data and noise; the same one repeats the run",
    "lr": "peak learning rate; linear warm-up, then cosine to zero",
    "warmup": "steps of warm-up",
    "weight_decay": "AdamW's weight decay",
    "clip": "largest gradient norm",
    "ema": "decay of the averaged weights, which are the ones kept",
    "stage1": "share of steps that train the encoder; longer while the tokens ignore z",
    "late_codes": "discrete systems: no codes in stage 1, whose latents then give the codebook by k-means",
    "few_step1": "share of token times moved to the start of sampling (t_x=1) in stage 1: what few steps need",
    "few_step2": "the same in stage 2",
    "log_every": "steps per row of the history",
    "save_every": "steps between checkpoints",
    "precision": "float32, or bf16: autocast of the transformer blocks; weights and losses stay float32",
    "compile": "torch.compile the transformer blocks: minutes at the start, faster steps on a GPU",
    "accumulate": "pieces in which a batch is worked on, one after another or by several processes: less memory",
    "validate_every": "steps between bounds on held-out data, kept in the history; 0: never",
    "preview_every": "steps between a few samples, printed and kept in the history; 0: never",
    "tensorboard": "write the history for TensorBoard too, into the folder tensorboard of --out",
}

EPILOGS = {
    None: f"""commands in the order in which they are used:
  {PROGRAM} doctor
  {PROGRAM} train --task binsaw --system co-seq --steps 2000 --out runs/a
  {PROGRAM} sample runs/a
  {PROGRAM} evaluate runs/a
  {PROGRAM} compare runs/a binsaw-mdlm --out runs/compared
Each explains itself: {PROGRAM} train --help""",
    "data": f"""It prints the path of a file with one sentence a line. The archive (1.79 GB) is read only as far
as needed; what was read stays in the cache, and a download that breaks goes on there. The held-out
part may lie at the archive's end. Without a network: LDDM_LM1B=/path/to/archive.tar.gz.

examples:
  {PROGRAM} data lm1b --sentences 50000
  {PROGRAM} data lm1b --split heldout --sentences 5000""",
    "train": f"""systems: mdlm (no latents), co-joint, co-seq (continuous latents), di-joint, di-seq (discrete ones);
*-seq resolves the latents before the tokens, *-joint both at once.

examples:
  {PROGRAM} train --task binsaw --length 32 --steps 1000 --out runs/a    # a few minutes
  {PROGRAM} train --task newswire --system mdlm --out runs/b
  {PROGRAM} train --text FILE.txt --slots 8 --out runs/c                 # one sentence a line
  {PROGRAM} train --out runs/a --resume                                  # go on where it stopped
  {PROGRAM} train --text FILE.txt --size small --precision bf16 --dry-run       # what would it need?
on several GPUs, or CPUs with --device cpu (--batch is that of all together):
  accelerate launch --multi_gpu --num_processes 2 -m lddm_lite train --task binsaw --out runs/d
Ctrl-C stops after the current step and keeps what was learned; resuming is exact, bit for bit on a CPU.""",
    "sample": f"""NFE, the number of network calls, is the price to compare at; it is printed with every result.

examples:
  {PROGRAM} sample runs/a
  {PROGRAM} sample runs/a -n 4 --token-steps 1,4,16 --latent-steps 16
  {PROGRAM} sample runs/a --lead 0.25 --trace run.json   # lddm_lite.Trace.load reads it
  {PROGRAM} sample runs/c --prompt "The bank" --order even --top-p 0.9""",
    "infill": f"""examples:
  {PROGRAM} infill runs/c "The [MASK] said on Monday that [MASK] ." -n 4
  {PROGRAM} infill runs/a 01__10      # bits: _ is a mask too, and so is what is missing at the end""",
    "evaluate": f"""Tasks are scored exactly: excess nats, total variation over hidden modes, coherence;
what as many true samples show stands in brackets. The rows 'exact' are the exact predictor without
latents, in even steps. Text has no exact scores: on --text FILE, which the model should not have seen, the bound is
taken in nats per token, and the unigram entropy of the samples stands beside that of the text.

examples:
  {PROGRAM} evaluate runs/a --token-steps 1,2,4 --json scores.json
  {PROGRAM} evaluate runs/c --text held_out.txt -n 256""",
    "compare": compare_command.EPILOG,
    "doctor": f"example:\n  {PROGRAM} doctor",
}


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options):
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **options)

    def error(self, message):
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def step_counts(text: str) -> tuple[int, ...]:
    """Step counts from text.

    >>> step_counts("1,2,4")
    (1, 2, 4)
    """
    try:
        out = tuple(int(part) for part in text.split(","))
    except ValueError:
        out = ()
    if not out or min(out) < 1:
        raise argparse.ArgumentTypeError(f"step counts are positive integers like 1,2,4; got {text!r}")
    return out


def model_defaults() -> dict:
    """The fields of `Config` that `train` has as options, with their defaults; `lead` None: the
    system's own.

    >>> model_defaults()["width"]
    64
    """
    from ..config import Config

    return {f.name: f.default for f in fields(Config) if f.name not in FOLLOWS} | {"lead": None}


def training_defaults() -> dict:
    """The fields of `TrainConfig`, with their defaults.

    >>> training_defaults()["batch"]
    64
    """
    from ..training.config import TrainConfig

    return {f.name: f.default for f in fields(TrainConfig)}


def defaults() -> dict:
    """Every option of `train` that shapes the run, with its default.

    >>> defaults()["system"], defaults()["task"]
    ('co-seq', None)
    """
    return {**DATA, "system": "co-seq", "size": None, **model_defaults(), **training_defaults()}


def build_parser(commands: dict, with_fields: bool = True) -> argparse.ArgumentParser:
    """The parser. `commands`: name -> (function, one line of help). `with_fields=False` leaves out
    the options that come from dataclasses, for which torch must be loaded.

    >>> build_parser({"sample": (print, "")}).parse_args(["sample", "runs/a", "-n", "2"]).n
    2
    """
    top = _Parser(prog=PROGRAM, description="Latent discrete diffusion, small enough to read.", epilog=EPILOGS[None])
    sub = top.add_subparsers(dest="command", metavar="command")
    for name, (run, line) in commands.items():
        usage = f"{PROGRAM} train (--task NAME | --text FILE) --out DIR [options]" if name == "train" else None
        p = sub.add_parser(name, help=line, description=line, epilog=EPILOGS[name], usage=usage)
        p.set_defaults(run=run)
        if name == "train":
            _train_options(p, with_fields)
        elif name == "data":
            _data_options(p)
        elif name == "compare":
            compare_command.options(p, step_counts)
            _draw_options(p)
        elif name == "doctor":
            p.add_argument("what", nargs="?", choices=["python"], help="only this: will the interpreter do?")
        else:
            _use_options(p, name)
        if name not in ("data", "doctor"):
            p.add_argument("--threads", type=int, metavar="N", help="CPU threads (default: torch's own choice)")
            p.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="(default: auto)")
    return top


def _train_options(p, with_fields: bool) -> None:
    later = dict(default=argparse.SUPPRESS)  # only what is given is in the namespace: --resume compares it

    def add(group, name, kind, text, default, metavar="N", **more):
        more = dict(type=kind, metavar=metavar) if kind is not bool else dict(action=argparse.BooleanOptionalAction)
        shown = "" if default is None else f" (default: {default})"
        group.add_argument("--" + name.replace("_", "-"), help=text + shown, **more, **later)

    data = p.add_argument_group("data")
    either = data.add_mutually_exclusive_group()
    tasks = ["binsaw", "mixture", "newswire", "parity"]
    either.add_argument("--task", choices=tasks, help="a task with exact answers: " + ", ".join(tasks), **later)
    either.add_argument("--text", metavar="FILE", help="any UTF-8 text, one sentence a line", **later)
    data.add_argument("--length", "--task-length", type=int, metavar="N", **later,
                      help="tokens per sequence (default: the task's own; 64 for text, longer sentences are dropped)")
    add(data, "vocab", int, "text: pieces of the tokenizer trained on it", TEXT_ONLY["vocab"])
    add(data, "lowercase", bool, "text: in small letters", TEXT_ONLY["lowercase"])
    add(data, "limit", int, "that many sentences, drawn once (default: all of a text; a task draws afresh)", None)
    add(data, "holdout", float, "text: share of sentences kept for the final score", TEXT_ONLY["holdout"], "X")
    add(data, "tokenizer", str, "text: own, trained on it, or bert: bert-base-uncased's", "own", "NAME")
    add(data, "stream", bool, "text: keep its ids on disk, in little memory (default: above 50 MB)", None)

    run = p.add_argument_group("run")
    run.add_argument("--out", metavar="DIR", help="folder for the model, its history and its state")
    run.add_argument("--resume", action="store_true", help="go on with the run in --out; needs no other option")
    run.add_argument("--recipe", metavar="DIR", help="a new run with the options of the one in DIR, but those given")
    run.add_argument("--force", action="store_true", help="overwrite another run in --out")
    run.add_argument("--quiet", action="store_true", help="no progress bar")
    run.add_argument("--dry-run", action="store_true", help="only tell parameters, memory, tokens per step and time")

    model, training = p.add_argument_group("model"), p.add_argument_group("training")
    model.add_argument("--system", metavar="S", help="one of the five below (default: co-seq)", **later)
    model.add_argument("--size", choices=["tiny", "small", "base"], **later,
                       help="width, blocks and heads: tiny (3 million parameters), small (30), base (the papers'; "
                       "--lr 3e-4 is usual from small on); all systems alike but for base (default: those below)")
    if with_fields:
        for group, options in ((model, model_defaults()), (training, training_defaults())):
            for name, default in options.items():
                kind = float if default is None else type(default)
                add(group, name, kind, HELP.get(name, ""), default, {int: "N", str: "NAME"}.get(kind, "X"))


def _data_options(p) -> None:
    p.add_argument("source", choices=["lm1b"], help="what to fetch: lm1b, the One Billion Word benchmark")
    p.add_argument("--sentences", type=int, metavar="N", default=50_000, help="how many (default: 50000)")
    p.add_argument("--split", choices=["train", "heldout"], default="train", help="which part (default: train)")
    p.add_argument("--cache", metavar="DIR", help="folder to keep it in (default: $LDDM_CACHE, else the user's cache)")
    p.add_argument("--url", metavar="URL", help="another address of the archive")
    p.add_argument("--quiet", action="store_true", help="no progress bar")


def _use_options(p, name: str) -> None:
    p.add_argument("model", metavar="DIR", help="a folder written by train, or the name of a shipped checkpoint")
    if name == "infill":
        p.add_argument("pattern", metavar="PATTERN", help="what is given, with [MASK] for each token to fill in")
    n = {"sample": "sequences (default: 8)", "infill": "ways to fill it in (default: 4)",
         "evaluate": "sequences per number of steps (default: 2048; 256 for text)"}[name]
    p.add_argument("-n", "--n", type=int, metavar="N", default={"sample": 8, "infill": 4}.get(name), help=n)
    steps = {"sample": "8", "infill": "8, or the number of masks if smaller", "evaluate": "1,2,4,8,16"}[name]
    p.add_argument("--token-steps", type=step_counts, metavar="K,...", help=f"token step counts (default: {steps})")
    p.add_argument("--latent-steps", type=int, metavar="K",
                   help="latent steps (default: as many as token steps on the joint path; else 16 for continuous "
                   "latents, one per slot for discrete ones)")
    p.add_argument("--lead", type=float, metavar="X",
                   help="path: 0 joint, 0.5 sequential, or between (default: the system's)")
    p.add_argument("--seed", type=int, metavar="N", default=0, help="the same seed gives the same result (default: 0)")
    if name == "evaluate":
        p.add_argument("--text", metavar="FILE", help="text models: held-out text, one sentence a line")
        p.add_argument("--no-exact", action="store_true", help="leave out the exact limit")
        p.add_argument("--json", metavar="FILE", help="write everything as JSON too; - prints JSON and nothing else")
    else:
        _draw_options(p)
        p.add_argument("--latent-temperature", type=float, metavar="X", default=1.0,
                       help="of the draws of discrete latents (default: 1)")
        p.add_argument("--eta", type=float, metavar="X", default=1.0,
                       help="noise of the latent steps: 1 ancestral, 0 DDIM (default: 1)")
        p.add_argument("--trace", metavar="FILE", help="save every step of the sampler as JSON (one step count only)")
    if name == "sample":
        p.add_argument("--prompt", metavar="TEXT", help="what each text begins with (models of text, the toy newswire)")


def _draw_options(p) -> None:
    p.add_argument("--temperature", type=float, metavar="X", default=1.0,
                   help="of token draws: below 1 sharper, above 1 flatter (default: 1)")
    p.add_argument("--top-p", type=float, metavar="X",
                   help="draw tokens from the fewest that have this probability together (default: 1, from all)")
    p.add_argument("--order", choices=["ancestral", "even", "confidence"], default="ancestral",
                   help="which tokens a step reveals: each by chance, equally many a step, or the most probable, which "
                   "lowers the entropy (default: ancestral)")
