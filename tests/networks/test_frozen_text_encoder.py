"""A frozen encoder of text in a model: its table of latents, training, and the way to a file."""

import math

import pytest
import torch

from lddm_lite import LatentDiffusion, TrainConfig, fit, tasks
from lddm_lite._common import checkpoint
from lddm_lite.networks.frozen_text_encoder import FrozenTextCodes, FrozenTextEncoder
from lddm_lite.networks.sentence_latents import SentenceLatents, Statistics
from lddm_lite.text import dataset
from tests.support.sentences import TEXTS, Letters

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture(scope="module")
def data():
    return dataset.from_lines(sorted(set(TEXTS)), length=16)


def with_frozen(data, seed=0, **options):
    """A continuous model whose encoder is a frozen one."""
    model = LatentDiffusion.preset("co-seq", data, seed, slots=2, dim=3, width=16, blocks=1, **options)
    model.encoder = FrozenTextEncoder(SentenceLatents(Letters(), 2, 3), model.labels)
    return model


# --- texts and their table ------------------------------------------------------------------------

def test_ids_become_the_text_of_the_codec(data):
    module = FrozenTextEncoder(SentenceLatents(Letters()), data.labels)
    x = data.sample(20)
    assert module.texts(x) == [data.decode(row) for row in x]


def test_the_toy_newswire_is_decoded_too():
    task = tasks.ToyNewswire()
    x = task.sample(8)
    assert FrozenTextEncoder(SentenceLatents(Letters()), task.labels).texts(x) == [task.decode(row) for row in x]


def test_the_table_gives_what_the_encoder_gives_and_never_runs_it(data):
    module = FrozenTextEncoder(SentenceLatents(Letters(), 2, 3), data.labels).prepare(data.rows, progress=False)
    want = module.encoder.encode([data.decode(row) for row in data.rows], progress=False)
    Letters.calls = 0
    assert torch.equal(module(data.rows.long()), want) and Letters.calls == 0
    x = data.sample(64, seed=3)
    assert torch.equal(module(x), module(x.flip(0)).flip(0)) and Letters.calls == 0
    assert module.table == len(data.rows.unique(dim=0))


def test_new_sentences_are_encoded_once_and_mix_with_known_ones(data):
    module = FrozenTextEncoder(SentenceLatents(Letters(), 2, 3), data.labels).prepare(data.rows, progress=False)
    new = torch.stack([data.encode("rain fell in paris"), data.encode("rain fell in paris"), data.encode("snow rose")])
    Letters.calls = 0
    z = module(torch.cat([data.rows[:2].long(), new]))
    assert Letters.calls == 2
    want = module.encoder.encode([data.decode(row) for row in new], progress=False, cache=False)
    assert torch.allclose(z[2:], want, atol=1e-6) and torch.equal(z[:2], module(data.rows[:2].long()))
    Letters.calls = 0
    assert torch.equal(module(new), z[2:]) and Letters.calls == 0


def test_what_is_remembered_is_bounded(data, monkeypatch):
    monkeypatch.setattr("lddm_lite.networks.frozen_text_encoder.EXTRA", 1)
    module = with_frozen(data).encoder.prepare(data.rows[:8], progress=False)
    module(data.rows[8:10].long())
    module(data.rows[10:11].long())
    assert len(module._keys) == len(module._values) == module.table + 1


def test_ids_that_are_no_words_are_named(data):
    with pytest.raises(ValueError, match=rf"token ids 0..{data.vocab - 1}"):
        with_frozen(data).encoder.texts(torch.full((1, 16), data.vocab))


# --- in a model -----------------------------------------------------------------------------------

def test_a_model_trains_samples_is_bounded_and_saved_with_it(data, tmp_path):
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


@pytest.fixture
def preset(data, bert):
    """A fresh model with the encoder in this folder, asked for by name."""
    return lambda: LatentDiffusion.preset("co-seq", data, width=16, slots=2, dim=3, encoder=bert)


def test_by_name_it_trains_without_a_first_stage_and_goes_on_exactly(preset, data, tmp_path, monkeypatch):
    config = TrainConfig(steps=6, batch=8, save_every=3, log_every=1)
    whole, parts = preset(), preset()
    history = fit(whole, data, config, progress=False)
    assert {row["stage"] for row in history.rows} == {2}, "there is nothing to train in a first stage"
    draw, calls = type(data).sample, iter(range(100))

    def stopped(self, *a, **k):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return draw(self, *a, **k)

    with monkeypatch.context() as patch:
        patch.setattr(type(data), "sample", stopped)
        try:
            fit(parts, data, config, out=tmp_path / "run", progress=False)
        except KeyboardInterrupt:
            pass
    again = preset()
    fit(again, data, config, out=tmp_path / "run", resume=True, progress=False)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    loaded = LatentDiffusion.load(tmp_path / "run", encoder=preset().config.encoder)
    x = data.sample(4)
    assert torch.allclose(loaded.encode(x), whole.eval().encode(x), atol=1e-6)


