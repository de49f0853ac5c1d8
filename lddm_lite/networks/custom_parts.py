"""Custom denoisers, encoders and channels: what each must answer, and the check that it does.

`LatentDiffusion.preset(system, data, denoiser=..., encoder=..., channel=...)` takes a part in place
of the library's: a module or, so that the seed decides its weights and a saved model can be made
again, a class or function that makes one of a `Config`. B sequences of L tokens out of V (mask V),
m slots of d numbers or of codes out of K; t_z is [B].

| part | what is asked of it |
|---|---|
| `denoiser` | `forward(x_t, z_t, t_z, where, need_latents, lengths)` -> `Prediction`. x_t [B, L] or None: all masked, and no token asked for. z_t [B, m, d] (for discrete latents vectors too: rows of the encoder's `codebook`, or the denoiser's own `mask_vector` [d]) or None without latents. `tokens`: log-probabilities [N, V], a row for each True in `where` [B, L], row by row; None if `where` is. `latents`, where need_latents: the guess of z_0 [B, m, d], or log-probabilities [B, m, K]. |
| `encoder` | `forward(x)`, [B, L] -> z_0: [B, m, d] of about unit scale or, for discrete latents, codes [B, m] int64, and then a tensor `codebook` [K, d]. Stage 1 trains what weights it has, and is left out if there are none; `settle(batches)`, if there, is called when it is frozen. A discrete one with weights also has `quantise(x, g)` (see `DiscreteEncoder`). With `stochastic = True` it is called with a generator too: `forward(x, g)`. |
| `channel` | noise of the latents: a `GaussianChannel` or, for discrete ones, a `MaskedChannel` over K codes, or a subclass. Another schedule overrides `log_snr(t)` and `speed(t)`. The library's denoiser expects a^2 + sigma^2 = 1. |

A model with such parts trains, samples, resumes and is saved like any other. A file holds weights
and no code, so that to load it the same parts must be given again; what their weights do not show
(a frequency, a schedule) is not checked.
"""  # noqa: E501 - a table

from __future__ import annotations

from dataclasses import fields

import torch

from .._common import protocols
from .._common.arguments import shown
from .._common.checkpoint import CheckpointError
from .._common.modes import evaluating
from .._common.schemas import has_attribute
from ..config import Config
from ..diffusion.channels import GaussianChannel, MaskedChannel
from ..diffusion.prediction import Prediction
from . import model_files
from .build import NAMES, usual_channel
from .codebook import DiscreteEncoder
from .denoiser import Denoiser
from .encoders import ContinuousEncoder

__all__ = ["check", "check_labels", "fill", "learned", "own", "wanted"]


def check_labels(labels, config: Config) -> list:
    """`labels` as a list. ValueError unless there is one for each token.

    >>> check_labels(["0", "1"], Config.preset("mdlm", length=4, vocab=2))
    ['0', '1']
    """
    if isinstance(labels, str | bytes | dict | set) or not hasattr(labels, "__iter__"):
        raise ValueError(f"labels must be a list of texts, one for each token, got {shown(labels)}")
    labels = list(labels)
    if len(labels) != config.vocab or not all(isinstance(v, str) for v in labels):
        raise ValueError(f"labels must be {config.vocab} texts, one for each token, got {shown(labels)}")
    return labels


def learned(encoder: protocols.Encoder | None) -> bool:
    """Has the encoder weights that stage 1 trains?

    >>> learned(None)
    False
    """
    if encoder is None or protocols.is_frozen(encoder):
        return False
    return any(p.requires_grad for p in encoder.parameters())


def own(model: protocols.Model) -> dict[str, str]:
    """The parts of a model that are not the library's, by their class: what `save` notes and `load`
    asks for.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> own(LatentDiffusion.preset("co-seq", tasks.Binsaw(length=8)))
    {}
    """
    found = {}
    if type(model.denoiser) is not Denoiser:
        found["denoiser"] = type(model.denoiser).__name__
    usual = {"none": type(None), "continuous": ContinuousEncoder, "discrete": DiscreteEncoder}[model.config.latent]
    if type(model.encoder) is not usual and model.config.encoder == "learned":
        found["encoder"] = type(model.encoder).__name__
    expected = usual_channel(model.config)
    if type(model.latent_channel) is not type(expected) or model.latent_channel != expected:
        found["channel"] = type(model.latent_channel).__name__
    return found


