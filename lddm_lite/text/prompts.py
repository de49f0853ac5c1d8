"""Prompts and infilling patterns as token ids: what a person writes, and what a sampler starts
from.

A start is all masks, a prompt that stays, or a text with gaps. Lengths are those of the training
data.
"""

from __future__ import annotations

import difflib
import re

import torch

from .._common import arguments, schemas
from .._common.data_contract import is_text
from .._common.protocols import Model
from .._common.randomness import Source, Streams, draw_categorical
from .._common.words import plural
from .codec import MASK

__all__ = [
    "blank", "codec_of", "draw_lengths", "encode", "example", "gaps", "given_class", "kind", "marks", "pattern_of",
    "prompted", "read", "shown", "spaced", "task_of", "unknown", "whole",
]  # fmt: skip

BOXES = ("□", "▢", "◻")  # gaps, where users have taken the usual marks for themselves
SHOWN = 40  # characters of a word that messages repeat


def kind(model: Model) -> str:
    """What the tokens of `model` are: `text` (pieces of a trained tokenizer), `words` (of a task),
    or `symbols` (single characters, such as bits).

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> kind(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)))
    'symbols'
    """
    if is_text(model.data):
        return "text"
    return "words" if any(len(label) > 1 for label in model.labels) else "symbols"


def spaced(model: Model) -> bool:
    """Do spaces stand between the words of `model`? Not between the symbols of a molecule.

    >>> from lddm_lite import LatentDiffusion, text
    >>> spaced(LatentDiffusion.preset("mdlm", text.molecules.from_smiles(["CCO"], length=3)))
    False
    """
    about = model.data.get("text")
    return not isinstance(about, dict) or about.get("spaced", True)


def task_of(model: Model):
    """The built-in task that the model was made for; None for text and data of one's own.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> task_of(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)))
    Binsaw(length=8, saws=2, eps=0.01, mode_bins=16)
    """
    from .. import tasks

    known = model.data.get("task") in tasks.TASKS if isinstance(model.data.get("task"), str) else False
    return tasks.make(**model.data) if known else None


def shown(model: Model) -> dict:
    """What a Trace of the model must know to show its sequences, as `meta`: {} for symbols and
    spaced words.

    >>> from lddm_lite import LatentDiffusion, text
    >>> shown(LatentDiffusion.preset("mdlm", text.from_lines(["今天天气很好。"], length=8)))
    {'spaced': False}
    """
    about = model.data.get("text") or {}
    out = {k: about[k] for k, usual in (("spaced", True), ("trimmed", False)) if about.get(k, usual) != usual}
    out |= {"molecules": model.data["molecules"]} if "molecules" in model.data else {}
    classes = model.data.get("classes")
    out |= {"shape": list(model.data["shape"])} if model.data.get("shape") else {}
    return {**out, "first": 1, "levels": classes["first"]} if out.get("shape") and classes else out


def marks(model: Model, gap: str | None = None, typed: bool = False) -> list[str]:
    """What stands for a gap in a pattern: `gap` where given; else [MASK] and, in patterns of
    symbols or words that have no label like it, `_`; of what is `typed`, `?` too among symbols;
    where all of these are labels, a box. ValueError for a mark that is a label.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> marks(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)), typed=True)
    ['[MASK]', '_', '?']
    """
    labels, what = set(model.labels), kind(model)
    if gap is not None:
        if not schemas.text()("gap", gap).strip():
            raise ValueError(f"gap must be a text that is not blank, got {arguments.shown(gap)}")
        if what != "text" and gap in labels:
            raise ValueError(f"gap must be no symbol of the model, and {gap!r} is one")
        return [gap]
    usual = [MASK] if what == "text" else [MASK, "_", "?"] if typed and what == "symbols" else [MASK, "_"]
    found = [m for m in usual if what == "text" or m not in labels]
    found = found or [m for m in BOXES if m not in labels][:1]
    if not found:
        raise ValueError(f"{' and '.join(usual)} are symbols of the model: say what stands for a gap, gap=...")
    return found


