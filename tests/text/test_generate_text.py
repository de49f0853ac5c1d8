"""Texts from a prompt, infilling of texts: what is given stays, lengths fit, whatever a person may
type."""

import numpy as np
import pytest
import torch

from lddm_lite import LatentDiffusion, Path, Trace, tasks
from lddm_lite.config import SYSTEMS
from lddm_lite.text import dataset
from lddm_lite.widgets import Scrubber
from tests.support.random_models import awaken
from tests.support.statistics import agree

LINES = ["the bank of japan rose .", "the bank is closed .", "rain fell in paris on friday , he said .", "rain ."]
DATA = dataset.from_lines(LINES * 3, vocab=120, length=16)
SIZES = dict(width=16, heads=2, blocks=1, encoder_blocks=1, slots=2)
NEWS = tasks.ToyNewswire(topics=["floods"])
MODELS = {
    system: awaken(LatentDiffusion.preset(system, DATA, **SIZES, **({"codes": 5} if system[0] == "d" else {})))
    for system in SYSTEMS
}
EXACT = LatentDiffusion.exact(NEWS)


# --- a prompt -------------------------------------------------------------------------------------

@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("order", ["ancestral", "even", "confidence"])
def test_the_prompt_stays_and_lengths_fit(system, order):
    model, prompt = MODELS[system], "The bank of"
    for lead in (0.0, 0.5):
        trace = model.generate_text(20, 3, path=Path(lead), seed=2, prompt=prompt, order=order, top_p=0.8)
        assert isinstance(trace, Trace) and len(trace.texts()) == 20
        assert all(t.startswith("the bank of") for t in trace.texts())
        given = DATA.encode(prompt)[:3].numpy()
        assert (trace.tokens[:, :3] == given).all() and (trace.reveal_step[:, :3] == 0).all()
        assert all((trace.tokens_at(k)[:, :3] == given).all() for k in range(trace.steps + 1))
        lengths = (trace.tokens != DATA.pad_id).sum(1)
        seen = {int(n) for n in (DATA.rows != DATA.pad_id).sum(1)}
        assert lengths.min() >= 3 and set(lengths.tolist()) <= seen
        assert trace.tokens.max() < DATA.vocab


def test_lengths_follow_the_data_given_that_the_prompt_fits():
    drawn = MODELS["mdlm"].generate_text(2_000, 1, seed=1, prompt="the bank of japan", batch=2_000)
    share = torch.tensor(DATA.spec()["lengths"])
    share[:4] = 0
    agree(np.bincount((drawn.tokens != DATA.pad_id).sum(1), minlength=17), share / share.sum())


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-joint"])
def test_without_a_prompt_texts_are_the_samples(system):
    model = MODELS[system]
    for empty in ("", "  \n"):
        a, b = model.sample(8, 3, seed=4), model.generate_text(8, 3, seed=4, prompt=empty)
        assert np.array_equal(a.tokens, b.tokens) and a.texts() == b.texts()
    again = [model.generate_text(8, 3, seed=s, prompt="rain").texts() for s in (1, 1, 2)]
    assert again[0] == again[1] != again[2]
    assert again[0] == [DATA.decode(row) for row in model.generate_text(8, 3, seed=1, prompt="rain").tokens]


def test_a_prompt_may_have_gaps():
    trace = MODELS["mdlm"].generate_text(6, 4, prompt="the [MASK] of japan", seed=3)
    assert (trace.reveal_step[:, [0, 2, 3]] == 0).all() and (trace.reveal_step[:, 1] > 0).all()
    assert trace.text(0, 0).startswith("the [MASK] of japan [MASK]")


def test_the_newswire_speaks_without_its_filler():
    trace = EXACT.generate_text(12, 16, prompt="the tiber rose", order="even", seed=1)
    for said, row in zip(trace.texts(), trace.tokens, strict=True):
        assert said.startswith("the tiber rose") and "·" not in said and said == NEWS.decode(row)
    assert NEWS.coherent(torch.as_tensor(trace.tokens).long()).float().mean() > 0.8
    assert Trace.from_json(trace.to_json()).texts() == trace.texts()


HOSTILE = ["漢字 كلمة 🙂", "<script>alert(1)</script>", "$x^2$ \\frac", "[PAD] [UNK]", "a" * 300, "\u202eabc"]


