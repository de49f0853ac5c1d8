"""`LatentDiffusion`: two noised channels walked along one path, with what predicts them. METHOD
3-7."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import torch
from torch import nn

from ._common import arguments, checkpoint, old_names, protocols, randomness
from .config import Config
from .diffusion import bound, given_latents, loss, sampler
from .diffusion.channels import MaskedChannel
from .diffusion.paths import Curve, Knot, Path, Schedule
from .diffusion.prediction import Prediction
from .diffusion.trace import Trace
from .networks import build, custom_parts, exact
from .networks.build import make_encoder
from .networks.denoiser import Denoiser
from .text import prompts

__all__ = ["LatentDiffusion", "load"]


class LatentDiffusion(nn.Module):
    """A latent discrete diffusion model: one of the five systems, or an exact one.

    Build it with `preset`, `exact` or `load`. `path` is the system's own path; `sample`, `nelbo`
    take any other.

    >>> from lddm_lite.tasks import Binsaw
    >>> model = LatentDiffusion.preset("co-seq", Binsaw(length=16))
    >>> model.sample(2, token_steps=1, latent_steps=4, seed=0).nfe
    5
    """

    # see `protocols.Model`: what they have besides follows from `config.latent`
    denoiser: Any  # a `protocols.Denoiser`
    encoder: Any  # a `protocols.Encoder`, or None
    latent_channel: Any  # a `protocols.Channel`, or None

    def __init__(
        self,
        config: Config,
        denoiser: protocols.Denoiser,
        encoder: protocols.Encoder | None,
        labels,
        data: dict | None = None,
        channel: protocols.Channel | None = None,
    ):
        super().__init__()
        self.config, self.denoiser, self.encoder = config, denoiser, encoder
        self.labels = list(labels)
        self.data = data or {}  # how to make the data again: a task's spec, or the tokenizer of a text
        self.path = Path(config.lead)
        self.name = config.system
        self.token_channel = MaskedChannel(config.vocab)
        self.latent_channel = build.usual_channel(config) if channel is None else channel

    # -- making one -------------------------------------------------------------------------------------------
    @classmethod
    def preset(
        cls,
        system: str,
        data: protocols.Data,
        seed: int = 0,
        denoiser: protocols.Denoiser | Callable[[Config], protocols.Denoiser] | None = None,
        encoder: protocols.Encoder | Callable[[Config], protocols.Encoder] | str | None = None,
        channel: protocols.Channel | Callable[[Config], protocols.Channel] | None = None,
        **changes,
    ) -> LatentDiffusion:
        """A fresh model of one of the five systems (mdlm, co-joint, co-seq, di-joint, di-seq) for
        `data`, which has `length`, `vocab`, `labels`, `spec()` and maybe `pad_id`: any task or
        text. `changes` are fields of `Config`. The same seed gives the same weights.

        `denoiser`, `encoder`, `channel` (of the latents): parts of your own, or what makes them of
        a `Config`; see `lddm_lite.networks.custom_parts` for what is asked of each. ValueError
        names a part that does not fit. `encoder` may also be a name, as in `Config`.
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
            torch.manual_seed(arguments.integer("seed", seed, minimum=0))
            own = {name: build.made(name, part, config) for name, part in own.items()}
            channel = own.get("channel", build.usual_channel(config))
            denoiser = own["denoiser"] if "denoiser" in own else Denoiser(config, channel)
            encoder = own["encoder"] if "encoder" in own else make_encoder(config, labels)
        model = cls(config, denoiser, encoder, labels, data, channel)
        custom_parts.check(model, own)
        return model

    @classmethod
    def exact(
        cls,
        task: protocols.Task,
        encoder: protocols.Encoder | str | None = None,
        lead: float = 0.5,
        channel: protocols.Channel | None = None,
        codes: int | None = None,
    ) -> LatentDiffusion:
        """The exact model of `task`: Bayes-optimal predictors in the same sampler and bound. Its
        bound in continuous time is the lowest there is; its samples still depend on schedule and
        order.

        `encoder`: None (no latents), an encoder module (tiny tasks: all sequences are enumerated),
        or for Binsaw its hidden shift: 'shift', or 'shift-code', the bin of it out of `codes`.
        `channel`: noise of its latents, as for `preset`.

        >>> from lddm_lite.tasks import Binsaw
        >>> LatentDiffusion.exact(Binsaw(length=16)).sample(2, token_steps=4).nfe
        4
        """
        changes, denoiser, encoder = exact.build(task, encoder, codes)
        model = cls(
            Config(task.length, task.vocab, system="exact", lead=lead, **changes),
            denoiser,
            encoder,
            task.labels,
            task.spec(),
            channel,
        )
        custom_parts.check(model, {} if channel is None else {"channel": channel})
        denoiser.channel = model.latent_channel
        return model.eval()  # in train mode the encoder would no longer give the latents that the denoiser was told

    # -- parts ---------------------------------------------------------------------------------------------------
    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.parameters()), torch.device("cpu"))

    @property
    def tokens(self):
        """The token channel, under its old name; goes with the next release."""
        return old_names.attribute(self, "tokens", "token_channel")

    @property
    def latents(self):
        """The latent channel, under its old name; goes with the next release."""
        return old_names.attribute(self, "latents", "latent_channel")

    def valid(self, x: torch.Tensor) -> torch.Tensor:
        """Bool [B, L]: positions that are not padding."""
        pad = self.config.pad_id
        return torch.ones_like(x, dtype=torch.bool) if pad is None else x != pad

    def check_tokens(self, name: str, x, mask_ok: bool = False) -> torch.Tensor:
        """`x` as ids [B, L] on the model's device; ValueError saying what is wrong with it."""
        return arguments.tokens(name, x, self.config.length, self.config.vocab, mask_ok).to(self.device)

    def latent_shape(self, n: int) -> tuple[int, ...]:
        """Shape of n latents: [n, m, d] continuous, [n, m] discrete."""
        c = self.config
        return (n, c.slots, c.dim) if c.latent == "continuous" else (n, c.slots)

    def encode(self, x: torch.Tensor, g: randomness.Source | None = None):
        """z_0 of sequences [B, L]: [B, m, d] float, [B, m] codes, or None. Stochastic encoders draw
        from `g`."""
        if self.encoder is None:
            return None
        x = x.to(self.device)
        if protocols.is_stochastic(self.encoder):
            return self.encoder(x, randomness.generator(0, self.device) if g is None else g)
        return self.encoder(x)

    def predict(self, x_t, z_t, t_z, where=None, need_latents: bool = True, lengths=None) -> Prediction:
        """One network call. x_t [B, L] or None (all masked); z_t: latents, codes or, for discrete
        latents, vectors."""
        if self.config.latent == "discrete" and not z_t.is_floating_point() and not protocols.is_exact(self.denoiser):
            masked, book = z_t == self.latent_channel.mask_id, self.encoder.codebook
            z_t = torch.where(masked.unsqueeze(-1), self.denoiser.mask_vector, book[z_t.masked_fill(masked, 0)])
        if lengths is None and self.config.pad_id is not None and x_t is not None:
            lengths = self.valid(x_t).sum(1)
        said = self.denoiser(x_t, z_t, t_z, where, need_latents, lengths)
        return said if isinstance(said, Prediction) else Prediction(said.tokens, said.latents)

    # -- what it is for ----------------------------------------------------------------------------------------------
    def loss(self, x0, g: torch.Generator | int = 0, stage: int = 2, few_step: float = 0.25, **options) -> loss.Loss:
        """Training loss of a batch [B, L] with its terms (see `loss.training_loss`)."""
        x0 = self.check_tokens("x0", x0)
        return loss.training_loss(self, x0, randomness.generator(g, self.device), stage, few_step, **options)

    def nelbo(self, x, path: Path | Curve | Schedule | None = None, **options) -> Any:
        """Bound on -log p(x), nats per sequence: a `Nelbo`, each term with its standard error, or
        with `each=True` one number a sequence [B] (see `bound.nelbo`)."""
        return bound.nelbo(self, x, path, **options)

    def knots(
        self, path: Path | Curve | Schedule, token_steps: int | None = None, latent_steps: int | None = None
    ) -> list[Knot]:
        """Knots of `path` for these numbers of steps; a Schedule has its own.

        Default token steps: 8. Default latent steps: none without latents; as many as token steps
        on the joint path and a Curve; else 16 for continuous latents and one per slot for discrete
        ones. ValueError for numbers, and schedules, that do not fit the model.
        """
        if isinstance(path, Schedule):
            knots = path.knots(token_steps, latent_steps)
            if (knots[0].t_z == 1) != (self.latent_channel is not None):
                has = "no latents" if self.latent_channel is None else "latents"
                raise ValueError(f"path must begin at t_z = {int(has == 'latents')} for {self.name!r}, which has {has}")
            return knots
        token_steps = 8 if token_steps is None else token_steps
        if self.latent_channel is None:
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
        n: int | None = None,
        token_steps: int | None = None,
        latent_steps: int | None = None,
        path: Path | Curve | Schedule | None = None,
        seed: int = 0,
        **options,
    ) -> Trace:
        """n sequences from pure noise.

        - `n`: may be left out where `latents` are given, one sequence for each.
        - `token_steps`, `latent_steps`: numbers of steps (see `knots`); ValueError below 1.
        - `path`: None for the system's own; a `Schedule` places each step.
        - `seed`: the same one gives the same samples.
        - `options`: the fields of `sampler.Draws`; `batch`, sequences in one network call, and
          `progress`, as in `sampler.sample`; `latents`: z at t_z = 0, such as `latents` of a Trace
          end with, taken as they are, from which only the tokens are drawn. ValueError for others.

        Models with padding draw lengths from their training data's.
        """
        if n is None:
            if "latents" not in options:
                raise ValueError("n, the number of sequences, must be given where latents are not")
            n = len(options["latents"])
        start = prompts.blank(self, n, seed)
        return self._run(start, token_steps, latent_steps, path, seed, options)

    def generate_text(
        self,
        n: int = 1,
        token_steps: int | None = None,
        latent_steps: int | None = None,
        path: Path | Curve | Schedule | None = None,
        seed: int = 0,
        prompt: str = "",
        **options,
    ) -> Trace:
        """n texts that begin with `prompt`, in which [MASK] is a gap; `texts()` of the Trace gives
        them. `options` as for `sample`. Lengths are those of the training data, none below the
        prompt's. ValueError for models of something else than text or the toy newswire, and a
        prompt that they cannot read.

        >>> from lddm_lite.tasks import ToyNewswire
        >>> LatentDiffusion.exact(ToyNewswire()).generate_text(token_steps=16, prompt="the tiber", order="even").text(0)
        'the tiber climbed by two metres in rome on thursday , damguard said .'
        """
        start = prompts.prompted(self, n, prompt, seed)
        trace = self._run(start, token_steps, latent_steps, path, seed, options)
        if self.config.pad_id is None:  # the newswire, whose first label fills a sentence up
            trace.meta["filler"] = self.labels[0]
        return trace

    def infill(
        self,
        x,
        n: int = 1,
        token_steps: int | None = None,
        latent_steps: int | None = None,
        path: Path | Curve | Schedule | None = None,
        seed: int = 0,
        **options,
    ) -> Trace:
        """Fill what is missing, n times for each sequence; given tokens never change. `x`: ids
        [B, L], id V where masked, or a text with gaps, or a list of such: "the [MASK] rose ."
        (`prompts.encode`). `options`: see `sample`.
        """
        if isinstance(x, str) or (isinstance(x, list | tuple) and (not x or any(isinstance(v, str) for v in x))):
            x = prompts.gaps(self, x)
        x = self.check_tokens("x", x, mask_ok=True).repeat_interleave(arguments.integer("n", n, minimum=1), 0)
        return self._run(x, token_steps, latent_steps, path, seed, options)

    def _run(self, start, token_steps, latent_steps, path, seed, options) -> Trace:
        path = path or self.path
        run = {name: options.pop(name) for name in ("batch", "progress", "latents") if name in options}
        knots = self.knots(path, token_steps, latent_steps)
        if run.get("latents") is not None:
            run["latents"] = given_latents.check_latents(self, "latents", run["latents"], len(start))
            knots = given_latents.without_latents(knots)
        trace = sampler.sample(self, start, knots, path, seed, sampler.Draws.of(**options), **run)
        if not prompts.spaced(self):
            trace.meta["spaced"] = False
        return trace

    # -- files -----------------------------------------------------------------------------------------------------
    def save(self, folder, **meta) -> File:
        """Write config and weights to `folder` (safetensors + JSON), whole or not at all. `meta`:
        more JSON to keep. Of parts of your own the weights are written and the classes' names, not
        their code: `load` wants them again."""
        about = {"config": self.config.to_dict(), "labels": self.labels, "data": self.data, **meta}
        own = custom_parts.own(self)
        about |= {"parts": own} if own else {}
        return checkpoint.write(folder, self.state_dict(), about)

    @classmethod
    def load(cls, folder, **own) -> LatentDiffusion:
        """The model saved in `folder`, ready to sample. `own`: the parts of its own that it was
        made with, as given to `preset`. CheckpointError says what is wrong with a broken one, and
        which parts are missing."""
        tensors, meta = checkpoint.read(folder)
        config = custom_parts.wanted(folder, meta, own)
        try:
            model = cls.from_config(config, meta["labels"], meta["data"], **own)
        except (TypeError, ValueError) as e:
            what = "the parts given do not fit it" if own else "config.json does not describe a model"
            raise checkpoint.CheckpointError(f"{folder}: {what}: {e}") from None
        custom_parts.fill(model, tensors, meta, folder)
        return model.eval()


def load(name, **own) -> LatentDiffusion:
    """A saved model: a folder, or the name of a checkpoint that ships in data/checkpoints. `own`:
    see `LatentDiffusion.load`. CheckpointError lists the names when there is none."""
    shipped = File(__file__).resolve().parent.parent / "data" / "checkpoints"
    if not File(name).exists() and (shipped / str(name)).is_dir():
        return LatentDiffusion.load(shipped / str(name), **own)
    if not File(name).exists():
        names = sorted(p.name for p in shipped.glob("*") if (p / "config.json").is_file())
        raise checkpoint.CheckpointError(f"no checkpoint {str(name)!r}; shipped ones: {', '.join(names) or 'none'}")
    return LatentDiffusion.load(name, **own)
