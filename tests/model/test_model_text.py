from importlib.resources import files
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from user_prompts import MISSPELT_PROMPTS, USER_PROMPTS

from kinemark.model.scene_code import (
    NUM_VALUES,
    TEXT_DIM,
    TEXT_LEN,
    UNSPECIFIED,
    hadamard,
    scene_code,
    scene_tokens,
    value_codes,
)
from kinemark.model.text import TextConfig, TextEncoder, count_words, text_config
from kinemark.model.tokenizer import (
    GROUP_BUCKETS,
    MAX_GROUPS,
    MAX_WORDS,
    PAD,
    SPECIAL,
    START,
    UNKNOWN,
    UnknownWord,
    letter_groups,
    load_vocabulary,
    split_words,
    tokenize,
    unknown_words,
    word_id,
)
from kinemark.worlds.spec import ATTRIBUTES

PROMPTS = ["a red sailboat drifts right", "", "fog", "a bird, a plane; a dog " + "walks " * 20]


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return TextEncoder(TextConfig(len(load_vocabulary()), width=32, heads=2, ffn=48, layers=2)).eval()


def _shipped_encoder():
    path = Path(str(files("kinemark.model"))) / "weights" / "spark.safetensors"
    if not path.exists():
        pytest.skip("the weights of spark are not here")
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("text.")]  # noqa: SIM118  not a dict
        weights = {name.removeprefix("text."): file.get_tensor(name).float() for name in names}
    shipped = TextEncoder(text_config())
    shipped.load_state_dict(weights)
    return shipped.eval()


# Words ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("A Hot-Air Balloon!", ["a", "hot", "air", "balloon"]),
        ("it's  night,,night", ["it's", "night", "night"]),
        ("the dog\N{RIGHT SINGLE QUOTATION MARK}s ball", ["the", "dog's", "ball"]),
        ("\N{FULLWIDTH LATIN SMALL LETTER R}ed\tcar_blue", ["red", "car", "blue"]),
        ("\N{CJK UNIFIED IDEOGRAPH-9CE5}", ["\N{CJK UNIFIED IDEOGRAPH-9CE5}"]),
        ("...", []),
        ("", []),
    ],
)
def test_prompts_are_split_into_words(prompt, words):
    assert split_words(prompt) == words
    assert count_words(prompt) == len(words)


def test_vocabulary_has_each_word_once():
    vocabulary = load_vocabulary()
    assert len(vocabulary) > 500
    assert sorted(vocabulary.values()) == list(range(SPECIAL, SPECIAL + len(vocabulary)))
    assert all(split_words(word) == [word] for word in vocabulary)


def test_tokenized_prompts_start_and_are_padded():
    words = tokenize(["a dog", "", "a xylophone runs"])
    assert len(words) == 3
    assert words.ids_BL.tolist() == [
        [START, word_id("a"), word_id("dog"), PAD],
        [START, PAD, PAD, PAD],
        [START, word_id("a"), UNKNOWN, word_id("runs")],
    ]
    assert words.groups_BLG.shape == (3, 4, MAX_GROUPS)
    assert not words.groups_BLG[1].any()
    assert not words.groups_BLG[:, 0].any()


def test_letter_groups_are_stable_and_bounded():
    assert letter_groups("sea") == letter_groups("sea")
    assert len(letter_groups("sea")) == 4
    assert letter_groups("sea")[0] == letter_groups("sae")[0]
    assert len(letter_groups("a" * 500)) == MAX_GROUPS
    assert all(0 < group < GROUP_BUCKETS for group in letter_groups("sailboat"))
    assert len(set(letter_groups("sailboat")) & set(letter_groups("sailbaot"))) >= 4


def test_no_prompts_are_no_words():
    words = tokenize([])
    assert len(words) == 0
    assert words.groups_BLG.shape == (0, 1, MAX_GROUPS)


def test_a_prompt_of_the_most_words_is_read_and_one_more_is_an_error(encoder):
    assert tokenize(["dog " * MAX_WORDS]).ids_BL.shape == (1, MAX_WORDS + 1)
    for read in (tokenize, encoder.encode, encoder.read):
        with pytest.raises(ValueError, match=f"{MAX_WORDS + 1} words; at most {MAX_WORDS}"):
            read(["a cat", "dog " * (MAX_WORDS + 1)])


def test_unknown_words_come_once_in_order_with_a_near_word():
    assert unknown_words("A sailbaot and a dragon, a dragon!") == (
        UnknownWord("sailbaot", "sailboat"),
        UnknownWord("dragon"),
    )
    assert unknown_words("a red sailboat at sea") == ()


def test_short_words_have_no_suggestion():
    assert unknown_words("cat") == (UnknownWord("cat"),)


# The code -------------------------------------------------------------------------------------------------------------


def test_hadamard_rows_are_orthogonal_signs():
    matrix = hadamard(16)
    assert set(matrix.flatten().tolist()) == {-1.0, 1.0}
    assert torch.equal(matrix @ matrix.T, 16 * torch.eye(16))


def test_code_has_mean_square_one_and_equal_distances():
    code_AVD = scene_code()
    assert code_AVD.shape == (TEXT_LEN, NUM_VALUES, TEXT_DIM)
    for index, attribute in enumerate(ATTRIBUTES):
        rows = code_AVD[index, [*range(len(attribute.values)), UNSPECIFIED]]
        assert torch.allclose(rows.square().mean(-1), torch.ones(len(rows)))
        apart = torch.cdist(rows, rows)[~torch.eye(len(rows), dtype=bool)]
        assert torch.allclose(apart, torch.full_like(apart, TEXT_DIM**0.5))
        assert not code_AVD[index, len(attribute.values) : UNSPECIFIED].any()


