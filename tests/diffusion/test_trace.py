"""`Trace`: steps can be read off it, and it survives the way to a file and back."""

import json

import numpy as np
import pytest

from lddm_lite.config import SYSTEMS
from lddm_lite.diffusion.trace import Trace
from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import MixtureOfProducts

TASK = MixtureOfProducts(length=6, modes=3, vocab=3, seed=1)


def sampled(system="co-seq", **options):
    model = LatentDiffusion.preset(system, TASK, width=16, heads=2, blocks=1, encoder_blocks=1, dim=4)
    return model.sample(3, token_steps=2, seed=4, **options)


def same(a, b):
    for name in a.__dataclass_fields__:
        x, y = getattr(a, name), getattr(b, name)
        if isinstance(x, np.ndarray):
            assert x.dtype == y.dtype and np.array_equal(x, y), name
        else:
            assert x == y, name


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_trace_comes_back_from_json_and_from_a_file(system, tmp_path):
    trace = sampled(system)
    trace.meta["note"] = "three words"
    same(trace, Trace.from_json(trace.to_json()))
    trace.save(tmp_path / "deep" / "t.json")
    same(trace, Trace.load(tmp_path / "deep" / "t.json"))
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["t.json"]
    kind = {"m": "none", "c": "continuous", "d": "discrete"}[system[0]]
    assert trace.latent_kind == Trace.load(tmp_path / "deep" / "t.json").latent_kind == kind
    assert trace.model == system and trace.seed == 4 and f"NFE {trace.nfe}" in repr(trace)


def test_the_order_is_kept_and_older_files_load(tmp_path):
    trace = sampled("di-seq", order="even", temperature=0.7)
    trace.save(tmp_path / "t.json")
    again = Trace.load(tmp_path / "t.json")
    assert again.order == "even" and again.meta == {"temperature": 0.7}
    same(trace, again)
    older = json.loads(trace.to_json())
    del older["order"]
    assert Trace.from_json(json.dumps(older)).order == "ancestral"


def test_steps_are_read_off():
    trace = sampled(latent_steps=3)
    assert trace.nfe == trace.steps == 5 and len(trace) == 3
    shown = [trace.tokens_at(k) for k in range(6)]
    assert all((s == 3).all() for s in shown[:4]) and np.array_equal(shown[5], trace.tokens)
    for earlier, later in zip(shown, shown[1:], strict=False):
        visible = earlier != 3
        assert (earlier[visible] == later[visible]).all()
    for wrong in (-1, 6):
        with pytest.raises(ValueError, match=r"step must be an integer in \[0, 5\]"):
            trace.tokens_at(wrong)


def test_text():
    args = dict(reveal_step=[[0, 1, 2, 0]], confidence=[[1, 0.5, 0.5, 1]], knots=[(1, 0), (0.5, 0), (0, 0)], mask_id=4)
    words = Trace(tokens=[[0, 1, 2, 3]], labels=["the", "play", "##er", "<pad>"], pad_id=3, **args)
    assert [words.text(0, k) for k in (0, 1, 2)] == ["the [MASK] [MASK]", "the play [MASK]", "the player"]
    bits = Trace(tokens=[[0, 1, 1, 0]], labels=list("01xy"), **args)
    assert [bits.text(0, k) for k in (0, 1, 2)] == ["0__0", "01_0", "0110"]


def damage(change):
    raw = json.loads(sampled().to_json())
    change(raw)
    return json.dumps(raw)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (lambda: sampled().to_json()[:-50], "damaged or cut off"),
        (lambda: "", "damaged or cut off"),
        (lambda: "[]", "'format' field is missing"),
        (lambda: damage(lambda r: r.update(format="model")), "'format' field is missing"),
        (lambda: damage(lambda r: r.update(version=3)), "trace version 3; this library reads version 1, 2"),
        (lambda: damage(lambda r: r.pop("tokens")), "content is damaged.*tokens"),
        (lambda: damage(lambda r: r.update(tokens=None)), "content is damaged"),
        (lambda: damage(lambda r: r["tokens"].update(base64="AAA")), "content is damaged"),
        (lambda: damage(lambda r: r["tokens"].update(shape=[3, 5])), "content is damaged"),
        (lambda: damage(lambda r: r["tokens"].update(dtype="|O")), "content is damaged"),
        (lambda: damage(lambda r: r.update(knots=5)), "content is damaged"),
        (lambda: damage(lambda r: r.update(reveal_step=[[1, 2]])), "reveal_step must have shape"),
        (lambda: damage(lambda r: r.update(knots=[[1, 1], [0, 0]])), "latents must be"),
    ],
)
def test_a_damaged_trace_says_so(text, message):
    with pytest.raises(ValueError, match=message):
        Trace.from_json(text())


def test_version_1_opens():
    old = json.loads(sampled().to_json())
    for name in ("events", "calls", "parent"):
        del old[name]
    again = Trace.from_json(json.dumps(old | {"version": 1}))
    assert again.events is None and again.calls is None and again.parent is None
    same_tokens = [np.array_equal(again.tokens_at(k), sampled().tokens_at(k)) for k in range(again.steps + 1)]
    assert all(same_tokens)


@pytest.mark.parametrize("system", SYSTEMS)
def test_events_say_what_reveal_steps_say(system):
    trace = sampled(system)
    told = Trace.from_json(trace.to_json())
    told.events = trace.history()
    for k in range(trace.steps + 1):
        assert np.array_equal(told.tokens_at(k), trace.tokens_at(k))
    assert 0 < trace.calls <= len(trace) * trace.steps


def test_calls_are_those_really_made():
    """With everything given no token step needs a prediction; the latents' still do."""
    model = LatentDiffusion.preset("co-seq", TASK, width=16, heads=2, blocks=1, encoder_blocks=1)
    x = TASK.sample(3)
    x[0, 0] = model.token_channel.mask_id
    trace = model.infill(x, token_steps=2, latent_steps=3, seed=0)
    assert trace.nfe == 5 and trace.calls == 3 * 3 + 1


def test_a_branch_remembers_where_it_left_and_comes_back_from_a_file(tmp_path):
    trace, other = sampled(), sampled(temperature=0.5)
    k, mask = trace.steps - 1, trace.mask_id
    seen = np.argwhere(trace.tokens_at(k)[0] != mask)
    position = int(seen[0, 0]) if len(seen) else 0
    branch = trace.branch(other, k, [(0, position, mask), (1, 0, 2)])
    assert np.array_equal(branch.tokens_at(k - 1), trace.tokens_at(k - 1))
    assert branch.tokens_at(k)[0, position] == mask and branch.tokens_at(k)[1, 0] == 2
    assert branch.parent["step"] == k and branch.parent["edits"] == [(0, position, mask), (1, 0, 2)]
    branch.save(tmp_path / "b.json")
    again = Trace.load(tmp_path / "b.json")
    assert np.array_equal(again.events, branch.events) and again.parent == branch.parent
    with pytest.raises(ValueError, match=r"step must be an integer in \[0, "):
        trace.branch(other, 99, [])
    with pytest.raises(ValueError, match="same knots"):
        trace.branch(sampled(latent_steps=3), 1, [])
