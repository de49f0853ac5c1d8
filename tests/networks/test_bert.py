"""BERT's network: equal to transformers' own, blind to padding, started from pretrained weights."""

import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast

from lddm_lite import LatentDiffusion
from lddm_lite.networks import bert
from lddm_lite.networks.bert import BertTransformer, Place
from lddm_lite.text import from_lines
from lddm_lite.text.bert_vocabulary import bert as vocabulary

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "bank", "rose", "fell", ".", *"abcdefghklnorst"]
SIZES = dict(width=16, blocks=2, heads=2, network="bert")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small pretrained encoder, as transformers writes one."""
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("encoder")
    (place / "vocab.txt").write_text("\n".join(PIECES), "utf-8")
    BertTokenizerFast(str(place / "vocab.txt")).save_pretrained(place)
    made = BertConfig(
        vocab_size=len(PIECES), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=16,
    )  # fmt: skip
    model = BertModel(made, add_pooling_layer=False)
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    model.save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def data():
    return from_lines(["the bank rose .", "the bank fell", "rose ."] * 20, vocab=16, length=6, tokenizer="symbols")


def test_tokens_alone_are_what_bert_makes_of_them(folder):
    theirs = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    found = bert.pretrained(str(folder), PIECES[:4], length=8)
    mine = BertTransformer(width=16, blocks=2, heads=2, length=8)
    mine.load_state_dict({k.removeprefix("denoiser.trunk."): v for k, v in found.items() if ".trunk." in k})
    ids = torch.tensor([[5, 6, 7, 9, 0, 0], [6, 8, 5, 6, 7, 9]])
    valid, words = ids != 0, theirs.embeddings.word_embeddings(ids)
    positions = torch.arange(1, 7).expand(2, -1)  # the first one is that of latents
    with torch.no_grad():
        expected = theirs(ids, attention_mask=valid.long(), position_ids=positions).last_hidden_state
        h, y = mine(words, None, valid)
        some = torch.tensor([[True, False, False, True, False, False], [False] * 4 + [True, True]])
        picked, _ = mine(words, None, valid, some)
    assert y is None and torch.allclose(h[valid], expected[valid], atol=1e-5)
    assert (h[~valid] == 0).all() and torch.allclose(picked, expected[some], atol=1e-5)


def test_padding_changes_nothing(data):
    """Sentences of other lengths beside one, and cells that are padding, leave its prediction alone."""
    for system in ("mdlm", "co-seq", "di-seq"):
        model = LatentDiffusion.preset(system, data, codes=4, slots=2, dim=4, encoder_blocks=1, **SIZES).eval()
        torch.nn.init.normal_(model.denoiser.head.weight)
        x = data.rows[:3].long()
        masked = torch.where(x != 0, torch.full_like(x, data.vocab), x)
        z = None if model.encoder is None else model.encode(x)
        t = torch.full((3,), 0.5)
        with torch.no_grad():
            together = model.predict(masked, z, t, masked == data.vocab).tokens
            alone = [
                model.predict(
                    masked[i : i + 1], None if z is None else z[i : i + 1], t[:1], masked[i : i + 1] == data.vocab
                )
                for i in range(3)
            ]
        assert torch.allclose(together, torch.cat([said.tokens for said in alone]), atol=1e-5), system


def test_place_packs_and_spreads():
    there = torch.tensor([[True, False, True], [False, True, True]])
    h = torch.arange(6.0).view(2, 3, 1)
    place = Place(there)
    assert place.packed(h).flatten().tolist() == [0, 2, 4, 5]
    assert place.spread(place.packed(h)).flatten().tolist() == [0, 0, 2, 0, 4, 5]


def test_what_nobody_asks_for_is_not_given():
    net = BertTransformer(width=8, blocks=2, heads=2, length=4)
    h, y = torch.randn(2, 4, 8), torch.randn(2, 1, 8)
    assert net(h, y, tokens=False)[0] is None and net(h, y, latents=False)[1] is None
    whole, z = net(h, y)
    assert torch.allclose(net(None, y)[1], net(None, y)[1]) and whole.shape == (2, 4, 8)
    asked = torch.tensor([[True, False, False, True], [False, False, False, False]])
    part, z_too = net(h, y, tokens=asked)
    assert torch.allclose(part, whole[asked], atol=1e-6) and torch.allclose(z_too, z, atol=1e-6)


@pytest.mark.parametrize("system", ["co-joint", "di-seq"])
def test_latents_of_tokens_end_with_the_text(system, data):
    """What lies in slots beyond it is not seen, is known, and costs nothing."""
    model = LatentDiffusion.preset(system, data, codes=4, slots=6, dim=4, encoder_blocks=1, **SIZES).eval()
    for part in (model.denoiser.head, model.denoiser.latent_head):
        torch.nn.init.normal_(part.weight)
    x = data.rows[:3].long()
    valid, lengths = model.valid(x), model.valid(x).sum(1)
    assert not bool(valid.all()) and model.config.per_token
    z0 = model.encode(x)
    assert not z0[~valid].any() and z0[valid].any()
    g = torch.Generator().manual_seed(1)
    noise = [model.latent_channel.corrupt(z0, torch.full((3,), 0.5), g) for _ in range(2)]
    own = valid if system == "di-seq" else valid.unsqueeze(-1)
    noise[1] = torch.where(own, noise[0], noise[1])
    assert not torch.equal(*noise)
    masked = torch.where(valid, torch.full_like(x, data.vocab), x)
    t = torch.full((3,), 0.5)
    with torch.no_grad():
        first, second = (model.predict(masked, z, t, masked == data.vocab) for z in noise)
        alone = model.predict(None, noise[0], t, lengths=lengths)
    assert torch.equal(first.tokens, second.tokens) and torch.equal(first.latents, second.latents)
    assert torch.equal(first.latents[~valid], alone.latents[~valid])
    costs = [model.latent_channel.rate(z0, noise[0], out.latents, t) for out in (first, second)]
    assert torch.equal(*costs)
    if system == "di-seq":
        assert first.latents[~valid][:, 0].abs().max() == 0
    else:
        assert first.latents[~valid].abs().max() == 0
    trace = model.sample(8, 3, 3, seed=0)
    assert (trace.tokens != data.vocab).all()


def test_the_position_of_a_tokens_latent_is_the_tokens(data):
    """Two blank latents differ by their place and slot alone; by the first, where slots are alike."""
    for slots, differ in ((2, False), (6, True)):
        model = LatentDiffusion.preset("co-joint", data, slots=slots, dim=4, **SIZES).eval()
        with torch.no_grad():
            model.denoiser.slot.zero_()
            torch.nn.init.normal_(model.denoiser.latent_head.weight)
            z = torch.zeros(1, slots, 4)
            out = model.predict(None, z, torch.ones(1), lengths=torch.tensor([6])).latents[0]
        assert torch.allclose(out[0], out[1], atol=1e-6) != differ


@pytest.mark.parametrize("slots", [2, 6])
@pytest.mark.parametrize("system", ["mdlm", "co-joint", "co-seq", "di-joint", "di-seq"])
def test_every_system_trains_samples_and_is_saved(system, slots, data, tmp_path):
    model = LatentDiffusion.preset(system, data, codes=4, slots=slots, dim=4, encoder_blocks=1, **SIZES)
    loss = model.loss(data.sample(8, 0))
    loss.total.backward()
    assert all(p.grad is not None for name, p in model.denoiser.named_parameters() if "mask_vector" not in name)
    model.save(tmp_path / "m")
    again = LatentDiffusion.load(tmp_path / "m")
    assert (again.sample(4, 2, seed=3).tokens == model.eval().sample(4, 2, seed=3).tokens).all()


def test_it_begins_with_the_encoder(folder):
    model = LatentDiffusion.preset(
        "mdlm", from_lines(["the bank rose ."], vocab=16, length=6, tokenizer="symbols"), **SIZES
    )
    left = model.init_from(str(folder))
    assert left and all(name.startswith(("denoiser.head", "denoiser.bias")) for name in left)
    theirs = BertModel.from_pretrained(folder, add_pooling_layer=False).state_dict()
    words = theirs["embeddings.word_embeddings.weight"]
    at = [PIECES.index(label) for label in model.labels] + [PIECES.index("[MASK]")]
    assert torch.equal(model.denoiser.embed.weight, words[at])


def test_another_kind_of_encoder_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="length must be below 16"):
        bert.pretrained(str(folder), PIECES, length=16)
    made = BertConfig(vocab_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, hidden_act="relu")
    BertModel(made).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="must be a BERT encoder with GELU"):
        bert.pretrained(str(tmp_path), PIECES, length=4)


def test_a_page_has_no_such_network(data):
    with pytest.raises(ValueError, match="no network='bert'"):
        LatentDiffusion.preset("mdlm", data, **SIZES).to_web()


def test_kept_pieces_are_the_most_frequent_and_spell_all_words(tmp_path):
    file = tmp_path / "vocab.txt"
    letters = [*"abcdehklnorsf.", *(f"##{c}" for c in "abcdehklnorsf")]
    file.write_text(
        "\n".join(["[PAD]", "[unused0]", "[UNK]", "[MASK]", *letters, "the", "bank", "rose", "fell"]), "utf-8"
    )
    lines = ["the bank fell .", "the bank rose .", "the rose"]
    codec = vocabulary(8, file, kept=2 + len(letters) + 2, lines=lines)
    assert [p for p in codec.labels if len(p) > 3 and p[0] != "["] == ["bank"] and "the" in codec.labels
    assert codec.decode(codec.encode("the bank fell .")) == "the bank fell ."
    with pytest.raises(ValueError, match="kept must be at least"):
        vocabulary(8, file, kept=5, lines=lines)
    with pytest.raises(ValueError, match="needs lines"):
        vocabulary(8, file, kept=40)
