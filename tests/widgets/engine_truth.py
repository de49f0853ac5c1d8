"""What the library says of its networks and its sampler, for the engine's tests under node."""

from __future__ import annotations

import numpy as np
import torch

from lddm_lite import LatentDiffusion, Path, Schedule, load, tasks
from lddm_lite._common.quantised import quantise, restore
from lddm_lite._common.randomness import Streams
from lddm_lite.diffusion.given_latents import decode
from lddm_lite.evaluation.sampler_law import sequence_law
from lddm_lite.widgets import payload

SHIPPED = [
    "binsaw-mdlm", "binsaw-co-seq", "binsaw-co-joint", "binsaw-di-seq", "binsaw-di-joint", "newswire-mdlm",
    "newswire-di-seq", "newswire-co",
]  # fmt: skip
SYSTEMS = ["mdlm", "co-joint", "co-seq", "di-joint", "di-seq"]


def scrambled(model: LatentDiffusion, size: float = 0.3) -> LatentDiffusion:
    """The model with weights of noise, heads and gates among them, so that all of it is heard."""
    g = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.denoiser.parameters():
            p.add_(size * torch.randn(p.shape, generator=g))
    return model.eval()


class Padded:
    """Data with padding, of which a model can be made without a text."""

    length, vocab, labels, pad_id = 9, 7, [*"abcdefg"], 2

    def spec(self):
        return {"lengths": [0.0, 0, 0, 0.25, 0.25, 0, 0, 0, 0.25, 0.25]}

    def sample(self, n, seed=0):
        return torch.zeros(n, self.length, dtype=torch.long)


def kinds() -> dict[str, LatentDiffusion]:
    """A model of every kind of network: plain and text, with padding and without, several slots,
    widths that fill no vector, both schedules of Gaussian noise."""
    bits, words = tasks.Binsaw(length=11), Padded()
    text = dict(network="text", width=24, heads=3)
    made = {f"plain {s}": LatentDiffusion.preset(s, bits, width=16, dim=3, codes=9) for s in SYSTEMS}
    made |= {f"text {s}": LatentDiffusion.preset(s, words, dim=5, slots=2, codes=10, **text) for s in SYSTEMS}
    made["odd width"] = LatentDiffusion.preset("co-seq", bits, width=20, heads=4, dim=3, latent_schedule="sqrt")
    made["one head"] = LatentDiffusion.preset("di-seq", bits, width=12, heads=1, slots=3, codes=4, blocks=1)
    made["mixture"] = LatentDiffusion.preset("di-seq", bits, encoder="mixture", slots=1, codes=6, width=16)
    made["mixture"].encoder.prepare(bits.sample(500, seed=0), progress=False)
    return {name: scrambled(model) for name, model in made.items()}


def written(model: LatentDiffusion, folder, name: str, weights: str) -> str:
    """The file of the model for a page; and the model gets the weights that the page has."""
    file = folder / f"{name.replace(' ', '-')}-{weights}.bin"
    sent = model.to_web(weights)
    file.write_bytes(payload.pack(sent.head, sent.arrays, 1))
    model.load_state_dict(restore(quantise(model.state_dict(), weights)))
    return str(file)


def flat(t) -> list | None:
    return None if t is None else t.flatten().tolist()


@torch.no_grad()
def calls(model: LatentDiffusion) -> list[dict]:
    """Network calls with some positions asked, none, and latents alone; and what the encoder says."""
    c, g, out = model.config, torch.Generator().manual_seed(0), []
    for k, time in enumerate((0.0, 0.3, 1.0)):
        x, z, t = torch.randint(c.vocab, (1, c.length), generator=g), None, None
        if c.pad_id is not None:
            x[x == c.pad_id] = (c.pad_id + 1) % c.vocab
            x[:, c.length - k :] = c.pad_id
        masked = (torch.rand(x.shape, generator=g) < 0.4 + 0.3 * k) & model.valid(x)
        x_t, where = x.masked_fill(masked, c.vocab), masked & (torch.rand(x.shape, generator=g) < 0.7)
        if c.latent == "continuous":
            z, t = torch.randn(1, c.slots, c.dim, generator=g), torch.tensor([time])
        elif c.latent == "discrete":
            z, t = torch.randint(c.codes + 1, (1, c.slots), generator=g), torch.tensor([time])
        said, length = model.predict(x_t, z, t, where), int(model.valid(x).sum())
        out.append({"x": flat(x_t), "z": flat(z), "t": time, "where": flat(where[0].nonzero()), "length": length})
        out[-1] |= {"tokens": flat(said.tokens), "latents": flat(said.latents), "clean": flat(x)}
        if z is not None:
            lengths = None if c.pad_id is None else torch.tensor([length])
            out[-1]["alone"] = flat(model.predict(None, z, t, None, True, lengths).latents)
            out[-1]["code"] = flat(model.encode(x)) if c.encoder == "learned" else None
    return out