def encode(model: Model, pattern: str, gap: str | None = None) -> torch.Tensor:
    """Token ids [L] of a pattern with gaps.

    - `model`: whose tokens they are;
    - `pattern`: of text, words or symbols; blanks between symbols are left out unless a blank is one
      of them. What is missing at the end of symbols and words is a gap, too, or padding where the
      model has that;
    - `gap`: what stands for a missing token, no symbol of the model; None for `[MASK]`, and of
      symbols and words also `_`, where these are no symbols.

    ValueError for a pattern that is too long, or holds what the model does not know (see `unknown`).

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> encode(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)), "01_1 0")
    tensor([0, 1, 2, 1, 0, 2, 2, 2])
    """
    return _encode(model, pattern, marks(model, gap))


def whole(model: Model, sequence: str) -> torch.Tensor:
    """Token ids [L] of a sequence without gaps, in which [MASK] is what it says. ValueError where
    it is too short, too long, or not known.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> whole(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=4)), "01 10")
    tensor([0, 1, 1, 0])
    """
    x = _encode(model, sequence, [])
    if bool((x == model.token_channel.mask_id).any()):
        raise ValueError(f"the sequence is shorter than the {model.config.length} tokens that the model's have")
    return x


def _encode(model: Model, pattern: str, gaps: list[str]) -> torch.Tensor:
    from . import dataset

    if kind(model) == "text":
        return dataset.from_spec(model.data).encode(_known(model, pattern, gaps), [*gaps, "\0"][0])
    task = task_of(model)
    if kind(model) == "words" and hasattr(task, "encode"):
        for gap in gaps:
            pattern = pattern.replace(gap, MASK) if gap != "_" else pattern
        return task.encode(pattern)
    parts, odd = _parts(model, pattern, gaps)
    length, mask, pad = model.config.length, model.token_channel.mask_id, model.config.pad_id
    if odd or len(parts) > length:
        seen = f", among them {' '.join(odd)}" if odd else ""
        known = _some(model.labels) + "".join(f", with {gap} for a gap" for gap in gaps[-1:])
        raise ValueError(f"the pattern is at most {length} of the symbols {known}; got {len(parts) + len(odd)}{seen}")
    return torch.tensor(parts + [mask if pad is None else pad] * (length - len(parts)))


def _known(model: Model, pattern: str, gaps: list[str]) -> str:
    """The pattern, or a ValueError that names what is unknown in it."""
    if odd := _unknown(model, pattern, gaps):
        raise ValueError(_complaint(odd, model, gaps))
    return pattern


def _parts(model: Model, pattern: str, gaps: list[str]) -> tuple[list[int], list[str]]:
    """(ids of the symbols or words of a pattern, what is unknown in it). The longest symbol goes
    first; words, which may hold blanks themselves, stand between blanks."""
    mask = model.token_channel.mask_id
    ids = {**{gap: mask for gap in gaps}, **{w: i for i, w in reversed(list(enumerate(model.labels))) if w}}
    any_of = "|".join(re.escape(w) for w in sorted(ids, key=len, reverse=True))
    if kind(model) == "words" and gaps:
        around = "|".join(re.escape(gap) for gap in gaps)  # a gap need not stand alone
        pattern = re.sub(f"({around})", r" \1 ", pattern)
    if kind(model) == "words":
        any_of = rf"(?<!\S)(?:{any_of})(?!\S)"
    found, odd, at = [], [], 0
    matcher = re.compile(any_of)
    while at < len(pattern):
        if m := matcher.match(pattern, at):
            found.append(ids[m[0]])
            at = m.end()
        elif pattern[at].isspace():
            at += 1
        else:
            end = at + 1 if kind(model) == "symbols" else at + len(pattern[at:].split()[0])
            odd.append(pattern[at:end])
            at = end
    return found, list(dict.fromkeys(odd))


