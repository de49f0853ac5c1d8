"""Text of your own and of the One Billion Word benchmark as token ids, in memory or on disk (METHOD
9).

| file | what |
|---|---|
| `lines` | the lines of a UTF-8 file |
| `tokenizer_kinds` | tokenizers by name, or as the text needs: words, characters, bytes, symbols, a file |
| `wordpiece`, `bert_vocabulary` | word pieces trained on the text, or bert-base-uncased's |
| `losses` | what a text loses on its way to tokens, and when that is too much |
| `codec` | text to token ids and back |
| `dataset` | a text in memory, ready for `fit` |
| `build_token_store`, `token_store` | a text of any size, on disk |
| `one_billion_words` | a subset of the benchmark, fetched and kept |
| `prompts` | prompts and texts with gaps |
"""

from __future__ import annotations

from .bert_vocabulary import bert
from .codec import TextCodec
from .dataset import TextData, from_file, from_lines, from_spec, lm1b
from .lines import iter_lines, read_lines
from .token_store import TokenStore

__all__ = [
    "TextCodec", "TextData", "TokenStore", "bert", "from_file", "from_lines", "from_spec", "iter_lines", "lm1b",
    "read_lines",
]  # fmt: skip
