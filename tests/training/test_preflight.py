"""What training refuses before it begins, and the sentences that a frozen encoder will read."""

import pytest
import torch

from lddm_lite.model import LatentDiffusion
from lddm_lite.tasks import Binsaw
from lddm_lite.text import build_token_store, dataset
from lddm_lite.training import forecast, preflight
from lddm_lite.training.config import TrainConfig
from lddm_lite.training.loop import fit
from tests.support import tiny_models
from tests.support.training_runs import TASK, run, start


def test_an_encoder_needs_more_than_one_sequence_a_batch():
    with pytest.raises(ValueError, match="batch must be >= 2 for 'di-seq'"):
        fit(start("di-seq"), TASK, batch=1, progress=False)
    assert fit(start("mdlm"), TASK, batch=1, steps=2, progress=False).rows[-1]["step"] == 2


def test_data_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match="data has length 6 and vocab 2; the model was made for 8 and 2"):
        fit(start("mdlm"), Binsaw(6), progress=False)


def test_held_out_data_of_another_shape_is_an_error(random_task):
    with pytest.raises(ValueError, match="held_out has length 3 and vocab 3"):
        run("mdlm", held_out=random_task(), validate_every=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(precision="fp8"), "precision must be float32, bf16 or auto, got 'fp8'"),
        (dict(validate_every=5), "validate_every=5 needs `held_out`"),
        (dict(validate_every=-1), "validate_every must be an integer >= 0"),
        (dict(preview_every=0.5), "preview_every must be an integer >= 0"),
        (dict(tensorboard=True), "tensorboard=True needs `out`"),
    ],
)
def test_options_that_lack_something_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        run("mdlm", **options)


def test_micro_batches_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="batch must be a multiple of accumulate=3, got 16"):
        run("mdlm", accumulate=3)
    with pytest.raises(ValueError, match=r"batch must be >= 2 \* accumulate = 32 for 'co-seq'"):
        run("co-seq", accumulate=16)
    with pytest.raises(ValueError, match="accumulate must be an integer >= 1, got 0"):
        run("mdlm", accumulate=0)


def test_a_frozen_encoder_reads_a_text_on_disk(tmp_path, monkeypatch, responsive):
    """Of a part of the store, only that part's sentences are encoded."""
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "lines.txt"
    different = [f"{a} {b} {c} ." for a in ("rain", "snow") for b in ("fell", "rose") for c in tiny_models.WORDS]
    file.write_text("\n".join(different), encoding="utf-8")
    data = build_token_store.build(file, vocab=90, length=12, progress=False)
    part, held_out = data.split(0.25)
    assert preflight.sentences(part, "minilm").shape == (len(part), 12) and len(part) < len(data)
    in_memory = dataset.from_file(file, vocab=90, length=12)
    assert torch.equal(preflight.sentences(data, "").long(), in_memory.rows.long())
    folder = tiny_models.save(tmp_path / "bert", "bert")
    model = LatentDiffusion.preset("co-seq", part, width=16, heads=2, blocks=1, slots=1, dim=2, encoder=folder)
    told = forecast.estimate(model, part, TrainConfig(batch=8, steps=2))
    assert told.encoder == 0 and model.encoder.table == 0
    fit(model, part, batch=8, steps=2, progress=False, held_out=held_out, validate_every=2)
    assert model.encoder.table == len(part)