def engine_network(folder) -> dict:
    every = [(name, model, "float32") for name, model in kinds().items()]
    every += [(name, load(name), "int8") for name in SHIPPED]
    every += [("plain co-seq", kinds()["plain co-seq"], "float16"), ("binsaw-co-seq", load("binsaw-co-seq"), "float32")]
    return {"models": [{"name": n, "file": written(m, folder, n, w), "calls": calls(m)} for n, m, w in every]}


def engine_random(folder) -> dict:
    rows = []
    for seed, row, purpose, step in ((0, 0, "sample", 0), (12345, 3, "sample", 2), (2**40 + 7, 511, "lengths", 100)):
        s = Streams(seed, [row], purpose).at(step)
        got = s.rand((1, 3))[0].tolist(), s.rand((1, 3), torch.float64)[0].tolist(), s.randn((1, 500))[0].tolist()
        rows.append({"stream": [seed, row, purpose], "step": step, "numbers": got})
    p = np.concatenate([10.0 ** -np.arange(1, 16), 1 - 10.0 ** -np.arange(1, 12), np.linspace(0.01, 0.99, 99)])
    return {"rows": rows, "quantiles": [p.tolist(), torch.special.ndtri(torch.from_numpy(p)).tolist()]}


def engine_sampler(folder) -> dict:
    return {"runs": runs(folder), "laws": laws(folder), "decoded": decoded(folder)}


def _rows(trace):
    return None if trace.latents is None else trace.latents.reshape(len(trace.knots), len(trace), -1).tolist()


NAMES = {"top_p": "topP", "latent_temperature": "latentTemperature"}


def runs(folder) -> list[dict]:
    """Runs of the library: all systems, orders and options, lengths, schedules, gaps."""
    models = kinds()
    counts = Schedule.of_counts([0, 2, 7], 11)
    plans = [(name, dict(token_steps=4), {}) for name in models]
    plans += [("plain mdlm", dict(token_steps=5), dict(order="even", temperature=0.0))]
    plans += [("plain mdlm", dict(path=counts), dict(order="even"))]
    plans += [("text mdlm", dict(token_steps=5), dict(order="confidence", top_p=0.8))]
    plans += [("plain co-seq", dict(token_steps=2, latent_steps=3, path=Path(0.2)), dict(eta=0.0))]
    plans += [("text co-joint", dict(token_steps=3), dict(eta=0.5, order="even", temperature=0.7))]
    plans += [("text di-seq", dict(token_steps=2, latent_steps=2), dict(order="even", latent_temperature=0.5))]
    out = []
    for k, (name, steps, draws) in enumerate(plans):
        model = models[name]
        trace = model.sample(5, seed=k, **steps, **draws)
        start = None
        if k % 3 == 0:  # gaps
            x = torch.as_tensor(trace.tokens).long()
            x[torch.rand(x.shape, generator=torch.Generator().manual_seed(k)) < 0.5] = model.token_channel.mask_id
            x = torch.where(model.valid(torch.as_tensor(trace.tokens)), x, torch.as_tensor(trace.tokens).long())
            start, trace = x.tolist(), model.infill(x, seed=k, **steps, **draws)
        out.append({"file": written(model, folder, name, "float32"), "name": name, "seed": k, "start": start,
                    "draws": {NAMES.get(n, n): v for n, v in draws.items()}, "knots": trace.knots,
                    "tokens": trace.tokens.tolist(), "when": trace.reveal_step.tolist(),
                    "prob": trace.confidence.tolist(), "alts": trace.alternatives.reshape(5, -1).tolist(),
                    "altp": trace.alternative_probs.reshape(5, -1).tolist(),
                    "latents": _rows(trace)})  # fmt: skip
    return out


