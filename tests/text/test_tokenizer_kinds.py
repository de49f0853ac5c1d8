"""Texts in any script or format come back as they were; `auto` says what it chose, and why."""

import json

import pytest

from lddm_lite import LatentDiffusion, Trace
from lddm_lite.text import dataset, prompts, tokenizer_kinds

SCRIPTS = {
    "Chinese": ["今天天气很好，我们去公园散步。", "银行在星期一宣布，利率将保持不变。", "他说：“这是一个好主意！”"],
    "Japanese": ["今日は天気がいいので、散歩に行きました。", "日本銀行は金利を据え置くと発表した。"],
    "Thai": ["วันนี้อากาศดีมาก เราไปเดินเล่นที่สวนสาธารณะ", "ธนาคารประกาศว่าอัตราดอกเบี้ยจะคงที่"],
    "Arabic": ["أعلن البنك المركزي يوم الاثنين أن أسعار الفائدة ستبقى ثابتة.", "ذهبنا إلى الحديقة، وكان الجو جميلاً."],
    "Persian": ["می‌خواهم کتاب‌های خوبی بخوانم.", "بانک مرکزی اعلام کرد که نرخ بهره ثابت می‌ماند."],
    "Hindi": ["आज मौसम बहुत अच्छा है।", "रिज़र्व बैंक ने सोमवार को घोषणा की कि ब्याज दर स्थिर रहेगी।"],
    "Korean": ["오늘은 날씨가 아주 좋습니다.", "한국은행은 월요일에 금리를 동결한다고 발표했다."],
    "Turkish": ["Işık hızı sabittir; İstanbul'da hava güzel.", "Merkez Bankası Pazartesi günü faizi sabit tuttu."],
    "Hebrew": ["שָׁלוֹם עוֹלָם, מה שלומך?", "הבנק הודיע ביום שני."],
    "Vietnamese, decomposed": ["Ti\u1ebf\u0302ng Vi\u1ec7\u0323t co\u0301 da\u0302\u0301u"],
    "emoji": ["I ❤️ this 👩‍👩‍👧‍👦 family 👍🏽!", "🏳️‍🌈 and ☕️ in the morning 😀😀"],
    "code": [
        "def f(x):",
        "    return {'a': x[0], \"b\": x ** 2}  # twice",
        'if __name__ == "__main__":',
        "\tprint(f([1]))",
    ],
    "CSV": ["1,bob,Rome,2.98,2024-08-19", '2,"Ann, Eve",Oslo,-17.5e3,2023-01-02', "3,joe,,0.1,2020-12-31"],
    "JSON": ['{"a": [1, 2, {"b": null}]}', '  {"c":   "d\\n", "<0x41>": "[PAD] [UNK] ##x"}\t.'],
    "DNA": ["ACGT" * 60] * 20,
    "protein": ["MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV"] * 5,
    "molecules": ["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"],
    "prose": ["The bank said on Monday that rates, at 2.5%, would stay.", '"Yes," he said - don\'t!'],
    "chords": ["C4 D4 REST C4 E4 F4 G4 C4 D4 C4"] * 20,
    "mathematics": ["∀x∈ℝ: ⌈x⌉ = −⌊−x⌋", "∂²u/∂t² = c²∇²u"],
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_text_comes_back_by_auto(script):
    """Every character, through a codec that a saved model gives back and through a Trace."""
    lines = SCRIPTS[script]
    data = dataset.from_lines(lines)
    codec = dataset.from_spec(json.loads(json.dumps(data.spec())))
    assert [codec.decode(codec.encode(line)) for line in lines] == lines
    assert len(data) == len(lines) and data.unknown() == 0 and data.losses.changed == 0
    assert data.losses.notes[0].startswith("tokenizer '") and ": " in data.losses.notes[0]
    meta = prompts.shown(LatentDiffusion.preset("mdlm", data, width=16, blocks=1))
    rows = data.rows.long().numpy()
    trace = Trace(rows, rows * 0, rows * 0 + 1, [(1, 0), (0, 0)], data.labels, data.vocab, pad_id=0, meta=meta)
    assert trace.texts() == lines


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("tokenizer", ["words", "symbols"])
def test_by_any_tokenizer_it_comes_back_or_is_refused(script, tokenizer):
    """At least 99.9 % of the characters that are not blanks, in small letters where that is told."""
    lines = SCRIPTS[script]
    try:
        data = dataset.from_lines(lines, tokenizer=tokenizer, length=512)
    except ValueError as e:
        assert "%" in str(e) and "do not come back" in str(e) or "unknown" in str(e)
        return
    small = "in small letters" in data.losses.notes
    for line in lines:
        said = data.codec.same(data.decode(data.encode(line))).replace(" ", "")
        assert said == data.codec.same(line).replace(" ", ""), (small, line)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("tokenizer", ["characters", "bytes"])
def test_characters_and_bytes_give_every_text_back(script, tokenizer):
    data = dataset.from_lines(SCRIPTS[script], tokenizer=tokenizer, vocab=400)
    assert [data.decode(data.encode(line)) for line in SCRIPTS[script]] == SCRIPTS[script]


def test_to_bytes_nothing_is_unknown():
    data = dataset.from_lines(SCRIPTS["prose"], tokenizer="bytes", length=200)
    for script in SCRIPTS.values():
        for line in script:
            if len(line.encode()) <= 200:
                assert data.decode(data.encode(line)) == line


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["the bank rose .", "the yen fell ."], "words"),
        (SCRIPTS["Thai"], "characters"),
        (SCRIPTS["DNA"], "characters"),
        (["ACDEFGHIKLMNPQRSTVWYACDE", "ACDEFGHIKLMNPQRSTVWYACDF"], "characters"),
        (SCRIPTS["CSV"], "bytes"),
        (SCRIPTS["chords"], "symbols"),
    ],
)
def test_what_auto_chooses(lines, kind):
    assert tokenizer_kinds.choose(lines)[0] == kind


