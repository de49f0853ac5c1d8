"""The public API walked with hostile values: each argument takes what its domain holds, and names itself
in a ValueError for anything else; no raw error of torch, numpy or Python, no acceptance in silence.

The count is printed (`pytest -s`). Quick: what costs little, and every fifth value; all with `-m slow`.
"""

import os

import matplotlib
import numpy as np
import pytest
import torch

import lddm_lite as ld
from lddm_lite import diffusion as D
from lddm_lite import evaluation as E
from lddm_lite import networks as N
from lddm_lite import plots as P
from lddm_lite import tasks as K
from lddm_lite import text as T
from lddm_lite import training as R
from lddm_lite import widgets as W
from tests.support.hostile import Count

matplotlib.use("Agg")


class Odd:
    """What cannot even be shown."""

    def __repr__(self):
        raise RuntimeError("no")


def deep(depth=2000):
    out = []
    for _ in range(depth):
        out = [out]
    return out


HOSTILE = {
    "None": None, "text": "x", "empty": "", "bytes": b"x", "nan": float("nan"), "inf": float("inf"), "minus": -1,
    "2**70": 2**70, "10**5000": 10**5000, "[]": [], "ragged": [[1], [1, 2]], "{}": {}, "object": Odd(), "True": True,
    "lambda": lambda *a, **k: None, "texts": ["a", None], "surrogate": "\ud800", "nul": "a\0b",
    "tensor": torch.zeros(2, 2), "complex": 1j, "set": {1}, "np": np.array(["a"]), "1e30": 1e30, "deep": deep(),
}  # fmt: skip

# What is in the domain, beside None where it stands for a default, True where it is a switch, and the value itself.
FINE = {
    "Binsaw.bit_probs.shift": "minus tensor 1e30", "Config.encoder": "text", "Config.log_snr_max": "minus",
    "Config.log_snr_min": "minus", "Estimate.of.samples": "minus tensor 1e30", "GaussianChannel.log_snr_max": "minus",
    "GaussianChannel.log_snr_min": "minus", "History.column.name": "text empty nul", "History.events": "None []",
    "History.previews": "[]", "History.rows": "None []", "History.save.path": "text",
    "Infill.text": "None text empty nul", "LatentMap.fit.codebook": "tensor", "Path.at.u": "tensor",
    "Path.latent_time.t_x": "tensor", "Path.token_time.t_z": "tensor", "PathExplorer.grid": "None",
    "RateGrid.title": "text empty nul", "Schedule.of_counts.latent_times": "[]", "Scrubber.hue": "[] np",
    "Scrubber.title": "text empty nul", "SentenceLatents.device": "text", "SentenceLatents.source": "text lambda",
    "TextData.of.name": "empty nul", "Trace.load.path": "text", "Trace.meta": "{}", "Trace.model": "text nul",
    "Trace.order": "text empty nul", "Trace.save.path": "text", "Trace.seed": "minus", "Trace.text.i": "minus",
    "Trace.words.i": "minus", "TrainConfig.clip": "2**70 1e30", "TrainConfig.lr": "2**70 1e30",
    "TrainConfig.weight_decay": "2**70 1e30", "antithetic.like": "nan inf minus [] True tensor complex 1e30",
    "bits.title": "text nul", "bits.tokens": "tensor", "codec.encode.text": "text nul", "codec.tokenise.lines": "[]",
    "compare.nfe": "None", "compare.save": "lambda", "compare.temperature": "2**70 1e30",
    "distinct_n.texts": "[] ragged", "divergences.token_steps": "None", "forecast.config": "None",
    "from_config.data": "None {}", "from_lines.length": "None", "from_lines.lines": "np",
    "generate_text.prompt": "text empty nul",
    "generation_report.reference": "np", "generation_report.texts": "np", "generation_table.report": "{}",
    "infill.x": "empty", "nucleus.log_probs": "tensor", "perplexity_of.judge": "text nul",
    "plot.plane.latents": "tensor", "read_lines.path": "text", "repetition.texts": "[] ragged",
    "sample.progress": "lambda", "sample.temperature": "2**70 1e30", "preset.encoder": "",
}  # fmt: skip
MAYBE = "steps step path progress costs score order device limit lengths walk".split()
DEAR = "fit forecast compare frontier divergences diagnose health exact_limit best_schedule animate LatentExplorer "
DEAR += "LatentDiagnosis "
DEAR = (DEAR + "Infill rate_grid Scrubber plot.frame preset from_file write task.score Newswire exact held_out").split()


