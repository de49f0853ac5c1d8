"""Random transformers of a few thousand weights, saved as the real ones are: a BERT and a GPT-2,
with a vocabulary."""

import torch

WORDS = "the a bank river rose fell opened closed in on today monday paris rain snow .".split()


def tokenizer(kind):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] if kind == "bert" else ["<|endoftext|>"]
    vocab = {w: i for i, w in enumerate([*special, *WORDS])}
    made = Tokenizer(models.WordLevel(vocab, unk_token=special[min(1, len(special) - 1)]))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if kind == "bert":
        ends = [("[CLS]", 2), ("[SEP]", 3)]
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
        return PreTrainedTokenizerFast(
            tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
        )
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=special[0], eos_token=special[0])


def save(folder, kind, seed=0, context=64, width=16, lm=False):
    """Write a random model of `kind` bert or gpt2 to `folder`, and return the folder as a string.
    """
    import transformers

    words = tokenizer(kind)
    if kind == "bert":
        config = transformers.BertConfig(
            vocab_size=len(words), hidden_size=width, num_hidden_layers=2, num_attention_heads=2,
            intermediate_size=32, max_position_embeddings=context, initializer_range=0.5,
        )
    else:
        config = transformers.GPT2Config(
            vocab_size=len(words), n_embd=width, n_layer=2, n_head=2, n_positions=context,
            bos_token_id=0, eos_token_id=0, initializer_range=0.5,
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        name = {"bert": "BertModel", "gpt2": "GPT2LMHeadModel" if lm else "GPT2Model"}[kind]
        model = getattr(transformers, name)(config)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return str(folder)


def sentences(n, seed=0, longest=9):
    """n random sentences of 1 to `longest` words."""
    g = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, longest + 1, (n,), generator=g).tolist()
    return [" ".join(WORDS[i] for i in torch.randint(len(WORDS), (k,), generator=g)) for k in sizes]
