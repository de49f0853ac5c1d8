"""`LatentDiffusion`: two noised channels walked along one path, with what predicts them. METHOD
3-7."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path as File
from typing import Any

import torch
from torch import nn

from ._common import arguments, checkpoint, data_contract, old_names, protocols, quantised, randomness, schemas
from ._common.arguments import shown
from ._common.files import user_path
from .config import Config
from .diffusion import bound, given_latents, loss, sampler
from .diffusion.channels import MaskedChannel
from .diffusion.paths import Curve, Knot, Path, Schedule
from .diffusion.prediction import Prediction
from .diffusion.trace import Trace
from .networks import bert, build, custom_parts, exact, model_files, shipped, warm_start, web_export
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

    @schemas.checked(
        config=schemas.is_a(Config), denoiser=schemas.is_a(nn.Module), encoder=schemas.maybe(schemas.is_a(nn.Module)),
        labels=schemas.items(schemas.text()), data=schemas.maybe(schemas.mapping(schemas.anything)),
        channel=schemas.maybe(schemas.has("noise of latents", "corrupt", "rate")),
    )  # fmt: skip
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
    @schemas.checked(
        data=schemas.has("a task or a text", "length", "vocab", "labels", "spec"), seed=arguments.seed,
    )  # fmt: skip
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
        """A fresh model of one of the five systems.

        - `system`: mdlm, co-joint, co-seq, di-joint or di-seq.
        - `data`: any task or text: what has `length`, `vocab`, `labels`, `spec()` and maybe
          `pad_id` (see `protocols.Data`, which it is checked against).
        - `seed`: the same one gives the same weights.
        - `denoiser`, `encoder`, `channel` (of the latents): parts of your own, or what makes them
          of a `Config`; see `lddm_lite.networks.custom_parts` for what is asked of each. None for
          the system's. `encoder` may also be a name, as in `Config`.
        - `changes`: fields of `Config`.

        ValueError for another system or option, and one that names a part that does not fit.
        """
        data_contract.check(data)
        changes.setdefault("pad_id", protocols.pad_id(data))
        if isinstance(encoder, str):
            changes["encoder"], encoder = encoder, None
        config = Config.preset(system, data.length, data.vocab, **changes)
        own = dict(denoiser=denoiser, encoder=encoder, channel=channel)
        return cls.from_config(config, list(data.labels), data_contract.described(data), seed, **own)

    @classmethod
    @schemas.checked(
        config=schemas.is_a(Config), data=schemas.maybe(schemas.mapping(schemas.anything)), seed=arguments.seed,
    )  # fmt: skip
    def from_config(cls, config: Config, labels, data: dict | None = None, seed: int = 0, **own) -> LatentDiffusion:
        """A fresh model from a `Config`, with parts of your `own` as in `preset`."""
        labels = custom_parts.check_labels(labels, config)
        own = {name: part for name, part in own.items() if part is not None}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            own = {name: build.made(name, part, config) for name, part in own.items()}
            channel = own.get("channel", build.usual_channel(config))
            denoiser = own["denoiser"] if "denoiser" in own else Denoiser(config, channel)
            encoder = own["encoder"] if "encoder" in own else make_encoder(config, labels)
        model = cls(config, denoiser, encoder, labels, data, channel)
        custom_parts.check(model, own)
        return model

    @classmethod
    @schemas.checked(
        task=schemas.has("a task, of known law", "length", "vocab", "labels", "log_joint", "components"),
        lead=schemas.number(0.0, 0.5),
        channel=schemas.maybe(schemas.has("noise of latents", "corrupt", "rate")),
        codes=schemas.maybe(schemas.whole(1, limit="codes")),
    )  # fmt: skip
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

        - `task`: its law is known.
        - `encoder`: None (no latents), an encoder module (tiny tasks: all sequences are
          enumerated), or for Binsaw its hidden shift: 'shift', or 'shift-code', the bin of it.
        - `lead`: of the model's own path, from 0 (joint) to 0.5 (sequential).
        - `channel`: noise of its latents, as for `preset`; None for the usual.
        - `codes`: bins of the shift, at least 2: for 'shift-code', and for no other encoder.

        ValueError for arguments that do not fit together.

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

    def init_from(self, source) -> list[str]:
        """Begin with the weights of another model, a folder, a shipped checkpoint's name or a
        model, as far as names and shapes are the same. With `network="bert"` also of a pretrained
        BERT encoder: "minilm", or a folder of transformers'. Returns a line for each tensor that
        was left as it is. ValueError where less than half would be taken (see
        `networks.warm_start`).

        >>> from lddm_lite.tasks import Binsaw
        >>> one, two = (LatentDiffusion.preset("co-seq", Binsaw(length=8), seed=s) for s in (0, 1))
        >>> two.init_from(one)
        []
        """
        if isinstance(source, LatentDiffusion):
            return warm_start.take(self, source.state_dict(), source.name)
        if self.config.network == "bert" and bert.is_pretrained(source):
            found = bert.pretrained(source, self.labels, self.config.length)
            return warm_start.take(self, found, str(source))
        place = shipped.place(user_path("source", source))
        return warm_start.take(self, quantised.restore(checkpoint.read(place)[0]), str(source))

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

    @schemas.checked(x=schemas.ids)
    def valid(self, x: torch.Tensor) -> torch.Tensor:
        """Bool [B, L]: positions that are not padding."""
        pad = self.config.pad_id
        return torch.ones_like(x, dtype=torch.bool) if pad is None else x != pad

    def check_tokens(self, name: str, x, mask_ok: bool = False) -> torch.Tensor:
        """`x` as ids [B, L] on the model's device; ValueError saying what is wrong with it."""
        mask_ok = arguments.truth("mask_ok", mask_ok)
        return arguments.tokens(name, x, self.config.length, self.config.vocab, mask_ok).to(self.device)

    @schemas.checked(n=schemas.whole(0))
    def latent_shape(self, n: int) -> tuple[int, ...]:
        """Shape of n latents: [n, m, d] continuous, [n, m] discrete."""
        c = self.config
        return (n, c.slots, c.dim) if c.latent == "continuous" else (n, c.slots)

    @schemas.checked(x=schemas.ids, g=schemas.maybe(schemas.source))
    def encode(self, x: torch.Tensor, g: randomness.Source | None = None):
        """z_0 of sequences [B, L]: [B, m, d] float, [B, m] codes, or None. Stochastic encoders draw
        from `g`."""
        if self.encoder is None:
            return None
        x = x.to(self.device)
        if protocols.is_stochastic(self.encoder):
            z = self.encoder(x, randomness.generator(0, self.device) if g is None else g)
        else:
            z = self.encoder(x)
        if self.config.per_token and self.config.pad_id is not None:
            z = z.masked_fill(~self.valid(x).view(*x.shape, *[1] * (z.dim() - 2)), 0)
        return z.float() if z.dtype in (torch.bfloat16, torch.float16) else z

    @schemas.checked(**schemas.CALL)
    @schemas.fitting
    def predict(self, x_t, z_t, t_z, where=None, need_latents: bool = True, lengths=None) -> Prediction:
        """One network call, as `protocols.Model.predict`."""
        if self.latent_channel is not None and z_t is None:
            raise ValueError(f"z_t must be latents of {self.name!r}, which has some, got None")
        if self.config.latent == "discrete" and not z_t.is_floating_point() and not protocols.is_exact(self.denoiser):
            masked, book = z_t == self.latent_channel.mask_id, self.encoder.codebook
            z_t = torch.where(masked.unsqueeze(-1), self.denoiser.mask_vector, book[z_t.masked_fill(masked, 0)])
        if lengths is None and self.config.pad_id is not None and x_t is not None:
            lengths = self.valid(x_t).sum(1)
        if z_t is not None:  # latents are float32 whatever the weights are
            kind = next((p.dtype for p in self.denoiser.parameters()), z_t.dtype)
            z_t = z_t.to(kind) if z_t.is_floating_point() else z_t
        said = self.denoiser(x_t, z_t, t_z, where, need_latents, lengths)
        return said if isinstance(said, Prediction) else Prediction(said.tokens, said.latents)

    # -- what it is for ----------------------------------------------------------------------------------------------
    @schemas.checked(g=schemas.seed, stage=schemas.whole(1, maximum=2), few_step=schemas.number(0.0, 1.0))
    def loss(self, x0, g: torch.Generator | int = 0, stage: int = 2, few_step: float = 0.25, **options) -> loss.Loss:
        """Training loss of a batch [B, L] with its terms (see `loss.training_loss`)."""
        x0 = self.check_tokens("x0", x0)
        return loss.training_loss(self, x0, randomness.generator(g, self.device), stage, few_step, **options)

    def nelbo(self, x, path: Path | Curve | Schedule | None = None, **options) -> Any:
        """Bound on -log p(x), nats per sequence: a `Nelbo`, each term with its standard error, or
        with `each=True` one number a sequence [B] (see `bound.nelbo`)."""
        return bound.nelbo(self, x, path, **options)

    @schemas.checked("token_steps", "latent_steps", path=schemas.path)
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
                    f"latent_steps must be 0 for {self.name!r}, which has no latents; got {shown(latent_steps)}"
                )
            latent_steps = 0
        elif latent_steps is None:
            usual = 16 if self.config.latent == "continuous" else self.config.slots
            latent_steps = token_steps if path.shared else usual
        elif latent_steps == 0:
            raise ValueError("latent_steps must be >= 1 for a model with latents, got 0")
        return path.knots(token_steps, latent_steps)

    @schemas.checked("token_steps", "latent_steps", "path", "seed", n=schemas.maybe(schemas.whole(1, limit="samples")))
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
          end with, taken as they are, from which only the tokens are drawn; `length`, tokens of each
          sequence, and `label`, the class of each, of data that have classes (`from_arrays`), which is
          given as the first token. ValueError for others.

        Models with padding draw lengths from their training data's, unless `length` is given.
        """
        if n is None:
            if "latents" not in options:
                raise ValueError("n, the number of sequences, must be given where latents are not")
            given = arguments.tensor("latents", options["latents"])
            n = len(given) if given.dim() else 0
        label = options.pop("label", None)
        start = prompts.blank(self, n, seed, length=options.pop("length", None))
        start = start if label is None else prompts.given_class(self, start, label)
        return self._run(start, token_steps, latent_steps, path, seed, options)

    @schemas.checked("token_steps", "latent_steps", "path", "seed", n=schemas.whole(1, limit="samples"))
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
        them.

        - `n`: how many, at least 1.
        - `token_steps`, `latent_steps`, `path`, `seed`, `options`: as for `sample`.
        - `prompt`: the beginning, words and gaps; empty for none. `gap=`: what stands for a gap in
          it, instead of [MASK].

        Lengths are those of the training data, none below the prompt's, or `length=`. ValueError for models of
        something else than text or the toy newswire, and a prompt that they cannot read.

        >>> from lddm_lite.tasks import ToyNewswire
        >>> LatentDiffusion.exact(ToyNewswire()).generate_text(token_steps=16, prompt="the tiber", order="even").text(0)
        'the tiber climbed by two metres in rome on thursday , damguard said .'
        """
        start = prompts.prompted(self, n, prompt, seed, options.pop("length", None), options.pop("gap", None))
        trace = self._run(start, token_steps, latent_steps, path, seed, options)
        if self.config.pad_id is None:  # the newswire, whose first label fills a sentence up
            trace.meta["filler"] = self.labels[0]
        return trace

    @schemas.checked("token_steps", "latent_steps", "path", "seed", n=schemas.whole(1, limit="samples"))
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
        """Fill what is missing; given tokens never change. The Trace has B * n sequences, the n of
        one beside each other.

        - `x`: ids [B, L], id V where masked, or a text with gaps, or a list of such: "the [MASK]
          rose ." (`prompts.encode`). `gap=`: what stands for a gap, instead of [MASK].
        - `n`: how often each is filled, at least 1.
        - `token_steps`, `latent_steps`, `path`, `seed`, `options`: as for `sample`.
        """
        if isinstance(x, str) or (isinstance(x, list | tuple) and (not x or any(isinstance(v, str) for v in x))):
            x = prompts.gaps(self, x, options.pop("gap", None))
        x = self.check_tokens("x", x, mask_ok=True)
        arguments.within("tokens", n * x.numel(), "n * the tokens of x")
        x = x.repeat_interleave(n, 0)
        return self._run(x, token_steps, latent_steps, path, seed, options)

    def _run(self, start, token_steps, latent_steps, path, seed, options) -> Trace:
        path = path or self.path
        run = {name: options.pop(name) for name in ("batch", "progress", "latents") if name in options}
        knots = self.knots(path, token_steps, latent_steps)
        if run.get("latents") is not None:
            run["latents"] = given_latents.check_latents(self, "latents", run["latents"], len(start))
            knots = given_latents.without_latents(knots)
        trace = sampler.sample(self, start, knots, path, seed, sampler.Draws.of(**options), **run)
        trace.meta |= prompts.shown(self)
        return trace

    # -- files -----------------------------------------------------------------------------------------------------
    @schemas.checked(weights=schemas.choice(*quantised.KINDS), encoder=schemas.maybe(schemas.boolean))
    def to_web(self, weights: str = "int8", encoder: bool | None = None) -> web_export.WebModel:
        """This model for a page, where it samples without Python (see `web_export.export`).
        `quantised.cost(model, x, weights)` tells what fewer bits lose.

        >>> from lddm_lite.tasks import Binsaw
        >>> LatentDiffusion.preset("co-seq", Binsaw(length=16)).to_web().head["encodes"]
        True
        """
        return web_export.export(self, weights, encoder)

    @schemas.checked(weights=schemas.choice(*quantised.KINDS))
    def save(self, folder, overwrite: bool = False, weights: str = "float32", **meta) -> File:
        """Write config and weights to `folder` (safetensors + JSON), whole or not at all.
        `weights`: how they are kept, one of `quantised.KINDS`. `meta`: more JSON to keep. Of parts
        of your own the weights are written and the classes' names, not their code: `load` wants
        them again. ValueError for a folder that holds something, unless `overwrite`: then its
        checkpoint, if it has one, is replaced, and all else stays."""
        folder = checkpoint.check_free(folder, overwrite)
        about = {"config": self.config.to_dict(), "labels": self.labels, "data": self.data, **meta}
        own = custom_parts.own(self)
        about |= {"parts": own} if own else {}
        return checkpoint.write(folder, quantised.quantise(self.state_dict(), weights), about)

    @classmethod
    def load(cls, folder, **own) -> LatentDiffusion:
        """The model saved in `folder`, ready to sample. `own`: the parts of its own that it was
        made with, as given to `preset`. `encoder` may be a name: of the frozen encoder that the
        file names, which no file's word alone loads unless it is a known package. CheckpointError
        says what is wrong with a broken one, and which parts are missing."""
        named = own.pop("encoder") if isinstance(own.get("encoder"), str) else None
        found: dict[str, Config] = {}

        def fits(meta: dict, form: checkpoint.Form) -> None:
            found["config"] = custom_parts.wanted(folder, meta, own)
            if named is not None and found["config"].encoder == "learned":
                raise checkpoint.CheckpointError(f"{folder} has no frozen encoder; load it without encoder={named!r}")
            model_files.fits(found["config"], quantised.restored_form(form), own)

        tensors, meta = checkpoint.read(folder, fits=fits)
        try:
            model = cls.from_config(found["config"], meta["labels"], meta["data"], **own)
        except (TypeError, ValueError) as e:
            what = "the parts given do not fit it" if own else "config.json does not describe a model"
            raise checkpoint.CheckpointError(f"{folder}: {what}: {e}") from None
        if found["config"].encoder not in ("learned", "mixture") and "encoder" not in own:
            model.encoder.encoder.told(named)
        custom_parts.fill(model, quantised.restore(tensors), meta, folder)
        return model.eval()


def load(name, **own) -> LatentDiffusion:
    """A saved model: a folder, or the name of a checkpoint that ships (`shipped`). `own`: see
    `LatentDiffusion.load`. CheckpointError lists the names when there is none."""
    return LatentDiffusion.load(shipped.place(name), **own)