def cases(tmp):
    """name -> (what is called, arguments that it takes)."""
    task = K.Binsaw(length=8)
    small = dict(width=16, blocks=1, heads=2)
    model = ld.LatentDiffusion.preset("co-seq", task, encoder_blocks=1, **small).eval()
    mdlm = ld.LatentDiffusion.preset("mdlm", task, **small).eval()
    disc = ld.LatentDiffusion.preset("di-seq", task, encoder_blocks=1, codes=8, **small).eval()
    x = task.sample(16, 0)
    trace = model.sample(2, 2, 2)
    hist = ld.History([{"step": 1, "stage": 1, "lr": 0.1, "loss": 1.0, "tokens": 2.0, "seconds": 1.0}])
    td = T.from_lines(["the bank is open .", "rain fell ."] * 4, length=8)
    g, lp = torch.Generator(), torch.log_softmax(torch.randn(3, 4), -1)
    z = model.encode(x).detach()
    grid = D.RateGrid("flat", np.full((4, 4), 3.0), np.full((4, 4), 2.0))
    fn = os.path.join(tmp, "s.txt")
    with open(fn, "w") as f:
        f.write("rain fell .\nsnow fell .\n")
    rows = E.frontier(mdlm, task, (1, 2), n=16)
    return {
        "Config": (ld.Config, dict(
            length=8, vocab=2, system="co-seq", latent="continuous", lead=0.5, pad_id=None, slots=1, dim=8,
            codes=16, width=16, blocks=1, heads=2, network="plain", encoder="learned", encoder_blocks=1,
            log_snr_max=6.0, log_snr_min=-6.0, latent_schedule="linear", own_share=0.7, off_path_share=0.1,
        )),
        "Config.preset": (ld.Config.preset, dict(system="mdlm", length=8, vocab=2, size=None)),
        "TrainConfig": (ld.TrainConfig, dict(
            steps=3, batch=4, seed=0, lr=0.1, warmup=1, weight_decay=0.1, clip=1.0, ema=0.9, stage1=0.3,
            late_codes=False, few_step1=0.5, few_step2=0.2, weight="counts", log_every=1, save_every=1,
            precision="float32", compile=False, accumulate=1, validate_every=0, preview_every=0, tensorboard=False,
        )),
        "Estimate.of": (ld.Estimate.of, dict(samples=torch.ones(3))),
        "Estimate.of_groups": (ld.Estimate.of_groups, dict(
            samples=torch.ones(3), group=torch.tensor([0, 1, 1]), weights=None,
        )),
        "Path": (ld.Path, dict(lead=0.5)),
        "Path.knots": (ld.Path().knots, dict(token_steps=2, latent_steps=2)),
        "Path.nfe": (ld.Path().nfe, dict(token_steps=2, latent_steps=2)),
        "Path.at": (ld.Path().at, dict(u=torch.tensor([0.5]))),
        "Path.latent_time": (ld.Path().latent_time, dict(t_x=torch.tensor([0.5]))),
        "Path.token_time": (ld.Path().token_time, dict(t_z=torch.tensor([0.5]))),
        "Curve": (ld.Curve, dict(at=lambda u: (u, u ** 2), pieces=8)),
        "Curve.knots": (ld.Curve(lambda u: (u, u)).knots, dict(token_steps=2, latent_steps=2)),
        "Schedule": (ld.Schedule, dict(knots=[(1, 1), (1, 0), (0, 0)])),
        "Schedule.of_counts": (ld.Schedule.of_counts, dict(counts=[0, 2], length=8, latent_times=[1.0])),
        "GaussianChannel": (ld.GaussianChannel, dict(log_snr_max=6.0, log_snr_min=-6.0)),
        "MaskedChannel": (ld.MaskedChannel, dict(vocab=2)),
        "SquareRootChannel": (D.SquareRootChannel, dict()),
        "Trace": (ld.Trace, dict(
            tokens=[[1, 0]], reveal_step=[[1, 2]], confidence=[[1, 1]], knots=[(1, 0), (0.5, 0), (0, 0)],
            labels=["a", "b"], mask_id=2, latents=None, alternatives=None, alternative_probs=None, pad_id=None,
            lead=0.5, seed=0, model="", order="ancestral", meta={},
        )),
        "Trace.tokens_at": (trace.tokens_at, dict(step=1)),
        "Trace.text": (trace.text, dict(i=0, step=1)),
        "Trace.texts": (trace.texts, dict(step=1)),
        "Trace.words": (trace.words, dict(i=0, step=1)),
        "Trace.save": (trace.save, dict(path=os.path.join(tmp, "t.json"))),
        "Trace.load": (ld.Trace.load, dict(path=os.path.join(tmp, "t.json"))),
        "Trace.from_json": (ld.Trace.from_json, dict(text=trace.to_json())),
        "History": (ld.History, dict(rows=[], events=[], interrupted=False, previews=None)),
        "History.column": (hist.column, dict(name="step")),
        "History.save": (hist.save, dict(path=os.path.join(tmp, "h.csv"))),
        "History.from_dict": (ld.History.from_dict, dict(raw=hist.to_dict())),
        "preset": (ld.LatentDiffusion.preset, dict(
            system="mdlm", data=task, seed=0, denoiser=None, encoder=None, channel=None,
        )),
        "exact": (ld.LatentDiffusion.exact, dict(task=task, encoder=None, lead=0.5, channel=None, codes=None)),
        "from_config": (ld.LatentDiffusion.from_config, dict(config=mdlm.config, labels=["0", "1"], data={}, seed=0)),
        "sample": (model.sample, dict(
            n=1, token_steps=2, latent_steps=2, path=None, seed=0, temperature=1.0, eta=1.0, top_p=None,
            order="even", latent_temperature=1.0, batch=4, progress=None, latents=None,
        )),
        "generate_text": (ld.LatentDiffusion.preset("mdlm", td, width=16, blocks=1, heads=2).generate_text, dict(
            n=1, token_steps=2, latent_steps=None, path=None, seed=0, prompt="rain",
        )),
        "infill": (model.infill, dict(
            x=x[:2].clone().fill_(2), n=1, token_steps=2, latent_steps=2, path=None, seed=0,
        )),
        "nelbo": (model.nelbo, dict(
            x=x, path=None, token_steps=2, latent_steps=2, draws=1, seed=0, batch=8, order="ancestral",
            latents=None, each=False,
        )),
        "loss": (mdlm.loss, dict(x0=x, g=0, stage=2, few_step=0.25, weight="counts")),
        "encode": (model.encode, dict(x=x)),
        "knots": (model.knots, dict(path=model.path, token_steps=2, latent_steps=2)),
        "latent_shape": (model.latent_shape, dict(n=2)),
        "valid": (model.valid, dict(x=x)),
        "save": (mdlm.save, dict(folder=os.path.join(tmp, "m"), overwrite=True)),
        "load": (ld.load, dict(name="binsaw-mdlm")),
        "fit": (lambda **k: ld.fit(**k), dict(
            model=mdlm, data=task, config=None, out=None, resume=False, progress=False, held_out=None,
            overwrite=False, steps=1, batch=4,
        )),
        "forecast": (R.estimate, dict(model=mdlm, data=task, config=ld.TrainConfig(steps=1, batch=2), processes=1)),
        "Binsaw": (K.Binsaw, dict(length=8, saws=2, eps=0.1, mode_bins=4)),
        "Binsaw.bit_probs": (task.bit_probs, dict(shift=[0.1])),
        "find_shift": (task.find_shift, dict(x=x)),
        "Mixture": (K.MixtureOfProducts, dict(length=4, modes=2, vocab=2, noise=0.1, seed=0)),
        "MixtureTask": (K.MixtureTask, dict(
            log_prior=[0.0, 0.0], log_probs=np.zeros((2, 3, 2)), mode_of=None, labels=None,
        )),
        "Parity": (K.ParityBlocks, dict(blocks=2, size=3, noise=0.1)),
        "Twins": (K.TwinChains, dict(length=4, flip=0.1)),
        "Newswire": (K.ToyNewswire, dict(length=16, typo=0.1, topics=None, grammar=None)),
        "Corpus": (K.Corpus, dict(task=task, n=3, seed=0)),
        "task.sample": (task.sample, dict(n=2, seed=0)),
        "task.log_prob": (task.log_prob, dict(x=x)),
        "task.predict": (task.predict, dict(x_t=x)),
        "task.posterior": (task.posterior, dict(x=x)),
        "task.score": (task.score, dict(x=x, seed=1)),
        "task.mode_tv": (task.mode_tv, dict(x=x)),
        "task.mode_mass": (task.mode_mass, dict(x=x)),
        "task.coherent": (task.coherent, dict(x=x)),
        "tasks.make": (K.make, dict(task="binsaw")),
        "tasks.from_spec": (K.from_spec, dict(spec=task.spec())),
        "antithetic": (D.antithetic, dict(n=4, g=g, like=torch.zeros(1), groups=1)),
        "decode": (D.decode, dict(model=model, z=z, token_steps=1, seed=0, argmax=True, lengths=None)),
        "interpolate": (D.interpolate, dict(model=model, za=z[0], zb=z[1], steps=3, seed=0, among=None)),
        "nucleus": (D.nucleus, dict(log_probs=lp, top_p=0.9)),
        "slerp": (D.slerp, dict(a=torch.randn(3), b=torch.randn(3), u=torch.tensor([0.5]))),
        "split": (D.split, dict(model=model, nfe=8, latent_share=None, latent_steps=None, path=None)),
        "diffusion.nelbo": (D.nelbo, dict(model=model, x=x)),
        "training_loss": (D.training_loss, dict(model=mdlm, x0=x, g=g, stage=2, few_step=0.2, weight="counts")),
        "RateGrid.bound": (grid.bound, dict(path=ld.Path(0.2), token_steps=2, latent_steps=2)),
        "RateGrid.rho": (grid.rho, dict(t_x=0.5, t_z=0.5)),
        "RateGrid.from_dict": (D.RateGrid.from_dict, dict(d=grid.to_dict())),
        "RateGrid": (D.RateGrid, dict(title="a", tokens=np.full((4, 4), 3.0), latents=np.full((4, 4), 2.0))),
        "along_path": (E.along_path, dict(model=mdlm, x=x)),
        "compare": (E.compare, dict(
            models={"a": mdlm}, data=task, nfe=(1, 2), n=4, judge=None, latent_share=None, latent_steps=None,
            order="ancestral", temperature=1.0, top_p=None, seed=0, health=False, exact=False, bounds=False,
            progress=False, save=None, schedule="even",
        )),
        "held_out": (E.held_out, dict(model=mdlm, x=x, seed=0, draws=1)),
        "rate_grid": (ld.rate_grid, dict(model=model, x=x)),
        "best_schedule": (E.best_schedule, dict(model=mdlm, data=task, nfe=2, seed=0)),
        "diagnose": (E.diagnose, dict(model=model, data=task, n=8, seed=0)),
        "health": (E.health, dict(model=model, data=task, n=8, seed=0)),
        "z_response": (E.z_response, dict(model=model, x0=x, seed=0)),
        "distinct_n": (E.distinct_n, dict(texts=["a b"], n=1)),
        "repetition": (E.repetition, dict(texts=["a b"], n=1)),
        "generation_report": (E.generation_report, dict(
            texts=["a b"], judge=None, reference=None, tokenise=str.split, progress=False,
        )),
        "divergences": (E.divergences, dict(
            model=mdlm, task=task, token_steps=1, latent_steps=None, path=None, n=16, seed=0,
        )),
        "exact_limit": (E.exact_limit, dict(
            task=task, token_steps=(1, 2), n=16, seed=0, progress=False, order="ancestral", schedule="even",
        )),
        "frontier": (E.frontier, dict(
            model=mdlm, task=task, token_steps=(1,), latent_steps=None, path=None, n=16, seed=0, progress=False,
            schedule="even",
        )),
        "score_samples": (E.score_samples, dict(data=task, x=x, seed=0)),
        "step_costs": (E.step_costs, dict(model=mdlm, x=x)),
        "visible_costs": (E.visible_costs, dict(model=mdlm, x=x)),
        "timed_sample": (E.timed_sample, dict(
            model=mdlm, n=2, token_steps=1, latent_steps=None, path=mdlm.path, seed=0,
        )),
        "unigram_entropy": (E.unigram_entropy, dict(x=x, vocab=2, pad_id=None)),
        "write": (E.write, dict(
            report=E.compare({"a": mdlm}, task, (1, 2), n=4, health=False), out=os.path.join(tmp, "out"),
        )),
        "perplexity_of": (E.perplexity_of, dict(nats=torch.ones(2), counts=torch.tensor([2, 2]), judge="")),
        "as_text": (E.as_text, dict(rows=rows)),
        "comparison_table": (E.comparison_table, dict(
            report={"kind": "task", "data": "b", "n": 4, "seed": 0, "rows": rows},
        )),
        "generation_table": (E.generation_table, dict(report=E.generation_report(["a b"]))),
        "Denoiser": (N.Denoiser, dict(config=mdlm.config, channel=None)),
        "ContinuousEncoder": (N.ContinuousEncoder, dict(config=model.config)),
        "DiscreteEncoder": (N.DiscreteEncoder, dict(config=disc.config)),
        "ExactDenoiser": (N.ExactDenoiser, dict(task=task, latents=None, channel=None)),
        "ShiftEncoder": (N.ShiftEncoder, dict(task=task, codes=None)),
        "SentenceLatents": (N.SentenceLatents, dict(
            source="minilm", slots=1, dim=8, pooling="auto", max_tokens=16, device=None,
        )),
        "TwoStream": (N.TwoStreamTransformer, dict(width=16, blocks=1, heads=2, latent=True, timed=True, text=False)),
        "StreamBlock": (N.StreamBlock, dict(width=16, heads=2, timed=False, opened=False)),
        "TextCodec": (T.TextCodec, dict(tokenizer=td.codec.tokenizer, length=8, lowercase=True)),
        "codec.encode": (td.encode, dict(text="rain fell")),
        "codec.decode": (td.decode, dict(ids=[1, 2])),
        "codec.tokenise": (td.codec.tokenise, dict(lines=["a b"])),
        "TextData.sample": (td.sample, dict(n=2, seed=0)),
        "TextData.split": (td.split, dict(fraction=0.5, seed=0)),
        "from_file": (T.from_file, dict(
            path=fn, vocab=64, length=8, lowercase=True, limit=None, seed=0, errors="strict", codec=None,
        )),
        "from_lines": (T.from_lines, dict(lines=["a b"], vocab=64, length=8, lowercase=True)),
        "from_spec": (T.from_spec, dict(data=td.spec())),
        "read_lines": (T.read_lines, dict(path=fn, errors="strict")),
        "TextData.of": (T.TextData.of, dict(codec=td.codec, lines=["a b"], blank=0, name="x")),
        "bits": (P.bits, dict(tokens=x, order=None, title="")),
        "even_counts2": (D.even_counts, dict(length=8, steps=2)),
        "best_counts2": (D.best_counts, dict(costs=torch.rand(8), steps=2)),
        "finite_bound2": (D.finite_bound, dict(costs=torch.rand(8), counts=[0, 2])),
        "reveal_colour2": (P.reveal_colour, dict(step=1, first=0, last=2)),
        "latent_spread2": (P.latent_spread, dict(latents=np.random.randn(4, 1, 8).astype("f4"))),
        "along2": (E.along_path, dict(model=mdlm, x=x, path=None, points=3, draws=1, seed=0, batch=8)),
        "visible2": (E.visible_costs, dict(model=mdlm, x=x, seed=0, batch=8)),
        "animate2": (P.animate, dict(traces=trace, path=os.path.join(tmp, "a.gif"), fps=4, sample=0)),
        "unmasking": (P.unmasking, dict(trace=trace, rows=4)),
        "plot.training": (P.training, dict(history=hist)),
        "plot.frontier": (P.frontier, dict(rows=rows, key="excess", x="nfe")),
        "plot.frame": (P.frame, dict(
            traces=trace, step=1, sample=0, order=None, planes=None, cloud=None, hue=None, names=None,
        )),
        "plot.plane": (P.plane, dict(latents=np.random.randn(4, 1, 8).astype("f4"))),
        "LatentMap.fit": (P.LatentMap.fit, dict(
            latents=np.random.randn(4, 1, 8).astype("f4"), method="pca", seed=0, codebook=None, progress=False,
        )),
        "codebook_use": (P.codebook_use, dict(codes=torch.tensor([[1], [2]]), size=4)),
        "latent_trajectories": (P.latent_trajectories, dict(trace=trace)),
        "Scrubber": (W.Scrubber, dict(
            traces=trace, model=None, task=None, data=None, hue=None, order=None, cloud=None, names=None,
            samples=2, step=0, title=None, weights=None,
        )),
        "LatentDiagnosis": (W.LatentDiagnosis, dict(model=model, data=task, found=None, n=4, examples=2, seed=0)),
        "PathExplorer": (W.PathExplorer, dict(grid=grid, task=None, lead=0.2, token_steps=2, latent_steps=2)),
        "Infill": (W.Infill, dict(
            models=mdlm, text="01__", token_steps=2, latent_steps=None, lead=None, seed=0, n=2,
        )),
        "LatentExplorer": (W.LatentExplorer, dict(model=model, x=x)),
    }  # fmt: skip


