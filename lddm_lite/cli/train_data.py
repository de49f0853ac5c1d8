"""The data that a run's options ask for: a task, a text in memory or on disk, or molecules; and
those that a model is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._common.files import user_path

if TYPE_CHECKING:
    from .._common.protocols import Data, Model
    from ..text import TextData, TokenStore

__all__ = ["LARGE", "check", "judged_by", "load"]

LARGE = 50e6  # bytes; a text above it is read row by row from disk


def check(given: dict) -> dict:
    """Check the options `given` for a text against each other; what they decide: {"stream": bool}.
    ValueError for options that do not fit together.

    >>> check({"text": "sentences.txt", "tokenizer": "bert"})
    {'stream': False}
    """
    if "ids" in given and "length" in given:
        raise ValueError("--length: not with --ids, whose rows have one")
    if "text" not in given:
        return {}
    if given.get("tokenizer") == "bert":
        if given.get("lowercase") is False:
            raise ValueError("--no-lowercase: not with --tokenizer bert, whose 30,522 pieces are in small letters")
    file, limit = user_path("--text", given["text"]), given.get("limit")
    stream = given.get("stream")
    if stream and limit is not None:
        raise ValueError("--limit: not with --stream, which keeps all sentences; shorten the file instead")
    if stream is None:
        stream = limit is None and file.is_file() and file.stat().st_size > LARGE
    if stream and given.get("tokenizer") == "bert" and given.get("vocab") is not None:
        raise ValueError("--vocab: not with --tokenizer bert and --stream, which reads the text only once")
    return {"stream": stream}


def load(options: dict, progress: bool = False) -> tuple[Data, Data | None]:
    """(training data, data for bounds and the final score or None) of a run's options.

    >>> load({"text": None, "task": "binsaw", "length": 8, "limit": None})[0].length
    8
    """
    from .. import tasks
    from .._common import arguments
    from ..text import dataset
    from . import own_data

    if options.get("molecules"):
        from ..text import molecules

        return molecules.load(options["molecules"], options["length"], options["limit"])
    if options.get("ids") is not None:
        rows: Any = own_data.arrays(options)
        if options["limit"] is not None and options["limit"] < len(rows):
            rows = rows.split(options["limit"] / len(rows), options["seed"])[1]
        return _split(rows, options)
    if options["text"] is None:
        if own_data.is_own(options["task"]):
            own = own_data.load(options["task"], options["length"])
            if options["limit"] is not None:
                raise ValueError("--limit: not with data of your own, which may be as many as they like")
            return _split(own, options) if hasattr(own, "split") else (own, own)
        given = {} if options["length"] is None else {"length": options["length"]}
        task = tasks.make(options["task"], **given)
        if options["limit"] is None:
            return task, task
        return tasks.Corpus(task, arguments.integer("limit", options["limit"], minimum=1), options["seed"]), task
    length, codec = options["length"], None
    if options["tokenizer"] == "bert":
        from ..text.bert_vocabulary import bert
        from ..text.lines import read_lines

        kept = options["vocab"]
        lines = None if kept is None else read_lines(options["text"])[0]
        codec = bert(64 if length is None else length, kept=kept, lines=lines)
    how = {k: options[k] for k in ("vocab", "lowercase", "tokenizer", "allow_losses") if options[k] is not None}
    same = {"length": length, "codec": codec, **how}
    if options["stream"]:
        from ..text import build_token_store

        data: TextData | TokenStore = build_token_store.build(options["text"], progress=progress, **same)
    else:
        data = dataset.from_file(options["text"], limit=options["limit"], seed=options["seed"], **same)
    return _split(data, options)


def _split(data: Any, options: dict) -> tuple[Data, Data | None]:
    """(training data, held-out data or None)."""
    if options["holdout"] == 0 or len(data) == 1:
        return data, None
    return data.split(options["holdout"], options["seed"])


def judged_by(model: Model, args) -> Data:
    """Evaluation data of a model: its task; the held-out molecules of its collection; the sentences
    of the file --text in its tokens; or data of one's own, --task FILE.py:NAME or --ids FILE.npy.
    ValueError where that is missing, or is of another kind than the model.

    >>> from types import SimpleNamespace
    >>> from lddm_lite import load
    >>> judged_by(load("binsaw-mdlm"), SimpleNamespace(text=None, task=None, ids=None, classes=None)).name
    'binsaw'
    """
    from .._common.data_contract import is_text
    from ..text import dataset, prompts
    from . import own_data

    if model.data.get("molecules"):
        from ..text import molecules

        if any(getattr(args, k) for k in ("text", "task", "ids")):
            raise ValueError("--text, --task, --ids: the model was trained on molecules, not on text")
        return molecules.held_out(model.data)
    given = [f"--{k}" for k in ("text", "task", "ids") if getattr(args, k)]
    task = prompts.task_of(model)
    what = "data of its own" if task is None else f"the task {task.name!r}"
    what = "text" if is_text(model.data) else what
    allowed = {"text": ["--text", "--ids"], "data of its own": ["--task", "--ids"]}.get(what, ["--ids"])
    for option in given:
        if option not in allowed or len(given) > 1:
            rather = ", not on text" if option == "--text" else ""
            raise ValueError(f"{option}: the model was trained on {what}{rather}")
    if args.ids:
        return own_data.held_out_arrays(model, args.ids, args.classes)
    if args.task:
        data = own_data.load(args.task)
        if (data.length, data.vocab) != (model.config.length, model.config.vocab):
            data = own_data.load(args.task, model.config.length)
        if (data.length, list(data.labels)) != (model.config.length, model.labels):
            raise ValueError(f"--task {args.task} has other words, or another length, than the model")
        return data
    if task is not None:
        return task
    if what == "text":
        if not args.text:
            raise ValueError("a model of text is judged by real sentences: give held-out sentences with --text FILE")
        return dataset.from_file(args.text, codec=dataset.from_spec(model.data))
    raise ValueError(
        "a model of data of its own is judged by those: give them again, --task FILE.py:NAME, or --ids HELD_OUT.npy"
    )