def laws(folder) -> list[dict]:
    """The law of the sampler over the 8 sequences of 3 bits, for all systems: exact where latents
    are codes or absent; of Gaussian ones by 60,000 runs of the library."""
    out = []
    for system in SYSTEMS:
        model = scrambled(LatentDiffusion.preset(system, tasks.Binsaw(length=3), width=16, dim=2, codes=3), 0.5)
        knots = model.knots(model.path, 2, {"continuous": 3, "discrete": 2}.get(model.config.latent))
        law, drawn = sequence_law(model, knots), 0
        if law is None:
            drawn = 20_000
            sets = model.sample(drawn, path=Schedule(knots), seed=1, batch=4096).tokens
            law = torch.bincount(torch.as_tensor(sets) @ torch.tensor([4, 2, 1]).int(), minlength=8) / drawn
        out.append({"file": written(model, folder, f"law {system}", "float32"), "law": law.tolist(), "drawn": drawn,
                    "name": system, "knots": [[k.t_x, k.t_z] for k in knots]})  # fmt: skip
    return out


def decoded(folder) -> dict:
    model = kinds()["plain co-seq"]
    z = torch.randn(4, 1, 3, generator=torch.Generator().manual_seed(0))
    return {"file": written(model, folder, "plain co-seq", "float32"), "z": z.flatten(1).tolist(),
            "tokens": decode(model, z, token_steps=3).tolist()}  # fmt: skip


def engine_binsaw(folder) -> list[dict]:
    out = []
    for task in (tasks.Binsaw(), tasks.Binsaw(length=10, saws=3, eps=0.2, mode_bins=5), tasks.Binsaw(length=7, saws=1)):
        x = torch.cat([task.sample(20, seed=1), torch.randint(2, (20, task.length))])
        told = -task.log_prob(x)
        masked = x.clone()
        masked[:, ::2] = task.mask_id
        out.append({"data": task.spec(), "x": x.tolist(), "nats": float(told.mean()), "tv": task.mode_tv(x),
                    "se": float(told.std() / 40**0.5), "shifts": (task.find_shift(x[:20]) / task.period % 1).tolist(),
                    "masked": masked.tolist(), "marginals": task.log_prob(masked).tolist()})  # fmt: skip
    return out


def playground_plan(folder) -> dict:
    """Knots of steps; runs of two-number latents, of codes and of neither, as a scrubber shows them."""
    walks = []
    for lead, x, z in ((0.5, 3, 2), (0.0, 4, 4), (0.2, 3, 5)):
        plan = {"lead": lead, "token_steps": x, "latent_steps": z}
        walks.append(
            {"plan": plan, "config": {"latent": "discrete"}, "knots": [[k.t_x, k.t_z] for k in Path(lead).knots(x, z)]}
        )
        walks.append(
            {"plan": plan, "config": {"latent": "none"}, "knots": [[k.t_x, k.t_z] for k in Path(lead).knots(x)]}
        )
    made = []
    for system in ("mdlm", "co-seq", "di-joint"):
        model = scrambled(LatentDiffusion.preset(system, tasks.Binsaw(length=12), width=16, dim=2, codes=5))
        file = written(model, folder, f"run {system}", "float32")
        t = model.sample(4, token_steps=3, seed=3)
        run = {
            "tokens": t.tokens.tolist(),
            "when": t.reveal_step.tolist(),
            "prob": t.confidence.tolist(),
            "knots": t.knots,
        }
        made.append(
            {
                "file": file,
                "name": system,
                "run": run | {"latents": None if t.latents is None else t.latents.flatten().tolist()},
            }
        )
    return {"walks": walks, "runs": made}