def allowed(name, argument, kind, given):
    """Is a hostile value in the domain of an argument that was `given` this?"""
    if kind in FINE.get(f"{name}.{argument}", "").split():
        return True
    if kind == "True":
        return isinstance(given, bool)
    return kind == "None" and (given is None or any(word in argument for word in MAYBE) or name.startswith("Trace."))


@pytest.mark.parametrize("every", [pytest.param(1, marks=pytest.mark.slow, id="all"), pytest.param(5, id="some")])
def test_each_argument_keeps_its_domain(every, tmp_path, monkeypatch):
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    count, number = Count(), 0
    found = cases(str(tmp_path))
    for name, (function, given) in found.items():
        if every > 1 and name in DEAR:
            continue
        function(**given)
        for argument, own in given.items():
            for kind, value in HOSTILE.items():
                number += 1
                if value is own or number % every:
                    continue

                def call(f=function, a=argument, v=value, g=given, n=name, k=kind, o=own):
                    f(**{**g, a: v})
                    return allowed(n, a, k, o)

                tells = [argument, "not a trace", "the model was not made", "is a file", "sentence", "rows must"]
                count.case(f"{name}({argument}={kind})", call, (ValueError, OSError, ImportError), tells)
        plt.close("all")
    count.verdict("arguments")


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
def test_integers_of_any_type_are_taken_and_kept(kind, tmp_path):
    task = K.Binsaw(length=kind(8))
    model = ld.LatentDiffusion.preset("mdlm", task, width=kind(16), blocks=kind(1), heads=kind(2), seed=kind(1))
    trace = model.sample(kind(2), kind(2), seed=kind(3))
    assert trace.seed == 3 and type(trace.seed) is int
    ld.fit(model, task, steps=kind(1), batch=kind(4), seed=kind(5), progress=False, out=tmp_path / "run")
    assert ld.load(tmp_path / "run").config == model.config


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_all_seeds_of_the_range_are_taken(seed):
    task = K.Binsaw(length=8)
    model = ld.LatentDiffusion.preset("co-seq", task, seed=seed, width=16, blocks=1, heads=2)
    assert model.sample(1, 1, 1, seed=seed).seed == seed
    assert model.nelbo(task.sample(2, seed), seed=seed).total.value > 0
    ld.fit(model, task, steps=1, batch=4, seed=seed, progress=False)
    for wrong in (-1, 2**63):
        with pytest.raises(ValueError, match="seed must be"):
            model.sample(1, seed=wrong)