def read(model: Model, typed: str, gap: str | None = None) -> torch.Tensor:
    """Token ids [L] of what a person typed: as `encode`, with `_` for a missing word too, `?` for a
    missing symbol, line breaks anywhere. ValueError that says which words are unknown and what
    comes close, that there is no gap, or that nothing is there.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> read(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()), "the _ rose .")[:4]
    tensor([344, 400, 288,   2])
    """
    gaps = marks(model, gap, typed=True)
    text = typed.replace("[mask]", MASK) if MASK in gaps else typed
    lines = not any("\n" in w for w in model.labels)
    if kind(model) == "text":
        text = re.sub(r"\s*\n\s*", " ", text.strip("\n")) if lines else text
        text = re.sub(r"(?<!\S)_+(?!\S)", MASK, text) if MASK in gaps else text
    elif kind(model) == "words" and "_" in gaps:
        text = re.sub(r"(?<!\S)_+(?!\S)", MASK if MASK in gaps else "_", text)
    if not text.strip():
        raise ValueError(f"Nothing is typed. For example: {example(model)}")
    if odd := _unknown(model, text, gaps):
        raise ValueError(_complaint(odd, model, gaps))
    x = _encode(model, text, gaps)
    if not (x == model.token_channel.mask_id).any():
        here = [*gaps, "_"] if kind(model) == "text" and gap is None else gaps
        if kind(model) == "symbols" and len(gaps) > 1:
            here = [m for m in gaps if m != MASK]
        raise ValueError(f"There is no gap to fill in: write {' or '.join(here)} where something is missing.")
    return x


def _complaint(odd: list[str], model: Model, gaps: list[str]) -> str:
    """What to say about words that the model does not know."""
    cut = (w if len(w) <= SHOWN else f"{w[:SHOWN]}…" for w in odd[:5])
    shown = ", ".join(f"“{w}”" for w in cut)
    if len(odd) > 5:
        shown += f" and {len(odd) - 5} more"
    what = "symbol" if kind(model) == "symbols" or not spaced(model) else "word"
    start = f"Unknown {plural(len(odd), what)}: {shown}."
    if kind(model) == "symbols":
        here = [m for m in gaps if m != MASK] or gaps
        return f"{start} Allowed are {_some(model.labels)}" + (
            f" and, for a gap, {' or '.join(here)}." if here else "."
        )
    near = difflib.get_close_matches(odd[0].lower()[:SHOWN], model.labels, 3)
    if near:
        start += f" Did you mean {' or '.join(near)}?"
    if kind(model) == "text":
        return f"{start} Such words hold characters that the tokenizer has not seen."
    return f"{start} The task has {len(model.labels)} words (model.labels)."


def _some(labels: list[str]) -> str:
    """Labels in a message, not all where there are many."""
    return " ".join(labels) if len(labels) <= 64 else " ".join([*labels[:32], "…", *labels[-4:]])


def unknown(model: Model, pattern: str, gap: str | None = None) -> list[str]:
    """The words of a pattern that the model has no token for, in their order. A `text` model would
    read them as [UNK].

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> unknown(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()), "the zebra fell by [MASK] .")
    ['zebra']
    """
    return _unknown(model, pattern, marks(model, gap, typed=True))


def _unknown(model: Model, pattern: str, gaps: list[str]) -> list[str]:
    from . import dataset

    if kind(model) != "text":
        return _parts(model, pattern, gaps)[1]
    codec = dataset.from_spec(model.data)
    for gap in gaps:
        pattern = pattern.replace(gap, " ")
    words = list(dict.fromkeys(pattern.split() if codec.spaced else [c for c in pattern if not c.isspace()]))
    return [w for w, ids in zip(words, codec.tokenise(words), strict=True) if 1 in ids] if words else []