def test_length_follows_single_characters_alone():
    assert dataset.from_lines(SCRIPTS["DNA"]).length == 256
    assert dataset.from_lines(["the bank rose ."] * 9 + ["a " * 70]).length == 64
    assert dataset.from_lines(SCRIPTS["DNA"], length=300).length == 300


def test_small_letters_are_told_and_can_be_off():
    assert "in small letters" in dataset.from_lines(["The bank rose ."]).losses.notes
    kept = dataset.from_lines(["The bank rose ."], lowercase=False)
    assert kept.decode(kept.rows[0]) == "The bank rose ." and "in small letters" not in kept.losses.notes
    assert "in small letters" not in dataset.from_lines(["ışık İstanbul'a ulaştı ."], tokenizer="words").losses.notes
    small = dataset.from_lines(["The bank, rose."], tokenizer="characters", lowercase=True)
    assert small.decode(small.rows[0]) == "the bank, rose."


def hugging_face(kind):
    """A small tokenizer, as people bring it along."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    lines = SCRIPTS["prose"] + SCRIPTS["emoji"]
    if kind == "byte-level":
        t = Tokenizer(models.BPE())
        t.pre_tokenizer, t.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        t.train_from_iterator(
            lines,
            trainers.BpeTrainer(
                vocab_size=400, initial_alphabet=alphabet, show_progress=False, special_tokens=["<|endoftext|>"]
            ),
        )
    elif kind == "metaspace":
        t = Tokenizer(models.Unigram())
        t.pre_tokenizer, t.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        t.train_from_iterator(
            lines,
            trainers.UnigramTrainer(
                vocab_size=120, special_tokens=["<unk>", "<pad>"], unk_token="<unk>", show_progress=False
            ),
        )
    else:
        t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        t.normalizer, t.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
        t.decoder = decoders.WordPiece()
        special = ["[CLS]", "[PAD]", "[UNK]", "[MASK]"]
        t.train_from_iterator(
            lines, trainers.WordPieceTrainer(vocab_size=300, special_tokens=special, show_progress=False)
        )
        t.enable_padding(length=10_000_000)
    return t


@pytest.mark.parametrize("kind", ["byte-level", "metaspace"])
def test_a_tokenizer_of_ones_own(tmp_path, kind):
    hugging_face(kind).save(str(tmp_path / "tokenizer.json"))
    data = dataset.from_lines(SCRIPTS["prose"], tokenizer=str(tmp_path))
    assert data.labels[:2] == ["[PAD]", "[UNK]"] and [data.decode(row) for row in data.rows] == SCRIPTS["prose"]
    model = LatentDiffusion.preset("mdlm", data, width=16, blocks=1)
    text = "The bank said on [MASK] that rates, at 2.5%, would stay."
    ids = prompts.encode(model, text)
    holes = (ids == data.vocab).nonzero().flatten()
    assert len(holes) == 1 and data.decode(ids).replace(" ", "") == text.replace(" ", "")
    assert data.labels[ids[holes[0] - 1]].endswith("on"), "the blank before a gap is the gap's"
    said = model.infill(text, token_steps=1).text(0)
    assert said.startswith("The bank said on") and said.endswith("that rates, at 2.5%, would stay.")


def test_one_that_loses_text_is_refused(tmp_path):
    hugging_face("word pieces").save(str(tmp_path / "t.json"))
    with pytest.raises(ValueError, match="characters do not come back|unknown"):
        dataset.from_lines(SCRIPTS["emoji"], tokenizer=str(tmp_path / "t.json"))
    data = dataset.from_lines(
        ["the bank said [CLS] [MASK] [PAD]"], tokenizer=str(tmp_path / "t.json"), allow_losses=True
    )
    assert data.length == 64 and not (data.rows[0, :4] == 0).any(), "what a text spells is text"


@pytest.mark.parametrize(
    ("tokenizer", "message"),
    [("letters", "tokenizer must be one of auto, words"), (3, "tokenizer must be"), ("bad.json", "is damaged")],
)
def test_what_is_no_tokenizer(tmp_path, monkeypatch, tokenizer, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(ValueError, match=message):
        dataset.from_lines(["a b"], tokenizer=tokenizer)