def test_all_codes_differ():
    code_AVD = scene_code()
    rows = code_AVD[code_AVD.abs().sum(-1) > 0]
    assert len(rows.unique(dim=0)) == sum(len(a.values) + 1 for a in ATTRIBUTES)


def test_first_and_second_subject_share_their_value_vectors():
    first, second = scene_tokens([{"colour": "red"}, {"second_colour": "red"}])
    blank = scene_tokens([{}])[0]
    names = [a.name for a in ATTRIBUTES]
    moved_first = (first - blank)[names.index("colour")]
    moved_second = (second - blank)[names.index("second_colour")]
    assert torch.allclose(moved_first, moved_second)


def test_value_codes_count_in_the_order_of_the_values():
    codes_BA = value_codes([{}, {"setting": "lake", "second_direction": "down"}])
    assert codes_BA[0].tolist() == [UNSPECIFIED] * TEXT_LEN
    assert codes_BA[1, 0] == 1
    assert codes_BA[1, -1] == 3
    with pytest.raises(ValueError, match="moon"):
        value_codes([{"setting": "moon"}])


def test_scene_tokens_of_nothing():
    assert scene_tokens([]).shape == (0, TEXT_LEN, TEXT_DIM)


# The encoder ----------------------------------------------------------------------------------------------------------


def test_encode_gives_one_token_for_each_attribute(encoder):
    tokens_BLD = encoder.encode(PROMPTS)
    assert tokens_BLD.shape == (len(PROMPTS), TEXT_LEN, TEXT_DIM)
    assert tokens_BLD.dtype == torch.float32
    assert not tokens_BLD.requires_grad
    assert encoder.encode([]).shape == (0, TEXT_LEN, TEXT_DIM)


def test_probabilities_sum_to_one_over_the_values_that_exist(encoder):
    probabilities_BAV = encoder.probabilities(PROMPTS)
    torch.testing.assert_close(probabilities_BAV.sum(-1), torch.ones(len(PROMPTS), TEXT_LEN))
    for index, attribute in enumerate(ATTRIBUTES):
        assert not probabilities_BAV[:, index, len(attribute.values) : UNSPECIFIED].any()


def test_a_prompt_is_read_alike_alone_and_in_company(encoder):
    together = encoder.encode(PROMPTS * 20)
    for index, prompt in enumerate(PROMPTS):
        torch.testing.assert_close(encoder.encode([prompt])[0], together[index], atol=1e-5, rtol=1e-5)


def test_case_and_punctuation_do_not_matter(encoder):
    first, second = encoder.encode(["A red, red DOG!", "a red red dog"])
    torch.testing.assert_close(first, second)


def test_word_order_matters(encoder):
    first, second = encoder.probabilities(["a red dog left a car", "a car left a red dog"])
    assert not torch.allclose(first, second, atol=1e-4)


def test_sure_probabilities_give_exact_codes(encoder):
    said = [{"setting": "sea", "subject": "whale"}, {}]
    sure = torch.nn.functional.one_hot(value_codes(said), NUM_VALUES).float()
    assert torch.equal(encoder.tokens(sure), scene_tokens(said))


def test_reading_names_every_attribute_and_the_unknown_words(encoder):
    reading, empty = encoder.read(["a glorious dog", ""])
    assert list(reading.choices) == [a.name for a in ATTRIBUTES]
    for attribute in ATTRIBUTES:
        choice = reading.choices[attribute.name]
        assert choice.value is None or choice.value in attribute.values
        assert 1 / (len(attribute.values) + 1) <= choice.probability <= 1
    assert reading.said == {name: choice.value for name, choice in reading.choices.items() if choice.value}
    assert [unknown.word for unknown in reading.unknown] == ["glorious"]
    assert empty.unknown == ()


def test_the_fixed_code_is_not_among_the_weights(encoder):
    assert not any("code" in name or "absent" in name for name in encoder.state_dict())


def test_the_encoder_is_small():
    assert sum(p.numel() for p in TextEncoder(text_config()).parameters()) < 800_000


def test_all_weights_learn(encoder):
    encoder.zero_grad()
    encoder(tokenize(PROMPTS)).masked_fill(encoder.absent_AV, 0.0).square().sum().backward()
    idle = [name for name, weight in encoder.named_parameters() if weight.grad is None or not weight.grad.any()]
    encoder.zero_grad()
    assert idle == []


# The weights that ship ------------------------------------------------------------------------------------------------


def test_shipped_encoder_reads_what_people_type():
    shipped = _shipped_encoder()
    wrong = [
        (prompt, reading.said, said)
        for (prompt, said), reading in zip(USER_PROMPTS, shipped.read([p for p, _ in USER_PROMPTS]), strict=True)
        if reading.said != said
    ]
    assert len(wrong) <= len(USER_PROMPTS) // 20, wrong


def test_shipped_encoder_survives_slips_of_the_finger():
    shipped = _shipped_encoder()
    right = total = 0
    for (_, said), reading in zip(MISSPELT_PROMPTS, shipped.read([p for p, _ in MISSPELT_PROMPTS]), strict=True):
        total += len(said)
        right += len(said.items() & reading.said.items())
        assert reading.unknown
    assert right >= 0.7 * total


def test_shipped_tokens_are_tight():
    shipped = _shipped_encoder()
    prompts = [prompt for prompt, _ in USER_PROMPTS[:20]]
    exact = scene_tokens([reading.said for reading in shipped.read(prompts)])
    assert (shipped.encode(prompts) - exact).square().mean() < 0.02
