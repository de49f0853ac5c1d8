"""The public API as calls that work, hostile values for each of their arguments, and which of these an
argument holds. A new public function is a new line of `cases`."""

import functools
import os

import numpy as np
import torch
from matplotlib.figure import Figure

import lddm_lite as ld
from lddm_lite import diffusion as D
from lddm_lite import evaluation as E
from lddm_lite import networks as N
from lddm_lite import plots as P
from lddm_lite import tasks as K
from lddm_lite import text as T
from lddm_lite import training as R
from lddm_lite import widgets as W
from lddm_lite._common import quantised
from lddm_lite.networks import shipped
from lddm_lite.text import build_token_store, molecules
from lddm_lite.widgets import payload


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
    "TrainConfig.weight_decay": "2**70 1e30", "TrainConfig.muon": "2**70 1e30",
    "antithetic.like": "nan inf minus [] True tensor complex 1e30",
    "bits.title": "text nul", "bits.tokens": "tensor", "codec.encode.text": "text nul", "codec.tokenise.lines": "[]",
    "compare.nfe": "None", "compare.save": "lambda", "compare.temperature": "2**70 1e30",
    "distinct_n.texts": "[] ragged", "divergences.token_steps": "None", "forecast.config": "None",
    "from_config.data": "None {}", "from_lines.length": "None", "from_lines.lines": "np",
    "generate_text.prompt": "text empty nul",
    "generation_report.reference": "np", "generation_report.texts": "np", "generation_table.report": "{}",
    "infill.x": "empty", "nucleus.log_probs": "tensor", "perplexity_of.judge": "text nul",
    "plot.plane.latents": "tensor", "read_lines.path": "text", "read_lines2.path": "text", "iter_lines.path": "text",
    "checking.wanted": "text empty nul surrogate", "checking.exercise": "text empty minus nul",
    "repetition.texts": "[] ragged",
    "sample.progress": "lambda", "sample.temperature": "2**70 1e30", "preset.encoder": "",
}  # fmt: skip
FINE |= {  # of `more`
    "ArrayData.decode.ids": "tensor", "Curve.at.u": "tensor", "Curve.latent_time.t_x": "tensor",
    "Curve.token_time.t_z": "tensor", "Draws.codes.log_probs": "tensor", "Draws.latent_temperature": "2**70 1e30",
    "Draws.remask": "2**70 1e30", "Draws.temperature": "2**70 1e30", "Draws.tokens.log_probs": "tensor",
    "Denoiser.forward.t_z": "tensor", "Denoiser.forward.where": "None", "Estimate.stderr": "nan inf 2**70 1e30",
    "Estimate.value": "nan inf minus 2**70 1e30", "ExactDenoiser.forward.t_z": "tensor",
    "ExactDenoiser.forward.where": "None", "ExactDenoiser.forward.z_t": "tensor", "LatentDiffusion.data": "{}",
    "LatentDiffusion.labels": "[]", "LatentExplorer2.hue": "None", "LatentExplorer2.title": "text empty nul",
    "Playground.title": "text empty nul", "Prediction.latents": "tensor", "Prediction.taken.rows": "None",
    "Prediction.tokens": "None tensor", "RateGrid2.data": "{}", "RateGrid2.log_snr": "None",
    "RateGrid2.bound_se": "2**70 1e30", "RateGrid2.excess_se": "2**70 1e30", "RateGrid2.prior": "minus 2**70 1e30",
    "RateGrid2.title": "text empty nul", "RateGrid2.tokens_se": "None", "SentenceLatents.encode.sentences": "np",
    "SentenceLatents.load.device": "text", "SentenceLatents.load.encoder": "text", "TrainState.read.folder": "text",
    "SentenceLatents.save.folder": "text", "Trace2.calls": "None", "Trace2.events": "None", "Trace2.parent": "None",
    "best_schedule2.moves": "None", "best_schedule2.score": "lambda",
    "Trace.branch.edits": "[]", "TrainState.meta": "{}", "TrainState.tensors": "{}", "TrainState.write.folder": "text",
    "as_json.value": "None text empty nan inf minus 2**70 [] ragged {} True texts surrogate nul 1e30",
    "bits2.tokens": "tensor", "check_tokens.name": "*", "codec.around.gap": "text nul",
    "codec.around.text": "text empty nul", "codec.encode2.gap": "text nul", "codec.encode2.text": "text nul",
    "codec.pad.ids": "[] ragged", "codec.same.text": "text empty nul", "encode2.g": "None",
    "explorer.answer.message": "", "fetch.name": "text", "from_arrays.labels": "nul", "from_arrays.names": "None nul",
    "from_arrays.pad_id": "None", "from_arrays.shape": "None", "from_file2.length": "None",
    "from_lines2.lines": "np", "generate_text2.length": "None", "generate_text2.prompt": "empty",
    "generation_table2.report": "{}", "infill.wait.seconds": "None", "latent_trajectories2.hue": "None",
    "lr_at.again": "None", "molecules.load.length": "None", "news.encode.text": "empty", "pictures.first": "None",
    "molecules.strings": "np", "molecules.ax": "None", "molecules.title": "text empty nul",
    "pictures.given": "None", "pictures.levels": "None", "pictures.title": "text nul", "predict.where": "None",
    "predict.x_t": "None", "predict2.t_z": "None tensor", "predict2.where": "None", "predict2.x_t": "None",
    "quantise.tensors": "{}", "restore.kept": "{}", "sample2.remask": "2**70 1e30", "sample3.length": "None",
    "sample4.label": "None", "sampler.sample.progress": "lambda", "save.folder": "text", "save2.folder": "text",
    "SentenceLatents.told.encoder": "None text",
    "scrubber.animate.sample": "None", "scrubber.frame.sample": "None", "selfcheck.exercise": "text empty minus nul",
    "selfcheck.got": "*", "selfcheck.mistakes": "{}", "selfcheck.tol": "2**70 1e30", "selfcheck.unit": "text nul",
    "selfcheck.want": "nan inf minus [] True tensor 1e30", "store.batch.indices": "[]", "to_web.encoder": "True",
    "write2.out": "text", "numbers.answer": "*", "report.file": "text",
    "scrubber.answer.message": "", "LatentDiagnosis.title": "text empty nul",
    "FrontierExplorer.title": "text empty nul", "FrontierExplorer.task": "text nul empty",
    "FrontierExplorer.models": "None", "LatentMap.save.path": "text", "SquareRootChannel.log_snr_max": "minus",
    "SquareRootChannel.log_snr_min": "minus",
    "codec.decode.ids": "[]", "from_file.length": "None", "from_file.lowercase": "None",
    "from_lines.lowercase": "None", "report.name": "text nul empty", "to_html.path": "text",
} | {
    f"{c}.{at}": kinds for c in ("GaussianChannel", "SquareRootChannel")
    for at, kinds in {
        "coefficients.t": "tensor", "even_times.u": "tensor", "log_snr.t": "tensor", "prior_kl.z0": "tensor",
        "rate.z_t": "*", "speed.t": "tensor", "step_cost.z_t": "*", "training_loss.z_t": "*",
    }.items()
} | {
    f"{f}.ax": "None" for f in "bits2 bound_rates codebook_use2 frontier2 latent_spread3 latent_trajectories2 "
    "pictures training2 unmasking2 History.plot comparison".split()
}  # fmt: skip
MAYBE = "steps step path progress costs score order device limit lengths walk".split()
TELLS = ["not a trace", "the model was not made", "is a file", "is a folder", "sentence", "rows must"]
TELLS += ["'x'", "x holds", "at x:", "x exists", "padding (id 2)", "Unknown word", "init_from"]
DEAR = "fit forecast compare frontier divergences diagnose health exact_limit best_schedule animate LatentExplorer "
DEAR += "LatentDiagnosis FrontierExplorer "
DEAR += "latent_health rate_grid2 fit2 molecules.load scrubber.animate divergences2 best_schedule2 step_costs2 "
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
    found = {
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
            told=0.5, muon=0.0, weights="float32",
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
            overwrite=False, minutes=None, steps=1, batch=4,
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
        "training_loss": (D.training_loss, dict(
            model=mdlm, x0=x, g=g, stage=2, few_step=0.2, weight="counts", told=0.5,
        )),
        "RateGrid.bound": (grid.bound, dict(path=ld.Path(0.2), token_steps=2, latent_steps=2)),
        "RateGrid.rho": (grid.rho, dict(t_x=0.5, t_z=0.5)),
        "RateGrid.from_dict": (D.RateGrid.from_dict, dict(d=grid.to_dict())),
        "RateGrid": (D.RateGrid, dict(title="a", tokens=np.full((4, 4), 3.0), latents=np.full((4, 4), 2.0))),
        "along_path": (E.along_path, dict(model=mdlm, x=x)),
        "compare": (E.compare, dict(
            models={"a": mdlm}, data=task, nfe=(1, 2), n=4, judge=None, latent_share=None, latent_steps=None,
            order="ancestral", temperature=1.0, top_p=None, latent_temperature=1.0, seed=0, health=False, exact=False,
            bounds=False, progress=False, save=None, schedule="even", real_latents=False, table=None,
        )),
        "held_out": (E.held_out, dict(model=mdlm, x=x, seed=0, draws=1)),
        "rate_grid": (ld.rate_grid, dict(model=model, x=x)),
        "best_schedule": (E.best_schedule, dict(model=mdlm, data=task, nfe=2, seed=0)),
        "diagnose": (E.diagnose, dict(model=model, data=task, n=8, seed=0, progress=False)),
        "health": (E.health, dict(model=model, data=task, n=8, seed=0)),
        "z_response": (E.z_response, dict(model=model, x0=x, seed=0)),
        "distinct_n": (E.distinct_n, dict(texts=["a b"], n=1)),
        "copied": (E.copied, dict(texts=["a b"], sources=["b c"], n=1)),
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
            model=mdlm, n=2, token_steps=1, latent_steps=None, path=mdlm.path, seed=0, start=None,
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
        "plot.drawing": (P.drawing, dict(name="two_clocks", theme="dark")),
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
        "PathExplorer": (W.PathExplorer, dict(grid=grid, task=None, lead=0.2, token_steps=2, latent_steps=2)),
        "Infill": (W.Infill, dict(
            models=mdlm, text="01__", token_steps=2, latent_steps=None, lead=None, seed=0, n=2,
        )),
        "LatentExplorer": (W.LatentExplorer, dict(model=model, x=x)),
    }  # fmt: skip

    return found | more(tmp, task, model, mdlm, disc, x, trace, td, z, grid, g)