def example(model: Model) -> str:
    """A pattern that the model can fill in.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> example(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()))
    'the tiber rose by two metres in [MASK] on [MASK] , [MASK] said .'
    """
    gap = marks(model)[-1]
    if kind(model) == "symbols":
        task = task_of(model)
        known = [0] if task is None else task.sample(1, seed=0)[0].tolist()
        given, length = known[: min(max(1, len(known) // 4), model.config.length - 1)], model.config.length
        return "".join(model.labels[i] for i in given) + gap * min(4, length - len(given))
    tries = ["the tiber rose by two metres in [MASK] on [MASK] , [MASK] said .", "the [MASK] said [MASK] ."]
    if not spaced(model):  # a ring to grow something on
        tries = ["C1CC1([MASK])[MASK]"]
    for pattern in tries if MASK in marks(model) else ():
        if len(pattern.split()) <= model.config.length and not unknown(model, pattern):
            return pattern
    return " "[: spaced(model)].join([MASK if MASK in marks(model) else gap] * min(4, model.config.length))


def pattern_of(model: Model, ids) -> str:
    """A pattern out of a sequence of ids [L]: about every fourth token, and never the first, is a
    gap; of long sequences only the first tokens.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> pattern_of(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8)), [0, 1, 1, 0, 1, 1, 0, 0])
    '01_01_00'
    """
    from . import dataset

    pad, what = model.config.pad_id, kind(model)
    row = [int(i) for i in ids if int(i) != pad][: 64 if what == "symbols" or not spaced(model) else 16]
    gap = marks(model)[-1] if what == "symbols" else marks(model)[0]
    mask = model.token_channel.mask_id
    at = set(range(2, len(row), 3 if len(row) < 12 else 4)) or {len(row) - 1}
    holed = [mask if k in at else i for k, i in enumerate(row)]
    if what == "text":
        return dataset.from_spec(model.data).decode(holed)
    words = [gap if i == mask else model.labels[i] for i in holed]
    return ("" if what == "symbols" else " ").join(words)


def draw_lengths(share: torch.Tensor, n: int, g: Source) -> torch.Tensor:
    """n sequence lengths from the share [L+1] of each length 0..L in the training data: [n]."""
    return draw_categorical(share.clamp_min(1e-300).log().expand(n, -1), g)


def codec_of(model: Model):
    """What turns the texts of `model` into ids and back: the codec of a text, or the toy newswire
    itself. ValueError for a model of anything else.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> codec_of(LatentDiffusion.preset("mdlm", tasks.ToyNewswire())).name
    'newswire'
    """
    from . import dataset

    if kind(model) == "text":
        return dataset.from_spec(model.data)
    task = task_of(model)
    if hasattr(task, "encode") and hasattr(task, "decode"):
        return task
    what = "data of its own" if task is None else f"the task {task.name!r}"
    raise ValueError(f"{model.name!r} is a model of {what}, not of text: use `sample` or `infill`")


def blank(model: Model, n: int, seed: int, at_least: int = 0, length: int | None = None) -> torch.Tensor:
    """n sequences of masks [n, L].

    - `model`, `n`: whose, and how many;
    - `seed`: of the lengths, which models with padding draw from those of the training data;
    - `at_least`: none is shorter; ValueError where no sentence was that long;
    - `length`: all have this one instead. ValueError for one that does not fit, and for another than L
      of models without padding.
    """
    arguments.integer("n", n, minimum=1)
    arguments.within("tokens", n * model.config.length, "n * length")
    most, device = model.config.length, model.device
    start = torch.full((n, most), model.token_channel.mask_id, device=device)
    if length is not None:
        length = arguments.integer("length", length, max(1, at_least), most)
    if model.config.pad_id is None:
        if length not in (None, most):
            raise ValueError(f"length must be {most} for {model.name!r}: all its sequences have that; got {length}")
        return start
    if length is None:
        if "lengths" not in model.data:
            raise ValueError("the model has padding, and its data have no `lengths` to draw those of sequences from")
        share = torch.tensor(model.data["lengths"], dtype=torch.float64)
        if at_least:
            share[:at_least] = 0.0
            if share.sum() == 0:
                longest = max(k for k, v in enumerate(model.data["lengths"]) if v)
                raise ValueError(
                    f"prompt has {at_least} tokens; the longest sentence of the training data had {longest}"
                )
        at = draw_lengths(share, n, Streams(seed, range(n), "lengths")).clamp_min(at_least).to(device)
    else:
        at = torch.full((n,), length, device=device)
    start[torch.arange(most, device=device) >= at.unsqueeze(1)] = model.config.pad_id
    return start


def given_class(model: Model, start: torch.Tensor, label: str | int) -> torch.Tensor:
    """Sequences of masks [n, L] whose first token is given: the class `label`, by name or number,
    of data that have classes (`from_arrays`). ValueError for data that have none, and another name.

    >>> import lddm_lite as ld
    >>> data = ld.from_arrays([[0, 1], [1, 1]], classes=[0, 1], names=["low", "high"])
    >>> model = ld.LatentDiffusion.preset("mdlm", data, width=16)
    >>> given_class(model, blank(model, 1, 0), "high")
    tensor([[3, 4, 4]])
    """
    classes = model.data.get("classes")
    if not classes:
        got = arguments.shown(label)
        raise ValueError(f"label must be left out for {model.name!r}, whose data have no classes; got {got}")
    names = classes["names"]
    number = names.index(label) if isinstance(label, str) and label in names else label
    try:
        number = arguments.integer("label", number, 0, len(names) - 1)
    except ValueError:
        raise ValueError(f"label must be one of {_some(names)}, got {arguments.shown(label)}") from None
    start = start.clone()
    start[:, 0] = classes["first"] + number
    return start


def prompted(
    model: Model, n: int, prompt: str, seed: int, length: int | None = None, gap: str | None = None
) -> torch.Tensor:
    """n sequences of masks [n, L] behind the tokens of a prompt.

    - `model`, `n`, `seed`, `length`: as for `blank`;
    - `prompt`: '' for none;
    - `gap`: what stands for a gap in it; None for [MASK].

    ValueError naming a prompt that is no text, has no tokens, too many, or unknown words.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> prompted(LatentDiffusion.preset("mdlm", tasks.ToyNewswire()), 1, "the tiber rose", seed=0)[0, :4]
    tensor([344, 349, 288, 400])
    """
    codec_of(model)
    if not isinstance(prompt, str):
        raise ValueError(f"prompt must be a text, got {type(prompt).__name__}")
    if not prompt.strip():
        return blank(model, n, seed, length=length)
    ids = _encoded("prompt", lambda typed: encode(model, typed, gap), prompt)
    pad = model.config.pad_id
    given = len(prompt.split()) if pad is None else int((ids != pad).sum())  # without padding a token is a word
    start = blank(model, n, seed, given, length)
    start[:, :given] = ids[:given].to(start)
    return start


def gaps(model: Model, texts, gap: str | None = None) -> torch.Tensor:
    """Ids [B, L] of a text with gaps, or a list of such (see `prompts.encode`; `gap` as there).
    ValueError naming one that cannot be read, or that has no gap.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> gaps(LatentDiffusion.preset("mdlm", tasks.Binsaw(length=4)), ["01_1", "1"])
    tensor([[0, 1, 2, 1],
            [1, 2, 2, 2]])
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if not texts:
        raise ValueError("x is an empty batch; give at least one text, or one sequence of ids")
    rows = []
    for i, typed in enumerate(texts):
        name = "x" if len(texts) == 1 else f"x[{i}]"
        if not isinstance(typed, str):
            raise ValueError(f"{name} must be a text like the others, got {type(typed).__name__}")
        rows.append(_encoded(name, lambda t: encode(model, t, gap), typed))
        if not (rows[-1] == model.token_channel.mask_id).any():
            raise ValueError(
                f"{name} has no gap to fill in: write {marks(model, gap)[0]} for each missing token; got {typed[:60]!r}"
            )
    return torch.stack(rows)


def _encoded(name: str, encode, typed: str) -> torch.Tensor:
    """Ids of a text; ValueError saying which argument it is about."""
    try:
        typed.encode()
        return encode(typed)
    except UnicodeEncodeError:
        raise ValueError(f"{name} holds half a character (a lone surrogate): {typed[:60]!r}") from None
    except ValueError as e:
        raise ValueError(f"{name}: {e}") from None
