"""Protocols: what a data object, a part of a model and a model must have, wherever it comes from.

| protocol | what | who has it |
|---|---|---|
| `Data` | sequences to train on and to be judged by | the three below, and yours |
| `Task` | data whose law is known: exact likelihood and scores | `tasks.Binsaw` and its like |
| `Corpus` | data whose sequences can be counted and read | `tasks.Corpus`, and every `Text` |
| `Text` | a corpus of sentences, in pieces and with padding | `text.TextData`, `text.TokenStore` |
| `Denoiser`, `Encoder` | the networks of a model | those of `networks`, and yours |
| `Channel`, `MaskedNoise` | the noise of its tokens and latents | `diffusion.channels` |
| `Model` | what is sampled, bounded, trained and shown | `LatentDiffusion` |
| `Judge` | a language model that reads samples | `evaluation.Judge`, and yours |

They are annotations, read by people and by a type checker; nothing inherits from them. Data alone
are checked at run time, where they come in (`_common.data_contract`). B sequences of L tokens out
of V, whose mask is id V; latents are m slots of d numbers, or of codes out of K. Times t, s are
[B], 0 for clean and 1 for noise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import torch
    from torch import Generator, Tensor
    from typing_extensions import TypeIs  # typing has it from Python 3.13 on

    from .estimate import Estimate
    from .randomness import Source

__all__ = ["Channel", "Corpus", "Data", "Denoiser", "Encoder", "Judge", "MaskedNoise", "Model", "Module", "Task"]
__all__ += ["Text", "has_rows", "has_scores", "is_exact", "is_frozen", "is_stochastic", "pad_id", "read_rows"]
__all__ += ["settle", "trunk"]


# -- data ------------------------------------------------------------------------------------------------------------
class Data(Protocol):
    """What every data object is: a source of token sequences, all of one length. For an array of
    ids there is `ld.from_arrays`; for text, `ld.text.from_lines`; for anything else a class with
    these five members, and maybe these:

    - `pad_id`: the id that fills short sequences up, at their end alone; neither noised nor scored.
      `spec()` may then give `lengths`, the share of sequences of each length 0..L;
    - `shape`: (rows, columns), where a sequence is a picture;
    - `rows` and `len`: see `Corpus`; `score` and `entropy`: see `Task`;
    - `decode(ids)`: the text of a sequence, where it is not its labels between spaces;
    - `losses`: what a text lost on its way to ids (`text.losses`).

    Checked where data come in: labels are V texts, ids lie below V, rows are int [n, L], padding is
    at the end, `spec()` goes into JSON. On the command line: `--task my.py:Runs`, with the class in
    a file or module of yours, given again wherever data are asked for.

    >>> import torch
    >>> import lddm_lite as ld
    >>> class Runs:  # 0 0 1 1: zeros, then ones
    ...     length, vocab, labels = 4, 2, ["0", "1"]
    ...     def spec(self):
    ...         return {}
    ...     def sample(self, n, seed=0):
    ...         return torch.tensor([[0, 0, 1, 1]]).expand(n, -1)
    >>> model = ld.LatentDiffusion.preset("mdlm", Runs(), width=16)
    >>> ld.fit(model, Runs(), steps=2, progress=False).column("step")
    [2]
    >>> model.sample(1, token_steps=2).tokens.shape, model.infill("0__1").texts()[0][0]
    ((1, 4), '0')
    """

    @property
    def length(self) -> int:
        """L, tokens in a sequence, padding included."""

    @property
    def vocab(self) -> int:
        """V, how many tokens there are: ids 0..V-1."""

    @property
    def labels(self) -> list[str]:
        """The V words to be shown for the ids."""

    def spec(self) -> dict[str, Any]:
        """JSON that a model keeps as its `data`: how to make the data again, or {}. {"task": name,
        ...} is what `tasks.make` takes, {"text": tokenizer, "lengths": shares} what a text gives.
        """

    def sample(self, n: int, seed: int | Generator = 0) -> Tensor:
        """n sequences [n, L], int64; a generator moves on, so that the next batch is another."""


class Task(Data, Protocol):
    """Data whose law p* is a finite mixture of G products, and so known exactly (METHOD 8). All
    likelihoods in nats per sequence, float64.

    Samples are judged by `score` and `entropy` alone; the others are what an exact model needs.

    >>> from lddm_lite import tasks
    >>> task = tasks.MixtureOfProducts(length=4)
    >>> task.log_prob(task.all_sequences()).exp().sum().round(decimals=6), has_scores(task)
    (tensor(1., dtype=torch.float64), True)
    """

    @property
    def components(self) -> int:
        """G, how many products are mixed."""

    @property
    def log_prior(self) -> Tensor:
        """log of the share of each component [G]."""

    @property
    def probs(self) -> Tensor:
        """Probabilities of the tokens in each component [G, L, V]."""

    def log_joint(self, x: Tensor) -> Tensor:
        """log p of a component and the visible tokens of x [B, L]: [B, G]; masked ones summed out.
        """

    def log_prob(self, x: Tensor) -> Tensor:
        """log p*(x) of sequences [B, L]: [B]."""

    def all_sequences(self) -> Tensor:
        """Every sequence [V**L, L]; ValueError where these are too many."""

    def entropy(self) -> Estimate:
        """H(p*): no bound can be lower."""

    def score(self, x: Tensor, seed: int = 1) -> dict[str, float]:
        """What is said of samples x [n, L] of law q: `excess`, mean of -log p* minus H(p*), which
        is KL(q||p*) + H(q) - H(p*), with `excess_se`, and more."""


class Corpus(Data, Protocol):
    """Data whose N sequences can be counted and read. A corpus on disk also has `batch(numbers)`,
    the rows with these numbers [n, L], and is then read by that.

    >>> from lddm_lite import tasks
    >>> corpus = tasks.Corpus(tasks.Binsaw(length=4), 3)
    >>> len(corpus), corpus.rows.shape, has_rows(corpus), has_scores(corpus)
    (3, torch.Size([3, 4]), True, False)
    """

    @property
    def rows(self) -> Any:
        """All sequences [N, L]: a tensor, or an array mapped from a file."""

    def __len__(self) -> int: ...


class Text(Corpus, Protocol):
    """A corpus of sentences, with padding, in the pieces of a tokenizer.

    >>> from lddm_lite import text
    >>> data = text.from_lines(["the bank is open ."], length=8)
    >>> data.pad_id, data.decode(data.rows[0])
    (0, 'the bank is open .')
    """

    @property
    def pad_id(self) -> int:
        """The id that fills a short sentence up; neither noised nor scored."""

    def decode(self, ids: Any) -> str:
        """The text of token ids [n], padding left out."""


def has_scores(data: Data) -> TypeIs[Task]:
    """Is it a task: are samples judged by the data themselves, exactly? Else by what text is judged
    by.

    >>> from lddm_lite import tasks
    >>> has_scores(tasks.Binsaw(length=4))
    True
    """
    return hasattr(data, "score")


def has_rows(data: Data) -> TypeIs[Corpus]:
    """Is it a corpus: can all sequences of the data be read, one after another?

    >>> from lddm_lite import tasks
    >>> has_rows(tasks.Binsaw(length=4))
    False
    """
    return hasattr(data, "rows") and hasattr(data, "__len__")


def pad_id(data: Data) -> int | None:
    """The id that fills short sequences up; None for data without padding.

    >>> from lddm_lite import tasks
    >>> pad_id(tasks.Binsaw(length=4))
    """
    return getattr(data, "pad_id", None)


def read_rows(data: Corpus, numbers: Any) -> Tensor:
    """The sequences with these numbers: [n, L], int64.

    >>> from lddm_lite import text
    >>> read_rows(text.from_lines(["rain fell .", "snow fell ."], length=4), [1, 1]).shape
    torch.Size([2, 4])
    """
    import torch

    if hasattr(data, "batch"):  # on disk
        return data.batch(numbers)
    return torch.as_tensor(data.rows)[torch.as_tensor(numbers)].long()


# -- parts of a model ----------------------------------------------------------------------------------------------
class Module(Protocol):
    """A torch module, as far as it is asked: weights, buffers, modes. Every `torch.nn.Module` is
    one.

    >>> import torch
    >>> torch.nn.Linear(2, 1).eval().training
    False
    """

    training: bool
    __call__: Callable[..., Any]

    def parameters(self) -> Iterator[torch.nn.Parameter]: ...
    def buffers(self) -> Iterator[Tensor]: ...
    def named_buffers(self) -> Iterator[tuple[str, Tensor]]: ...
    def modules(self) -> Iterator[torch.nn.Module]: ...
    def state_dict(self) -> dict[str, Any]: ...
    def load_state_dict(self, state_dict: dict[str, Any]) -> Any: ...
    def to(self, device: Any) -> Any: ...
    def train(self, mode: bool = True) -> Any: ...
    def eval(self) -> Any: ...


class Denoiser(Module, Protocol):
    """The network: p(x_0 | x_t, z_t) and a guess of z_0, for any pair of noise times.

    What some have besides:

    - `mask_vector` [d], of discrete latents: what stands for a masked code;
    - `exact`, True: a Bayes-optimal one, which needs no lengths and takes codes as they are; asked
      for by `is_exact`;
    - `trunk`: the transformer blocks, which alone compute in bfloat16 or are compiled.

    >>> import torch
    >>> from lddm_lite import Config, networks
    >>> net = networks.Denoiser(Config.preset("mdlm", length=4, vocab=2))
    >>> net(torch.tensor([[0, 2, 2, 1]]), None, None, torch.tensor([[False, True, True, False]])).tokens.shape
    torch.Size([2, 2])
    """

    def forward(
        self,
        x_t: Tensor | None,
        z_t: Tensor | None,
        t_z: Tensor | None,
        where: Tensor | None = None,
        need_latents: bool = True,
        lengths: Tensor | None = None,
        /,
    ) -> Any:
        """A `diffusion.Prediction`: `tokens`, log-probabilities [N, V], a row for each True in
        `where`, None without it; `latents`, where asked for: z_0 [B, m, d], or log-probabilities
        of codes [B, m, K].

        - `x_t` [B, L]: ids; None: all are masked, and no token is asked for;
        - `z_t` [B, m, d]: noised latents, codes as their vectors (if `exact`, as ids [B, m]); None
          without latents;
        - `t_z` [B]: latent noise times in [0, 1]; None without latents;
        - `where` [B, L]: bool, the positions whose tokens are asked for; None for none;
        - `need_latents`: False where nobody reads the latents, which need not be computed then;
        - `lengths` [B]: tokens before the padding; None for models without padding.
        """


class Encoder(Module, Protocol):
    """What makes latents of sequences.

    What some have besides:

    - `codebook` [K, d], of discrete latents: the vector of each code; with `quantise(x, g)` where
      it is trained, and `late`, True: no codes before `settle`;
    - `stochastic`, True: called with a generator too, `forward(x, g)`; asked for by
      `is_stochastic`;
    - `frozen`, True: nothing to train, so that training begins with stage 2; `prepare(rows)` then
      encodes a corpus once; asked for by `is_frozen`;
    - `settle(batches)`, called when stage 1 is over.

    >>> import torch
    >>> from lddm_lite import Config, networks
    >>> networks.ContinuousEncoder(Config.preset("co-seq", length=4, vocab=2))(torch.tensor([[0, 1, 1, 0]] * 2)).shape
    torch.Size([2, 1, 8])
    """

    def forward(self, x: Tensor, /, *args: Any, **kwargs: Any) -> Tensor:
        """Sequences [B, L] -> z_0: numbers [B, m, d] of about unit scale, or codes [B, m], int64.
        """


def is_exact(denoiser: Denoiser) -> bool:
    """Is the denoiser Bayes-optimal? Then it needs no lengths, and takes codes as they are.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> is_exact(LatentDiffusion.exact(tasks.Binsaw(length=4)).denoiser)
    True
    """
    return getattr(denoiser, "exact", False)


def is_stochastic(encoder: Encoder | None) -> bool:
    """Does the encoder draw z_0 at random? Then it is called with a generator, too.

    >>> from lddm_lite import networks, tasks
    >>> is_stochastic(networks.exact.ShiftEncoder(tasks.Binsaw(length=4))), is_stochastic(None)
    (True, False)
    """
    return getattr(encoder, "stochastic", False)


def is_frozen(encoder: Encoder | None) -> bool:
    """Was the encoder trained elsewhere? Then training begins with stage 2.

    >>> is_frozen(None)
    False
    """
    return getattr(encoder, "frozen", False)


def settle(encoder: Encoder, batches: list[Tensor]) -> None:
    """Tell an encoder that stage 1 is over, with some batches of sequences; one that has nothing to
    settle is not told.

    >>> settle(object(), [])
    """
    if hasattr(encoder, "settle"):
        encoder.settle(batches)


def trunk(network: Denoiser | Encoder | None) -> Any:
    """The transformer blocks of a network; None where one of your own has none.

    >>> trunk(None)
    """
    return getattr(network, "trunk", None)


class Channel(Protocol):
    """Noise of one channel, tokens or latents (METHOD 1, 2). Rates and costs are in nats per
    sequence, [B].

    What a denoiser `said` is log-probabilities for masked noise, a guess of z_0 for Gaussian noise.

    >>> import torch
    >>> from lddm_lite import GaussianChannel
    >>> channel, g = GaussianChannel(), torch.Generator()
    >>> channel.corrupt(torch.zeros(5, 1, 2), torch.full((5,), 0.5), g).shape
    torch.Size([5, 1, 2])
    """

    def prior(self, shape: Any, g: Source, /) -> Tensor:
        """Pure noise, t = 1."""

    def corrupt(self, x0: Tensor, t: Tensor, g: Source, /) -> Tensor:
        """A draw of x_t given x_0: (M1), (M5)."""

    def reverse_step(self, x_t: Tensor, said: Tensor, /, *args: Any, **kwargs: Any) -> Tensor:
        """A draw of x_s given x_t, for s < t: (M2), (M6). Masked noise is told where, Gaussian
        noise from when to when."""

    def rate(self, x0: Tensor, x_t: Tensor, said: Tensor, t: Tensor, /) -> Tensor:
        """The integrand of the bound at time t: (M3), (M7)."""

    def step_cost(self, x0: Tensor, x_t: Tensor, said: Tensor, t: Tensor, s: Tensor, /) -> Tensor:
        """What a step t -> s adds to the bound in finite steps: (M4), (M7).

        - `x0`, `x_t`: clean ids or latents [B, ...], and what noise made of them at time t;
        - `said`: by the denoiser at (x_t, t);
        - `t`, `s` [B]: times before and after, s < t; of masked noise they may be shares that are
          masked, where counts are fixed.
        """


class MaskedNoise(Channel, Protocol):
    """Masked noise, of tokens or of codes: the channel that every model has for its tokens.

    >>> from lddm_lite import MaskedChannel
    >>> MaskedChannel(vocab=2).mask_id
    2
    """

    @property
    def mask_id(self) -> int:
        """The id of the mask, one past the last token."""

    def corrupt(self, x0: Tensor, t: Tensor, g: Source, /, keep: Tensor | None = None) -> Tensor:
        """As `Channel.corrupt`; what is True in `keep` [B, L] stays clean."""

    def corrupt_by_count(
        self, x0: Tensor, u: Tensor, g: Source, /, keep: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x0 with the share u [B] of its positions masked, rounded up, any as likely as others; the
        times t [B] at which there are so many; and the shares [B] after rounding."""

    def to_reveal(self, x_t: Tensor, t: float, s: float, g: Source, /) -> Tensor:
        """Which masked positions a step t -> s reveals: bool [B, L]."""