def wanted(folder, meta: dict, given: dict) -> Config:
    """The configuration in a checkpoint's `meta`. CheckpointError when it is none, and when the
    parts `given` are not the ones that the model was saved with."""
    if not isinstance(meta.get("config"), dict) or not {"labels", "data"} <= set(meta):
        raise CheckpointError(f"{folder} holds no model but {shown(meta.get('kind', 'something else'))}")
    unknown = set(meta["config"]) - {f.name for f in fields(Config)}
    if unknown:
        raise CheckpointError(f"{folder}/config.json has unknown options {shown(sorted(unknown))}")
    try:
        meta |= model_files.META("", meta)
    except ValueError as e:
        raise CheckpointError(f"{folder}/config.json does not describe a model: {e}") from None
    parts = meta.get("parts", {})
    missing = [f"{name}={kind}" for name, kind in parts.items() if name not in given]
    if missing:
        raise CheckpointError(
            f"{folder} was made with parts of its own, and a file holds no code: give the same ones again, "
            f"load(folder, {', '.join(missing)}); each is the part itself, or what makes it of a Config"
        )
    needless = sorted(set(given) - set(parts))
    if needless:
        raise CheckpointError(f"{folder} was made without a {needless[0]} of its own; load it without {needless[0]}=")
    try:
        config = Config(**meta["config"])
        model_files.agree(config, meta["labels"], meta["data"])
    except (TypeError, ValueError) as e:
        raise CheckpointError(f"{folder}/config.json does not describe a model: {e}") from None
    if odd := set(parts) - set(NAMES):
        raise CheckpointError(f"{folder}/config.json has unknown parts {shown(sorted(odd))}")
    return config


def fill(model: protocols.Model, tensors: dict[str, torch.Tensor], meta: dict, folder) -> None:
    """Give the model the weights of a checkpoint. CheckpointError when they, or the classes of its
    parts, do not fit."""
    for name, kind in own(model).items():
        if kind != meta.get("parts", {}).get(name):
            raise CheckpointError(f"{folder} was made with {name}={meta.get('parts', {}).get(name)}, got {kind}")
    try:
        model.load_state_dict(tensors)
    except RuntimeError as e:
        raise CheckpointError(f"{folder}: the weights do not fit its config: {e}") from None


@torch.no_grad()
def check(model: protocols.Model, given) -> None:
    """Validate custom parts: call those named in `given` once on two sequences, and raise a
    ValueError that names the part and what it did wrong. Random generators and train mode stay as
    they are."""
    with evaluating(model), torch.random.fork_rng(devices=[]):
        if "channel" in given:
            _channel(model)
        if "encoder" in given:
            _encoder(model)
        if "denoiser" in given:
            _denoiser(model, model.config)


def _channel(model: protocols.Model) -> None:
    kind = {"none": type(None), "continuous": GaussianChannel, "discrete": MaskedChannel}[model.config.latent]
    channel = model.latent_channel
    if not isinstance(channel, kind):
        wish = "None" if kind is type(None) else f"a {kind.__name__}"
        found = type(channel).__name__
        raise ValueError(f"channel must be {wish} for {model.config.latent} latents, got {found}")
    if isinstance(channel, MaskedChannel) and channel.vocab != model.config.codes:
        raise ValueError(f"channel must be over codes={model.config.codes} codes, got vocab={channel.vocab}")
    if isinstance(channel, GaussianChannel):
        t = torch.linspace(0, 1, 65, dtype=torch.float64)
        log_snr = torch.as_tensor(channel.log_snr(t)).double()
        ends = channel.log_snr_max, channel.log_snr_min
        if not torch.allclose(log_snr[[0, -1]], torch.tensor(ends).double(), atol=1e-3):
            got = tuple(log_snr[[0, -1]].tolist())
            raise ValueError(f"channel: log_snr(t) must go from log_snr_max to log_snr_min, {ends}; it goes {got}")
        fall = -log_snr.diff()
        if not bool((fall > 0).all()):
            raise ValueError("channel: log_snr(t) must fall from t=0 to t=1 everywhere, and be finite")
        middle, step = (t[1:] + t[:-1]) / 2, 5e-4
        slope = torch.as_tensor(channel.log_snr(middle - step) - channel.log_snr(middle + step)).double() / (2 * step)
        if not torch.allclose(torch.as_tensor(channel.speed(middle)).double().expand(64), slope, rtol=0.01):
            raise ValueError("channel: speed(t) must be -d log_snr/dt; it is not what log_snr(t) falls by")


