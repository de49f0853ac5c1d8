"""The data that a run's options ask for: a task, a text in memory or on disk, or molecules; and those
that a model is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._common.files import user_path

if TYPE_CHECKING:
    from .._common.protocols import Data, Model, Task, Text
    from ..model import LatentDiffusion
    from ..text import TextData, TokenStore

__all__ = ["LARGE", "check", "judged_by", "load", "trusting"]

LARGE = 50e6  # bytes; a text above it is read row by row from disk


def check(given: dict) -> dict:
    """What the options `given` for a text decide: {"stream": bool}. ValueError for options that do
    not fit together.

    >>> check({"text": "sentences.txt", "tokenizer": "bert"})
    {'stream': False}
    """
    if "text" not in given:
        return {}
    if given.get("tokenizer") == "bert":
        wrong = [f"--{k}" for k in ("vocab",) if k in given]
        if given.get("lowercase") is False:
            wrong.append("--no-lowercase")
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: not with --tokenizer bert, whose 30,522 pieces are in small letters")
    file, limit = user_path("--text", given["text"]), given.get("limit")
    stream = given.get("stream")
    if stream and limit is not None:
        raise ValueError("--limit: not with --stream, which keeps all sentences; shorten the file instead")
    if stream is None:
        stream = limit is None and file.is_file() and file.stat().st_size > LARGE
    return {"stream": stream}


def load(options: dict, progress: bool = False) -> tuple[Data, Data | None]:
    """(training data, data for bounds and the final score or None) of a run's options.

    >>> load({"text": None, "task": "binsaw", "length": 8, "limit": None})[0].length
    8
    """
    from .. import tasks
    from .._common import arguments
    from ..text import dataset

    if options.get("molecules"):
        from ..text import molecules

        return molecules.load(options["molecules"], options["length"], options["limit"])
    if options["text"] is None:
        given = {} if options["length"] is None else {"length": options["length"]}
        task = tasks.make(options["task"], **given)
        if options["limit"] is None:
            return task, task
        return tasks.Corpus(task, arguments.integer("limit", options["limit"], minimum=1), options["seed"]), task
    length = 64 if options["length"] is None else options["length"]
    codec = None
    if options["tokenizer"] == "bert":
        from ..text.bert_vocabulary import bert

        codec = bert(length)
    same = {"length": length, "codec": codec, **{k: options[k] for k in ("vocab", "lowercase")}}
    if options["stream"]:
        from ..text import build_token_store

        data: TextData | TokenStore = build_token_store.build(options["text"], progress=progress, **same)
    else:
        data = dataset.from_file(options["text"], limit=options["limit"], seed=options["seed"], **same)
    if options["holdout"] == 0 or len(data) == 1:
        return data, None
    return data.split(options["holdout"], options["seed"])


def judged_by(model: Model, text: str | None) -> Task | Text:
    """What a model is judged by: its task; the held-out molecules of its collection; or the sentences
    of the file `text` in its tokens. ValueError where that file is missing, or means nothing.

    >>> from lddm_lite import load
    >>> judged_by(load("binsaw-mdlm"), None).name
    'binsaw'
    """
    from .. import tasks
    from ..text import dataset, molecules

    kind = "molecules" if model.data.get("molecules") else f"the task {model.data.get('task')!r}"
    if text and ("text" not in model.data or kind == "molecules"):
        raise ValueError(f"--text: the model was trained on {kind}, not on text")
    if "text" not in model.data:
        return tasks.make(**model.data)
    if kind == "molecules":
        return molecules.held_out(model.data)
    if not text:
        raise ValueError("a model of text is judged by real sentences: give some it has not seen, --text FILE")
    return dataset.from_file(text, codec=dataset.from_spec(model.data))


def trusting(model: LatentDiffusion, encoder: str | None) -> LatentDiffusion:
    """The model, whose frozen encoder may be loaded although only its file names it, if you named
    one, too.

    >>> from lddm_lite import load
    >>> trusting(load("binsaw-mdlm"), None).name
    'mdlm'
    """
    if encoder is not None and hasattr(model.encoder, "encoder"):
        model.encoder.encoder.told(encoder)
    return model