# -- models --------------------------------------------------------------------------------------------------------
class Model(Module, Protocol):
    """A latent discrete diffusion model: two noised channels walked along one path, and what
    predicts them.

    Config, paths, predictions and traces belong to rooms above this one: they are Any here.

    >>> from lddm_lite import LatentDiffusion, tasks
    >>> model = LatentDiffusion.preset("co-seq", tasks.Binsaw(length=8), width=16)
    >>> model.name, model.latent_shape(2), model.sample(2, token_steps=4).tokens.shape
    ('co-seq', (2, 1, 8), (2, 8))
    """

    name: str  # of the system
    labels: list[str]  # the word for each token id
    data: dict[str, Any]  # `spec` of the data that it was made for
    config: Any  # a `Config`
    path: Any  # the system's own `Path`
    # A `Denoiser`; an `Encoder` or None; a `Channel` or None. Which of these there are, and what
    # they have besides, follows from `config.latent`, which no type checker can know.
    denoiser: Any
    encoder: Any
    latent_channel: Any

    @property
    def token_channel(self) -> MaskedNoise:
        """Noise of the tokens."""

    @property
    def device(self) -> torch.device:
        """Where the weights are."""

    def valid(self, x: Tensor) -> Tensor:
        """Bool [B, L]: positions that are not padding."""

    def check_tokens(self, name: str, x: Any, mask_ok: bool = False) -> Tensor:
        """x as ids [B, L] on the model's device; ValueError naming what is wrong with it."""

    def latent_shape(self, n: int) -> tuple[int, ...]:
        """Shape of n latents: [n, m, d], or [n, m] codes."""

    def encode(self, x: Tensor, g: Source | None = None) -> Any:
        """z_0 of sequences [B, L], a tensor of `latent_shape`; None without latents."""

    def predict(
        self,
        x_t: Tensor | None,
        z_t: Tensor | None,
        t_z: Tensor | None,
        where: Tensor | None = None,
        need_latents: bool = True,
        lengths: Tensor | None = None,
    ) -> Any:
        """One network call: a `Prediction`, as of `Denoiser.forward`.

        - `x_t`, `t_z`, `where`, `need_latents`: as there;
        - `z_t`: as there, or of codes the ids [B, m] also where the denoiser is not exact;
        - `lengths` [B]: as there; None counts them in `x_t`, without which models with padding need
          them.
        """

    def loss(self, x0: Any, g: Generator | int = 0, stage: int = 2, few_step: float = 0.25, **options: Any) -> Any:
        """The training loss of a batch [B, L], a `Loss` in nats per sequence."""

    def nelbo(self, x: Any, path: Any = None, **options: Any) -> Any:
        """The bound on -log p(x), a `Nelbo` in nats per sequence."""

    def knots(self, path: Any, token_steps: int | None = None, latent_steps: int | None = None) -> list[Any]:
        """The knots of `path` for these numbers of steps."""

    def sample(
        self,
        n: int,
        token_steps: int | None = None,
        latent_steps: int | None = None,
        path: Any = None,
        seed: int = 0,
        **options: Any,
    ) -> Any:
        """n sequences from pure noise, as a `Trace`.

        - `n`: how many, at least 1;
        - `token_steps`, `latent_steps`: None for the model's usual numbers (see `knots`);
        - `path`: None for the system's own;
        - `seed`: the same one gives the same samples.
        """

    def infill(
        self,
        x: Any,
        n: int = 1,
        token_steps: int | None = None,
        latent_steps: int | None = None,
        path: Any = None,
        seed: int = 0,
        **options: Any,
    ) -> Any:
        """What is missing, filled in, as a `Trace`.

        - `x` [B, L]: ids, the mask where something is missing;
        - `n`: how often each is filled in, at least 1;
        - `token_steps`, `latent_steps`, `path`, `seed`: as for `sample`.
        """

    def save(self, folder: Any, **meta: Any) -> Any:
        """Write config and weights to a folder."""


# -- judges --------------------------------------------------------------------------------------------------------
class Judge(Protocol):
    """A language model that judges texts from outside; Gen PPL is what it finds.

    >>> import torch
    >>> from lddm_lite import evaluation
    >>> class Even:  # 1.5 nats for every token
    ...     name = "even"
    ...     def perplexity(self, texts, progress=True):
    ...         tokens = torch.tensor([len(text.split()) for text in texts])
    ...         return evaluation.perplexity_of(1.5 * tokens, tokens)
    >>> report = evaluation.generation_report(["rain fell .", "the river rose ."], Even())
    >>> report["gen_ppl"]
    Estimate(value=4.4816890703380645, stderr=0.0)
    """

    name: str

    def perplexity(self, texts: list[str], progress: bool = True) -> Any:
        """An `evaluation.Perplexity` of the texts, none of them empty; `value` is an Estimate."""
