"""`LatentDiffusion`: two noised channels walked along one path, with what predicts them. METHOD 3-7."""

from __future__ import annotations

from pathlib import Path as File

import torch
from torch import nn

from . import bounds, checkpoint, checks, exact, generate, objective, parts, sampler
from .channels import MaskedChannel
from .config import Config
from .denoiser import Denoiser, Prediction
from .encoders import make_encoder
from .paths import Curve, Knot, Path
from .trace import Trace

__all__ = ["LatentDiffusion", "load"]


class LatentDiffusion(nn.Module):
    """A latent discrete diffusion model: one of the five systems, or an exact one.

    Build it with `preset`, `exact` or `load`. `path` is the system's own path; `sample`, `nelbo` take any other.

    >>> from lddm_lite.tasks import Binsaw
    >>> model = LatentDiffusion.preset("co-seq", Binsaw(length=16))
    >>> model.sample(2, token_steps=1, latent_steps=4, seed=0).nfe
    5
    """

    def __init__(self, config: Config, denoiser: nn.Module, encoder, labels, data: dict | None = None, channel=None):
        super().__init__()
        self.config, self.denoiser, self.encoder = config, denoiser, encoder
        self.labels = list(labels)
        self.data = data or {}  # how to make the data again: a task's spec, or the tokenizer of a text
        self.path = Path(config.lead)
        self.name = config.system
        self.tokens = MaskedChannel(config.vocab)
        self.latents = parts.usual_channel(config) if channel is None else channel

    # -- making one -------------------------------------------------------------------------------------------
    @classmethod
    def preset(
        cls, system: str, data, seed: int = 0, denoiser=None, encoder=None, channel=None, **changes
    ) -> LatentDiffusion:
        """A fresh model of one of the five systems (mdlm, co-joint, co-seq, di-joint, di-seq) for `data`, which has
        `length`, `vocab`, `labels`, `spec()` and maybe `pad_id`: any task or text. `changes` are fields of `Config`.
        The same seed gives the same weights.

        `denoiser`, `encoder`, `channel` (of the latents): parts of your own, or what makes them of a `Config`; see
        `lddm_lite.parts` for what is asked of each. ValueError names a part that does not fit. `encoder` may also be a
        name, as in `Config`.
        """
        changes.setdefault("pad_id", getattr(data, "pad_id", None))
        if isinstance(encoder, str):
            changes["encoder"], encoder = encoder, None
        config = Config.preset(system, data.length, data.vocab, **changes)
        own = dict(denoiser=denoiser, encoder=encoder, channel=channel)
        return cls.from_config(config, data.labels, data.spec(), seed, **own)

    @classmethod
    def from_config(cls, config: Config, labels, data: dict | None = None, seed: int = 0, **own) -> LatentDiffusion:
        """A fresh model from a `Config`, with parts of your `own` as in `preset`."""
        own = {name: part for name, part in own.items() if part is not None}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(checks.integer("seed", seed, minimum=0))
            own = {name: parts.made(name, part, config) for name, part in own.items()}
            channel = own.get("channel", parts.usual_channel(config))
            denoiser = own["denoiser"] if "denoiser" in own else Denoiser(config, channel)
            encoder = own["encoder"] if "encoder" in own else make_encoder(config, labels)
        model = cls(config, denoiser, encoder, labels, data, channel)
        parts.check(model, own)
        return model

    @classmethod
    def exact(cls, task, encoder=None, lead: float = 0.5, channel=None) -> LatentDiffusion:
        """The best possible model for `task`: Bayes-optimal predictors in the same sampler and bound.

        `encoder`: None (no latents), an encoder module (tiny tasks: all sequences are enumerated), or 'shift' (Binsaw).
        `channel`: noise of its latents, as for `preset`.

        >>> from lddm_lite.tasks import Binsaw
        >>> LatentDiffusion.exact(Binsaw(length=16)).sample(2, token_steps=4).nfe
        4
        """
        changes, denoiser, encoder = exact.build(task, encoder)
        model = cls(
            Config(task.length, task.vocab, system="exact", lead=lead, **changes),
            denoiser,
            encoder,
            task.labels,
            task.spec(),
            channel,
        )
        parts.check(model, {} if channel is None else {"channel": channel})
        denoiser.channel = model.latents
        return model.eval()  # in train mode the encoder would no longer give the latents that the denoiser was told

    # -- parts ---------------------------------------------------------------------------------------------------
    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    def valid(self, x: torch.Tensor) -> torch.Tensor:
        """Bool [B, L]: positions that are not padding."""
        pad = self.config.pad_id
        return torch.ones_like(x, dtype=torch.bool) if pad is None else x != pad

    def check_tokens(self, name: str, x, mask_ok: bool = False) -> torch.Tensor:
        """`x` as ids [B, L] on the model's device; ValueError saying what is wrong with it."""
        return checks.tokens(name, x, self.config.length, self.config.vocab, mask_ok).to(self.device)

    def latent_shape(self, n: int) -> tuple[int, ...]:
        """Shape of n latents: [n, m, d] continuous, [n, m] discrete."""
        c = self.config
        return (n, c.slots, c.dim) if c.latent == "continuous" else (n, c.slots)

    def encode(self, x: torch.Tensor, g: torch.Generator | None = None):
        """z_0 of sequences [B, L]: [B, m, d] float, [B, m] codes, or None. Stochastic encoders draw from `g`."""
        if self.encoder is None:
            return None
        x = x.to(self.device)
        if getattr(self.encoder, "stochastic", False):
            return self.encoder(x, checks.generator(0, self.device) if g is None else g)
        return self.encoder(x)

    def predict(self, x_t, z_t, t_z, where=None, need_latents: bool = True, lengths=None) -> Prediction:
        """One network call. x_t [B, L] or None (all masked); z_t: latents, codes or, for discrete latents, vectors."""
        if getattr(self.denoiser, "exact", False):
            return self.denoiser(x_t, z_t, t_z, where, need_latents)
        if self.config.latent == "discrete" and not z_t.is_floating_point():
            table = torch.cat([self.encoder.codebook, self.denoiser.mask_vector.unsqueeze(0)])
            z_t = table[z_t]
        if lengths is None and self.config.pad_id is not None and x_t is not None:
            lengths = self.valid(x_t).sum(1)
        return self.denoiser(x_t, z_t, t_z, where, need_latents, lengths)

    # -- what it is for ----------------------------------------------------------------------------------------------
    def loss(self, x0, g: torch.Generator | int = 0, stage: int = 2, few_step: float = 0.25) -> objective.Loss:
        """Training loss of a batch [B, L] with its terms (see `objective.training_loss`)."""
        x0 = self.check_tokens("x0", x0)
        return objective.training_loss(self, x0, checks.generator(g, self.device), stage, few_step)

    def nelbo(self, x, path: Path | Curve | None = None, **options) -> bounds.Nelbo:
        """Bound on -log p(x), nats per sequence, each term with its standard error (see `bounds.nelbo`)."""
        return bounds.nelbo(self, x, path, **options)

    def knots(self, path: Path | Curve, token_steps: int, latent_steps: int | None = None) -> list[Knot]:
        """Knots of `path` for these budgets. Default latent budget: none without latents; as many as token steps on
        the joint path and a Curve; else 16 for continuous latents and one per slot for discrete ones."""
        if self.latents is None:
            if latent_steps:
                raise ValueError(
                    f"latent_steps must be 0 for {self.name!r}, which has no latents; got {latent_steps!r}"
                )
            latent_steps = 0
        elif latent_steps is None:
            usual = 16 if self.config.latent == "continuous" else self.config.slots
            latent_steps = token_steps if path.shared else usual
        elif latent_steps == 0:
            raise ValueError("latent_steps must be >= 1 for a model with latents, got 0")
        return path.knots(token_steps, latent_steps)

    def sample(
        self,
        n: int,
        token_steps: int = 8,
        latent_steps: int | None = None,
        path: Path | Curve | None = None,
        seed: int = 0,
        **options,
    ) -> Trace:
        """n sequences from pure noise. `options`: temperature, top_p, order, eta, latent_temperature, batch (see
        `sampler.sample`). Models with padding draw lengths from their training data's. ValueError for budgets below 1.
        """
        start = generate.blank(self, n, seed)
        return self._run(start, token_steps, latent_steps, path, seed, options)

    def generate_text(
        self,
        n: int = 1,
        token_steps: int = 8,
        latent_steps: int | None = None,
        path: Path | Curve | None = None,
        seed: int = 0,
        prompt: str = "",
        **options,
    ) -> Trace:
        """n texts that begin with `prompt`, in which [MASK] is a gap; `texts()` of the Trace gives them. `options` as
        for `sample`. Lengths are those of the training data, none below the prompt's. ValueError for models of
        something else than text or the toy newswire, and a prompt that they cannot read.

        >>> from lddm_lite.tasks import ToyNewswire
        >>> LatentDiffusion.exact(ToyNewswire()).generate_text(token_steps=16, prompt="the tiber", order="even").text(0)
        'the tiber rose by five metres in rome on monday , damguard said .'
        """
        start = generate.prompted(self, n, prompt, seed)
        trace = self._run(start, token_steps, latent_steps, path, seed, options)
        if self.config.pad_id is None:  # the newswire, whose first label fills a sentence up
            trace.meta["filler"] = self.labels[0]
        return trace

    def infill(
        self,
        x,
        n: int = 1,
        token_steps: int = 8,
        latent_steps: int | None = None,
        path: Path | Curve | None = None,
        seed: int = 0,
        **options,
    ) -> Trace:
        """Fill what is missing, n times for each sequence; given tokens never change. `x`: ids [B, L], id V where
        masked, or a text with gaps, or a list of such: "the [MASK] rose ." (`pattern.encode`). `options`: see `sample`.
        """
        if isinstance(x, str) or (isinstance(x, list | tuple) and (not x or any(isinstance(v, str) for v in x))):
            x = generate.gaps(self, x)
        x = self.check_tokens("x", x, mask_ok=True).repeat_interleave(checks.integer("n", n, minimum=1), 0)
        return self._run(x, token_steps, latent_steps, path, seed, options)

    def _run(self, start, token_steps, latent_steps, path, seed, options) -> Trace:
        path = path or self.path
        return sampler.sample(self, start, self.knots(path, token_steps, latent_steps), path, seed, **options)

    # -- files -----------------------------------------------------------------------------------------------------
    def save(self, folder, **meta) -> File:
        """Write config and weights to `folder` (safetensors + JSON), whole or not at all. `meta`: more JSON to keep. Of
        parts of your own the weights are written and the classes' names, not their code: `load` wants them again."""
        about = {"config": self.config.to_dict(), "labels": self.labels, "data": self.data, **meta}
        own = parts.own(self)
        about |= {"parts": own} if own else {}
        return checkpoint.write(folder, self.state_dict(), about)

    @classmethod
    def load(cls, folder, **own) -> LatentDiffusion:
        """The model saved in `folder`, ready to sample. `own`: the parts of its own that it was made with, as given to
        `preset`. CheckpointError says what is wrong with a broken one, and which parts are missing."""
        tensors, meta = checkpoint.read(folder)
        config = parts.wanted(folder, meta, own)
        try:
            model = cls.from_config(config, meta["labels"], meta["data"], **own)
        except (TypeError, ValueError) as e:
            what = "the parts given do not fit it" if own else "config.json does not describe a model"
            raise checkpoint.CheckpointError(f"{folder}: {what}: {e}") from None
        return parts.fill(model, tensors, meta, folder).eval()


def load(name, **own) -> LatentDiffusion:
    """A saved model: a folder, or the name of a checkpoint that ships in data/checkpoints. `own`: see
    `LatentDiffusion.load`. CheckpointError lists the names when there is none."""
    shipped = File(__file__).resolve().parent.parent / "data" / "checkpoints"
    if not File(name).exists() and (shipped / str(name)).is_dir():
        return LatentDiffusion.load(shipped / str(name), **own)
    if not File(name).exists():
        names = sorted(p.name for p in shipped.glob("*") if (p / "config.json").is_file())
        raise checkpoint.CheckpointError(f"no checkpoint {str(name)!r}; shipped ones: {', '.join(names) or 'none'}")
    return LatentDiffusion.load(name, **own)