def _encoder(model: protocols.Model) -> None:
    c = model.config
    if c.latent == "none":
        raise ValueError(f"encoder must be left out for {model.name!r}, which has no latents")
    z0 = _called("encoder", lambda: model.encode(_sequences(model)))
    _shape("encoder: z_0", z0, model.latent_shape(2), floating=c.latent == "continuous")
    if c.latent == "discrete":
        book = getattr(model.encoder, "codebook", None)
        _shape("encoder: its attribute `codebook`", book, (c.codes, c.dim))
        if int(z0.min()) < 0 or int(z0.max()) >= c.codes:
            raise ValueError(f"encoder: codes must lie in 0..{c.codes - 1}, got {int(z0.min())}..{int(z0.max())}")
        if learned(model.encoder) and not hasattr(model.encoder, "quantise"):
            raise ValueError("encoder: to be trained, one of discrete latents needs quantise(x, g)")


def _denoiser(model: protocols.Model, c: Config) -> None:
    x, z = _sequences(model), None
    where = torch.arange(c.length).expand(2, -1) % 2 == 0
    where[1, 0] = False  # not the same in both rows
    lengths = torch.full((2,), c.length)
    if c.latent != "none":
        z = torch.randn(2, c.slots, c.dim, generator=torch.Generator().manual_seed(0))
        if c.latent == "discrete":
            _shape("denoiser: its attribute `mask_vector`", getattr(model.denoiser, "mask_vector", None), (c.dim,))
    latent = (2, c.slots, c.dim) if c.latent == "continuous" else (2, c.slots, c.codes)
    x_t, t = x.masked_fill(where, c.vocab), None if z is None else torch.full((2,), 0.5)
    said = _said(model, x_t, z, t, where, z is not None, lengths)
    _shape("denoiser: tokens", said.tokens, (int(where.sum()), c.vocab), logs=True)
    if z is None:
        return
    for seen in (x_t, None):  # the second is a step that moves latents alone
        said = _said(model, seen, z, t, None, True, lengths)
        _shape("denoiser: latents", said.latents, latent, logs=c.latent == "discrete")


def _said(model: protocols.Model, *call) -> Prediction:
    said = _called("denoiser", lambda: model.denoiser(*call))
    if not all(has_attribute(said, k) for k in ("tokens", "latents")):
        raise ValueError(f"denoiser must return a Prediction(tokens, latents), got {type(said).__name__}")
    return said


def _called(name: str, call):
    try:
        return call()
    except Exception as e:
        raise ValueError(f"{name}: a call on two sequences failed with {type(e).__name__}: {e}") from e


def _sequences(model: protocols.Model) -> torch.Tensor:
    """Two different sequences [2, L], without padding."""
    c = model.config
    ids = [v for v in range(c.vocab) if v != c.pad_id]
    return torch.tensor([[ids[(i + k * (i // 2)) % len(ids)] for i in range(c.length)] for k in (0, 1)])


def _shape(what: str, value, shape, floating: bool = True, logs: bool = False) -> None:
    if not isinstance(value, torch.Tensor) or tuple(value.shape) != tuple(shape):
        got = tuple(value.shape) if isinstance(value, torch.Tensor) else value
        raise ValueError(f"{what} must be a tensor of shape {tuple(shape)}, got {got}")
    if floating != value.is_floating_point():
        kind = "floats" if floating else "integers"
        raise ValueError(f"{what} must hold {kind}, got dtype {value.dtype}")
    if not bool(torch.isfinite(value).all()) and not logs:
        raise ValueError(f"{what} holds nan or infinite values")
    if logs and not bool((value.double().logsumexp(-1).abs() < 1e-3).all()):
        raise ValueError(f"{what} must be log-probabilities: exp of each row must sum to 1 (log_softmax makes it so)")