def test_a_corpus_of_a_task_is_encoded_sentence_by_sentence(bert):
    corpus = tasks.Corpus(tasks.ToyNewswire(), 30)
    model = LatentDiffusion.preset("co-seq", corpus, width=16, encoder=bert)
    fit(model, corpus, steps=1, batch=8, progress=False)
    assert model.encoder.table == len(corpus.rows.unique(dim=0)), "each sentence is encoded once"


def test_data_without_rows_are_refused(bert):
    task = tasks.ToyNewswire()
    with pytest.raises(ValueError, match="needs data that has `rows`"):
        fit(LatentDiffusion.preset("co-seq", task, width=16, encoder=bert), task, steps=1, progress=False)


# --- its codes ------------------------------------------------------------------------------------

def with_codes(data, seed=0, codes=5, slots=1):
    """A discrete model whose codes are k-means of a frozen encoder's vectors."""
    model = LatentDiffusion.preset("di-seq", data, seed, slots=slots, dim=3, codes=codes, width=16, blocks=1)
    model.encoder = FrozenTextCodes(SentenceLatents(Letters(), slots, 3), model.labels, codes)
    return model


@pytest.mark.parametrize("slots", [1, 2])
def test_codes_are_the_nearest_centres_of_the_latents(data, slots):
    codes = with_codes(data, slots=slots).encoder.prepare(data.rows, progress=False)
    latents = FrozenTextEncoder(SentenceLatents(Letters(), slots, 3), data.labels).prepare(data.rows, progress=False)
    x = data.sample(40)
    z, found = latents(x), codes(x)
    assert found.shape == (40, slots)
    assert torch.equal(found, torch.cdist(z, codes.codebook).argmin(-1)), "nearest in angle, hence on the sphere"
    for k in found.unique():  # a centre is the direction of the mean of its own
        every = latents(data.rows.long())[codes(data.rows.long()) == k]
        own = torch.nn.functional.normalize(every.sum(0), dim=0) * math.sqrt(3)
        assert torch.nn.functional.cosine_similarity(own, codes.codebook[k], dim=0) > 0.98


def test_codes_train_go_to_a_file_and_come_back(data, tmp_path):
    model = with_codes(data)
    history = fit(model, data, steps=4, batch=8, log_every=1, out=tmp_path / "run", progress=False)
    assert {row["stage"] for row in history.rows} == {2}
    book = model.encoder.codebook.clone()
    longer = with_codes(data)
    fit(longer, data, steps=6, batch=8, log_every=1, out=tmp_path / "run", resume=True, progress=False)
    assert torch.equal(longer.encoder.codebook, book), "one codebook in the whole run"
    other = with_codes(data, seed=1)
    other.load_state_dict(checkpoint.read(tmp_path / "run")[0])
    x = data.sample(9)
    assert torch.equal(other.eval().encode(x), longer.eval().encode(x))
    bound = other.nelbo(x, seed=0)
    assert math.isfinite(bound.total.value) and bound.latents.value > 0


def test_codes_by_name_are_kept_by_the_models_file(data, bert, tmp_path):
    model = LatentDiffusion.preset("di-seq", data, width=16, dim=3, codes=5, encoder=bert)
    fit(model, data, steps=2, batch=8, out=tmp_path / "run", progress=False)
    loaded = LatentDiffusion.load(tmp_path / "run", encoder=bert)
    assert torch.equal(loaded.encoder.codebook, model.encoder.codebook) and model.encoder.codebook.any()
    x = data.sample(6)
    assert torch.equal(loaded.encode(x), model.encode(x))


def test_states_whose_codes_do_not_fit_are_refused(data):
    model, other = with_codes(data), with_codes(data, codes=4)
    model.encoder.prepare(data.rows, progress=False)
    with pytest.raises(RuntimeError, match=r"codebook of shape \(5, 3\), not \(4, 3\)"):
        other.load_state_dict({**other.state_dict(), **{k: v for k, v in model.state_dict().items() if "encoder" in k}})
    part = {k: v for k, v in model.state_dict().items() if k != "encoder.codebook"}
    with pytest.raises(RuntimeError, match="encoder.codebook"):
        with_codes(data).load_state_dict(part)
    blank = with_codes(data)
    blank.load_state_dict(blank.state_dict())  # saved before there was a codebook
    assert not blank.encoder.codebook.any()


def test_more_codes_than_sentences_are_refused(data):
    with pytest.raises(ValueError, match="codes=64 need as many different sentences"):
        with_codes(data, codes=64).encoder.prepare(data.rows[:20], progress=False)


def test_latents_that_no_frozen_encoder_makes_are_refused(data, bert):
    with pytest.raises(ValueError, match="needs latents, got latent='none'"):
        LatentDiffusion.preset("mdlm", data, encoder=bert)


def test_a_state_that_does_not_fit_is_refused(data):
    model, other = with_frozen(data), with_frozen(data)
    model.encoder.prepare(data.rows, progress=False)
    other.encoder = FrozenTextEncoder(SentenceLatents(Letters(), 1, 3), data.labels)
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