@pytest.mark.parametrize("prompt", HOSTILE)
def test_hostile_prompts_are_text_like_any_other_or_named(prompt):
    model = MODELS["di-seq"]
    try:
        ids = DATA.encode(prompt)
    except ValueError:
        ids = None
    if ids is None or (ids == 1).any():
        with pytest.raises(ValueError, match="^prompt: (text must have 1 to 16 tokens|Unknown words?: “)"):
            model.generate_text(prompt=prompt)
        return
    longest = 10 if (ids != DATA.pad_id).sum() <= 10 else 0
    if not longest:
        with pytest.raises(ValueError, match="prompt has .* tokens; the longest sentence"):
            model.generate_text(prompt=prompt)
        return
    trace = model.generate_text(3, 2, prompt=prompt)
    n = int((ids != DATA.pad_id).sum())
    assert (trace.tokens[:, :n] == ids[:n].numpy()).all() and len(trace.texts()) == 3
    Scrubber(trace)


@pytest.mark.parametrize(
    ("model", "prompt", "message"),
    [
        ("text", 5, "prompt must be a text, got int"),
        ("text", None, "prompt must be a text, got NoneType"),
        ("text", ["the"], "prompt must be a text, got list"),
        ("text", "\ud800", "prompt holds half a character"),
        ("text", "the " * 17, "prompt: text must have 1 to 16 tokens, got 17"),
        ("text", "the " * 12, "prompt has 12 tokens; the longest sentence of the training data had 10"),
        ("text", "\0", "prompt: text must have 1 to 16 tokens, got 0"),
        ("news", "the zebra", "prompt: text holds words outside the vocabulary .*zebra"),
        ("news", "the " * 17, "prompt: text must have at most 16 words, got 17"),
    ],
)
def test_a_prompt_that_cannot_be_read_is_named(model, prompt, message):
    with pytest.raises(ValueError, match=message):
        (MODELS["co-seq"] if model == "text" else EXACT).generate_text(2, 1, prompt=prompt)


def test_other_models_say_what_to_use():
    with pytest.raises(ValueError, match="'mdlm' is a model of the task 'binsaw', not of text: use `sample`"):
        LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8), **SIZES).generate_text()
    with pytest.raises(ValueError, match="n must be an integer >= 1"):
        MODELS["mdlm"].generate_text(0)


def test_the_widgets_take_what_was_generated(tmp_path):
    runs = [MODELS[s].generate_text(3, 2, prompt="the bank", order="even") for s in ("mdlm", "co-seq", "di-seq")]
    shown = Scrubber([*runs, EXACT.generate_text(3, 4, prompt="the tiber")])
    assert shown.last == max(t.steps for t in shown.traces)
    runs[1].save(tmp_path / "t.json")
    Scrubber(Trace.load(tmp_path / "t.json"))


# --- texts with gaps ------------------------------------------------------------------------------

def test_infill_reads_a_text_a_list_of_texts_or_ids():
    model, said = MODELS["co-seq"], "The [MASK] [MASK] rose ."
    ids = DATA.encode(said).unsqueeze(0)
    a, b = model.infill(said, 3, 2, seed=1), model.infill(ids, 3, 2, seed=1)
    assert np.array_equal(a.tokens, b.tokens) and a.text(0, 0) == "the [MASK] [MASK] rose ."
    many = model.infill([said, "rain [MASK]"], 2, 2, seed=1)
    assert [t.split()[0] for t in many.texts(0)] == ["the", "the", "rain", "rain"]
    bits = LatentDiffusion.preset("mdlm", tasks.Binsaw(length=8), **SIZES).infill("01__10", 2, 2)
    assert all(t.startswith("01") and t[4:6] == "10" for t in bits.texts())
    news = EXACT.infill("the [MASK] rose by two metres in rome on [MASK] , [MASK] said .", 2, 4)
    assert all(t.startswith("the tiber rose") for t in news.texts())


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ("the bank .", "x has no gap to fill in: write .MASK. for each missing token; got 'the bank .'"),
        (["the [MASK] .", "the bank ."], r"x\[1\] has no gap"),
        (["the [MASK] .", 5], r"x\[1\] must be a text like the others, got int"),
        ("[MASK] " * 17, "x: text must have 1 to 16 tokens, got 17"),
        ("", "x: text must have 1 to 16 tokens, got 0"),
        ("\udfff [MASK]", "x holds half a character"),
        ([], "x is an empty batch"),
    ],
)
def test_a_text_that_cannot_be_filled_in_is_named(x, message):
    with pytest.raises(ValueError, match=message):
        MODELS["mdlm"].infill(x)