def more(tmp, task, model, mdlm, disc, x, trace, td, z, grid, g):
    """The rest: methods of parts, own data, remasking, branches, pages, files."""
    gauss, root, masked = ld.GaussianChannel(), D.SquareRootChannel(), ld.MaskedChannel(2)
    t, s, x_t = torch.full((16,), 0.5), torch.full((16,), 0.25), x.clone()
    x_t[:, :4] = 2
    said = mdlm.predict(x_t, None, None, x_t == 2)
    lp = said.tokens.detach()
    bent, walk = ld.Curve(lambda u: (u, u**2)), ld.Schedule([(1, 1), (1, 0), (0, 0)])
    costs = E.step_costs(disc, x)
    rows = [[0, 1, 1, 0], [1, 1, 0, 0]]
    own = ld.from_arrays(rows, shape=(2, 2))
    news = K.ToyNewswire(length=16)
    news_x = news.sample(2)
    store = build_token_store.build(["Rain fell .", "Snow fell ."] * 4, vocab=64, length=6, cache=tmp, progress=False)
    latents = np.random.default_rng(0).normal(size=(6, 1, 8)).astype("f4")
    found_map = P.LatentMap.fit(latents, method="pca")
    found_map.save(os.path.join(tmp, "map"))
    mdlm.save(os.path.join(tmp, "model"))
    sentences = [f"{a} {b} fell" for a in "abcdef" for b in "ghijk"]
    frozen = N.SentenceLatents(Letters(), slots=1, dim=2).fit_statistics(sentences, progress=False)
    named = N.SentenceLatents("minilm", slots=1, dim=2)
    named.statistics = frozen.statistics
    named.save(os.path.join(tmp, "frozen"))
    module = N.FrozenTextEncoder(frozen, ["[PAD]", *"abcdef"])
    ids = torch.tensor([[i, 0] for i in range(1, 7)])
    of_text = N.FrozenTextCodes(frozen, ["[PAD]", *"abcdef"], codes=2).prepare(ids, progress=False)
    codes = N.MixtureCodes(ld.Config.preset("di-seq", length=8, vocab=2, codes=4, encoder="mixture"))
    codes.prepare(x, progress=False)
    fn = os.path.join(tmp, "lines.txt")
    with open(fn, "w") as f:
        f.write("rain fell .\n")
    scrubber, infill = W.Scrubber(trace), W.Infill(mdlm, "01__")
    explorer, play = W.LatentExplorer(model, x), W.Playground({"a": mdlm}, start=False)
    other = model.sample(2, 2, 2, seed=1)
    alive = W.Scrubber(other, model=model)
    plan = {"run": 0, "first": 0, "seed": 1, "start": [[2] * 8], "free": [8], "rows": [0], "latents": None}
    history = ld.History([{"step": 1, "stage": 2, "lr": 0.1, "loss": 1.0, "tokens": 2.0, "seconds": 1.0}])
    report = E.compare({"a": mdlm}, task, (1, 2), n=4, health=False, exact=False)
    judged = dict(model=mdlm, task=task, token_steps=1, n=16)
    about = {"step": 1, "stage": 1, "options": {}, "window": [], "history": {"rows": [], "events": []}}
    state = R.TrainState({"a": torch.zeros(2)}, about)
    state.write(os.path.join(tmp, "state"))
    found = {
        "Curve.at": (bent.at, dict(u=torch.tensor([0.5]))),
        "Curve.latent_time": (bent.latent_time, dict(t_x=torch.tensor([0.5]))),
        "Curve.token_time": (bent.token_time, dict(t_z=torch.tensor([0.5]))),
        "Curve.nfe": (bent.nfe, dict(token_steps=2, latent_steps=2)),
        "Schedule.knots": (walk.knots, dict(token_steps=None, latent_steps=None)),
        "Schedule.nfe": (walk.nfe, dict(token_steps=None, latent_steps=None)),
        "Draws": (D.Draws, dict(
            temperature=1.0, eta=1.0, top_p=None, order="ancestral", latent_temperature=1.0, remask=0.0,
        )),
        "Draws.tokens": (D.Draws().tokens, dict(log_probs=lp)),
        "Draws.codes": (D.Draws().codes, dict(log_probs=lp)),
        "StepCosts.best": (costs.best, dict(steps=2, moves="any")),
        "StepCosts.best_tokens": (costs.best_tokens, dict(levels=[0, 1], moves="any")),
        "StepCosts.bound": (costs.bound, dict(walk=costs.best(2))),
        "StepCosts.schedule": (costs.schedule, dict(walk=costs.best(2))),
        "StepCosts": (D.StepCosts, {k: getattr(costs, k) for k in ("t_x", "t_z", "gains", "tokens", "latents")}),
        "Prediction": (ld.Prediction, dict(tokens=lp, latents=None)),
        "Prediction.nll": (said.nll, dict(ids=x[:, :4].reshape(-1))),
        "Prediction.taken": (said.taken, dict(rows=torch.tensor([0]), sequences=torch.tensor([0]))),
        "RateGrid.lines": (grid.lines, dict(knots=ld.Path(0.2).knots(2, 2))),
        "RateGrid.stale": (grid.stale, dict(knot=D.Knot(1.0, 1.0), t_x=[0.5], t_z=[0.5])),
        "RateGrid.steps": (grid.steps, dict(path=ld.Path(0.2), token_steps=2, latent_steps=2)),
        "RateGrid2": (D.RateGrid, dict(
            title="a", tokens=np.full((4, 4), 3.0), latents=np.full((4, 4), 2.0), tokens_se=np.full((4, 4), 0.1),
            latents_se=None, log_snr=(6.0, -6.0), prior=0.0, entropy=None, encoder=ld.Estimate(0.0), bound_se=0.0,
            excess_se=0.0, data={},
        )),
        "SquareRootChannel": (D.SquareRootChannel, dict(log_snr_max=6.0, log_snr_min=-6.0)),
        "nelbo": (D.nelbo, dict(
            model=model, x=x, path=None, token_steps=2, latent_steps=2, draws=1, seed=0, batch=8, order="ancestral",
            latents=None, each=False,
        )),
        "sampler.sample": (D.sample, dict(
            model=mdlm, start=x_t, knots=ld.Path().knots(2), path=ld.Path(), seed=0, draws=D.Draws(), batch=4,
            progress=None, latents=None, alike=False, branch=None,
        )),
        "Trace2": (ld.Trace, dict(
            tokens=[[1, 0]], reveal_step=[[1, 2]], confidence=[[1, 1]], knots=[(1, 0), (0.5, 0), (0, 0)],
            labels=["a", "b"], mask_id=2, events=[[0, 1, 0, 1]], calls=2,
            parent={"step": 1, "edits": [[0, 0, 1]], "seed": 0, "model": ""},
        )),
        "Trace.branch": (trace.branch, dict(later=other, step=1, edits=[(0, 0, 1)])),
        "best_schedule2": (E.best_schedule, dict(
            model=mdlm, data=task, nfe=2, costs=None, moves="any", score=None, n=8, seed=0,
        )),
        "diagnose2": (E.diagnose, dict(model=model, data=task, n=8, seed=0, mask_rates=(0.5,))),
        "divergences2": (E.divergences, dict(**judged, samples=None, drawn=32, bound=1, batch=8)),
        "generation_table2": (E.generation_table, dict(report=E.generation_report(["a b"]), names=("a", "b"))),
        "latent_health": (E.latent_health, dict(
            model=model, data=task, token_steps=1, n=8, judge=None, seed=0, decode=None, progress=False,
        )),
        "rate_grid2": (ld.rate_grid, dict(model=model, x=x, points=4, draws=1, seed=0, progress=False)),
        "step_costs2": (E.step_costs, dict(model=disc, x=x, points=4, levels=4, seed=0, batch=8)),
        "write2": (E.write, dict(report=report, out=os.path.join(tmp, "written"), overwrite=True)),
        "as_json": (E.as_json, dict(value={"a": 1})),
        "ContinuousEncoder.forward": (model.encoder.forward, dict(x=x)),
        "ContinuousEncoder.features": (model.encoder.features, dict(x=x)),
        "DiscreteEncoder.forward": (disc.encoder.forward, dict(x=x)),
        "DiscreteEncoder.nearest": (disc.encoder.nearest, dict(features=torch.randn(2, 1, disc.config.dim))),
        "DiscreteEncoder.perplexity": (disc.encoder.perplexity, dict(x=x)),
        "DiscreteEncoder.quantise": (disc.encoder.quantise, dict(x=x, g=g)),
        "Denoiser.forward": (mdlm.denoiser.forward, dict(
            x_t=x_t, z_t=None, t_z=None, where=x_t == 2, need_latents=True, lengths=None,
        )),
        "predict": (model.predict, dict(
            x_t=x_t, z_t=z, t_z=t, where=x_t == 2, need_latents=True, lengths=None,
        )),
        "predict2": (disc.predict, dict(x_t=x_t, z_t=disc.encode(x), t_z=t, where=x_t == 2)),
        "ExactDenoiser.forward": (ld.LatentDiffusion.exact(task).denoiser.forward, dict(
            x_t=x_t, z_t=None, t_z=None, where=x_t == 2, need_latents=True, lengths=None,
        )),
        "ShiftEncoder.forward": (N.ShiftEncoder(task).forward, dict(x=x, g=g)),
        "FrozenTextCodes": (N.FrozenTextCodes, dict(encoder=frozen, labels=["[PAD]", "a"], codes=2)),
        "FrozenTextCodes.forward": (of_text.forward, dict(x=ids)),
        "FrozenTextCodes.prepare": (of_text.prepare, dict(rows=ids, progress=False)),
        "FrozenTextEncoder": (N.FrozenTextEncoder, dict(encoder=frozen, labels=["[PAD]", "a"])),
        "FrozenTextEncoder.forward": (module.forward, dict(x=ids)),
        "FrozenTextEncoder.prepare": (module.prepare, dict(rows=ids, progress=False)),
        "FrozenTextEncoder.texts": (module.texts, dict(x=ids)),
        "MixtureCodes": (N.MixtureCodes, dict(config=codes.config)),
        "MixtureCodes.forward": (codes.forward, dict(x=x)),
        "MixtureCodes.prepare": (codes.prepare, dict(rows=x, progress=False)),
        "SentenceLatents.encode": (frozen.encode, dict(sentences=["a"], progress=False, cache=False)),
        "SentenceLatents.fit_statistics": (frozen.fit_statistics, dict(
            sentences=sentences, limit=32, seed=0, progress=False,
        )),
        "SentenceLatents.load": (N.SentenceLatents.load, dict(
            folder=os.path.join(tmp, "frozen"), device=None, encoder=None,
        )),
        "SentenceLatents.save": (named.save, dict(folder=os.path.join(tmp, "frozen"), overwrite=True)),
        "SentenceLatents.told": (named.told, dict(encoder=None)),
        "LatentMap.load": (P.LatentMap.load, dict(path=os.path.join(tmp, "map"))),
        "LatentMap.save": (found_map.save, dict(path=os.path.join(tmp, "map"))),
        "LatentMap.place": (found_map.place, dict(latents=latents)),
        "bits2": (P.bits, dict(tokens=x, ax=Figure().add_subplot())),
        "bound_rates": (P.bound_rates, dict(table={"t": [0, 1], "tokens": [2, 4]}, ax=Figure().add_subplot())),
        "codebook_use2": (P.codebook_use, dict(codes=[[1], [2]], size=4, ax=Figure().add_subplot())),
        "comparison": (P.comparison, dict(report=report, ax=list(Figure().subplots(1, 2)))),
        "frontier2": (P.frontier, dict(rows=report["rows"], ax=Figure().add_subplot())),
        "ink_on": (P.ink_on, dict(colour="white")),
        "latent_spread3": (P.latent_spread, dict(latents=latents, ax=Figure().add_subplot())),
        "latent_trajectories2": (P.latent_trajectories, dict(
            trace=trace, rows=2, cloud=latents, hue=np.linspace(0, 0.9, 6), ax=Figure().add_subplot(),
        )),
        "pictures": (P.pictures, dict(
            tokens=np.array(rows), shape=(2, 2), first=0, given=[[True, False, False, False]] * 2, columns=2, levels=2,
            ax=Figure().add_subplot(), title="",
        )),
        "png": (P.png, dict(figure=Figure())),
        "reveal_range": (P.reveal_range, dict(trace=trace)),
        "training2": (P.training, dict(history=history, ax=Figure().add_subplot())),
        "unmasking2": (P.unmasking, dict(trace=trace, rows=2, ax=Figure().add_subplot())),
        "History.plot": (history.plot, dict(ax=Figure().add_subplot())),
        "from_arrays": (ld.from_arrays, dict(
            ids=rows, labels=["a", "b", "c"], pad_id=2, shape=(2, 2), classes=[0, 1], names=["x", "y"],
        )),
        "Corpus.sample": (K.Corpus(task, 3).sample, dict(n=2, seed=0)),
        "Corpus.split": (own.split, dict(fraction=0.5, seed=0)),
        "ArrayData.sample": (own.sample, dict(n=2, seed=0)),
        "ArrayData.decode": (own.decode, dict(ids=[0, 1])),
        "task.log_joint": (task.log_joint, dict(x=x)),
        "mixture.log_joint": (K.MixtureOfProducts(length=4).log_joint, dict(x=[[0, 1, 0, 1]])),
        "parity.coherent": (K.ParityBlocks(blocks=2, size=2).coherent, dict(x=[[0, 1, 0, 1]])),
        "twins.agreement": (K.TwinChains(length=4).agreement, dict(x=[[0, 1, 0, 1]])),
        "news.coherent": (news.coherent, dict(x=news_x)),
        "news.decode": (news.decode, dict(ids=news_x[0])),
        "news.encode": (news.encode, dict(text="the tiber")),
        "news.explain": (news.explain, dict(x=news_x)),
        "news.log_joint": (news.log_joint, dict(x=news_x)),
        "news.sample": (news.sample, dict(n=2, seed=0)),
        "codec.around": (td.codec.around, dict(text="a [MASK] b", gap="[MASK]")),
        "codec.encode2": (td.codec.encode, dict(text="rain [MASK]", gap="[MASK]")),
        "codec.pad": (td.codec.pad, dict(ids=[[2, 3]])),
        "codec.same": (td.codec.same, dict(text="rain")),
        "TextCodec2": (T.TextCodec, dict(tokenizer=td.codec.tokenizer, length=8, spaced=True, foreign=False)),
        "TextData": (T.TextData, dict(codec=td.codec, rows=td.rows, dropped=0, blank=0)),
        "store.batch": (store.batch, dict(indices=[0, 1])),
        "store.epoch": (drained(store.epoch), dict(batch=2, seed=0, number=0)),
        "store.sample": (store.sample, dict(n=2, seed=0)),
        "store.split": (store.split, dict(fraction=0.5, seed=0)),
        "from_file2": (T.from_file, dict(path=fn, tokenizer="auto", allow_losses=True, length=8, vocab=64)),
        "from_lines2": (T.from_lines, dict(lines=["a b"], tokenizer="auto", allow_losses=True)),
        "iter_lines": (drained(T.iter_lines), dict(path=fn, errors="strict", strip=True)),
        "read_lines2": (T.read_lines, dict(path=fn, errors="strict", strip=True)),
        "lr_at": (ld.TrainConfig(steps=10).lr_at, dict(step=3, again=0)),
        "TrainState": (R.TrainState, dict(tensors={"a": torch.zeros(2)}, meta={"step": 1})),
        "TrainState.write": (state.write, dict(folder=os.path.join(tmp, "state"))),
        "TrainState.read": (R.TrainState.read, dict(folder=os.path.join(tmp, "state"))),
        "infill.wait": (infill.wait, dict(seconds=0.1)),
        "LatentExplorer2": (W.LatentExplorer, dict(
            model=model, x=x, hue=list(range(16)), map=None, walk_steps=3, title=None, weights=None,
        )),
        "LatentDiagnosis": (W.LatentDiagnosis, dict(
            model=model, data=task, found=None, n=8, examples=2, seed=0, title=None,
        )),
        "FrontierExplorer": (W.FrontierExplorer, dict(
            models=["binsaw-mdlm"], found=None, task="binsaw", weights="int8", samples=2, title=None,
        )),
        "scrubber.answer": (alive.answer, dict(message={"go_on": plan})),
        "explorer.walk": (explorer.walk, dict(i=0, j=1)),
        "explorer.answer": (explorer.answer, dict(message={"walk": [0, 1]})),
        "to_html": (scrubber.to_html, dict(path=os.path.join(tmp, "s.html"))),
        "path.cost": (W.PathExplorer(grid).cost, dict(steps=True)),
        "Playground": (W.Playground, dict(
            models={"a": mdlm}, weights="int8", encoder=False, samples=2, seed=0, start=True, title=None,
        )),
        "playground.answer": (play.answer, dict(message={"weights": next(iter(play.weights()))})),
        "scrubber.animate": (scrubber.animate, dict(path=os.path.join(tmp, "s.gif"), fps=4, sample=0)),
        "scrubber.frame": (scrubber.frame, dict(step=1, sample=0)),
        "selfcheck": (ld.selfcheck, dict(exercise="1", got=1.0, want=2.0, tol=0.1, mistakes=None, unit="")),
        "checking": (ld.course.checking, dict(exercise="1", wanted="a number")),
        "numbers": (ld.course.numbers, dict(answer=1.0)),
        "report": (ld.course.report, dict(file=None, name="01")),
        "shrunk": (ld.course.shrunk, dict(full=10, fast=2)),
        "Estimate": (ld.Estimate, dict(value=1.0, stderr=0.1)),
        "LatentDiffusion": (ld.LatentDiffusion, dict(
            config=mdlm.config, denoiser=mdlm.denoiser, encoder=None, labels=["0", "1"], data=None, channel=None,
        )),
        "Model.nelbo": (model.nelbo, dict(x=x, path=None)),
        "check_tokens": (mdlm.check_tokens, dict(name="x", x=x, mask_ok=False)),
        "encode2": (model.encode, dict(x=x, g=g)),
        "init_from": (mdlm.init_from, dict(source=os.path.join(tmp, "model"))),
        "Model.load": (ld.LatentDiffusion.load, dict(folder=os.path.join(tmp, "model"))),
        "save2": (mdlm.save, dict(folder=os.path.join(tmp, "m8"), overwrite=True, weights="int8")),
        "to_web": (model.to_web, dict(weights="int8", encoder=None)),
        "sample2": (mdlm.sample, dict(n=1, token_steps=2, remask=0.0)),
        "sample3": (ld.LatentDiffusion.preset("mdlm", td, width=16, blocks=1, heads=2).sample, dict(
            n=1, token_steps=1, length=4,
        )),
        "sample4": (ld.LatentDiffusion.preset("mdlm", ld.from_arrays(rows, classes=[0, 1], names=["x", "y"]),
                                              width=16, blocks=1, heads=2).sample, dict(n=1, token_steps=1, label="x")),
        "generate_text2": (ld.LatentDiffusion.preset("mdlm", td, width=16, blocks=1, heads=2).generate_text, dict(
            n=1, token_steps=1, prompt="rain ___", gap="___", length=4,
        )),
        "infill2": (ld.LatentDiffusion.preset("mdlm", td, width=16, blocks=1, heads=2).infill, dict(
            x="rain ___", n=1, token_steps=1, gap="___",
        )),
        "fit2": (ld.fit, dict(
            model=mdlm, data=task, config=None, steps=1, batch=4, out=None, resume=False, progress=False,
            held_out=None, overwrite=False,
        )),
        "molecules": (P.molecules, dict(strings=["CCO", "C1"], columns=2, ax=Figure().add_subplot(), title="a")),
        "molecules.load": (molecules.load, dict(name="qm9", length=8, limit=4)),
        "quantise": (quantised.quantise, dict(tensors={"a": torch.zeros(2)}, kind="int8")),
        "restore": (quantised.restore, dict(kept={"a": torch.zeros(2)})),
        "quantised.cost": (quantised.cost, dict(model=mdlm, x=x, kind="int8")),
        "unpack": (payload.unpack, dict(block=payload.pack({"title": ""}, {}))),
        "fetch": (lambda **k: shipped.place(**k), dict(name="binsaw-mdlm")),
    }  # fmt: skip
    for name, ch in (("GaussianChannel", gauss), ("SquareRootChannel", root)):
        found |= {
            f"{name}.coefficients": (ch.coefficients, dict(t=t)),
            f"{name}.log_snr": (ch.log_snr, dict(t=t)),
            f"{name}.speed": (ch.speed, dict(t=t)),
            f"{name}.even_times": (ch.even_times, dict(u=t)),
            f"{name}.corrupt": (ch.corrupt, dict(z0=z, t=t, g=g)),
            f"{name}.posterior": (ch.posterior, dict(z_t=z, z0=z, t=t, s=s)),
            f"{name}.prior": (ch.prior, dict(shape=(2, 1, 8), g=g)),
            f"{name}.prior_kl": (ch.prior_kl, dict(z0=z)),
            f"{name}.rate": (ch.rate, dict(z0=z, z_t=z, z_hat=z, t=t)),
            f"{name}.reverse_step": (ch.reverse_step, dict(z_t=z, z_hat=z, t=t, s=s, g=g, eta=1.0)),
            f"{name}.step_cost": (ch.step_cost, dict(z0=z, z_t=z, z_hat=z, t=t, s=s)),
            f"{name}.training_loss": (ch.training_loss, dict(z0=z, z_t=z, z_hat=z, t=t)),
        }
    found |= {
        "MaskedChannel.corrupt": (masked.corrupt, dict(x0=x, t=t, g=g, keep=None)),
        "MaskedChannel.corrupt_by_count": (masked.corrupt_by_count, dict(x0=x, u=t, g=g, keep=None)),
        "MaskedChannel.prior": (masked.prior, dict(shape=(1, 3), g=g)),
        "MaskedChannel.rate": (masked.rate, dict(x0=x, x_t=x_t, said=lp, t=t)),
        "MaskedChannel.reverse_step": (masked.reverse_step, dict(x_t=x_t, log_probs=lp, where=x_t == 2, g=g)),
        "MaskedChannel.step_cost": (masked.step_cost, dict(x0=x, x_t=x_t, said=lp, t=t, s=s)),
        "MaskedChannel.to_reveal": (masked.to_reveal, dict(x_t=x_t, t=0.5, s=0.25, g=g)),
    }
    return found


def drained(function):
    """A generator function as one that returns what it yields."""
    return functools.wraps(getattr(function, "__func__", function))(lambda **given: list(function(**given)))


class Letters:
    """A text encoder of no weights."""

    fingerprint, width = "00" * 32, 4

    def __call__(self, texts):
        states = torch.tensor([[[float(ord(c) % p) for p in (2, 3, 5, 7)] for c in t[:3].ljust(3)] for t in texts])
        return states, torch.full((len(texts),), 3)



def allowed(name, argument, kind, given):
    """Is a hostile value in the domain of an argument that was `given` this?"""
    fine = FINE.get(f"{name}.{argument}", "").split()
    if kind in fine or "*" in fine:  # it is for information, or not used
        return True
    if kind == "True":
        return isinstance(given, bool)
    return kind == "None" and (given is None or any(word in argument for word in MAYBE) or name.startswith("Trace."))
