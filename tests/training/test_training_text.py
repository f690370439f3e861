import random

import torch

from kinemark.model.scene_code import UNSPECIFIED
from kinemark.model.text import TextConfig, TextEncoder
from kinemark.model.tokenizer import MAX_WORDS, load_vocabulary, split_words, unknown_words
from kinemark.training import foreign
from kinemark.training.text import (
    TextRecipe,
    caption_loss,
    clean_captions,
    misspelt,
    needed_words,
    rough_captions,
    text_accuracy,
    train_text_encoder,
)
from kinemark.worlds.captions import Caption
from kinemark.worlds.lexicon import COLOURS
from kinemark.worlds.spec import ATTRIBUTES

TINY = TextConfig(len(load_vocabulary()), width=24, heads=2, ffn=32, layers=1)


def _take(stream, n):
    return [next(stream) for _ in range(n)]


def test_every_caption_is_in_the_vocabulary():
    captions = _take(clean_captions(random.Random(99)), 400)
    assert [c.text for c in captions if unknown_words(c.text)] == []
    assert max(len(split_words(c.text)) for c in captions) <= MAX_WORDS


def test_function_words_are_in_the_vocabulary_and_foreign_words_are_not():
    vocabulary = load_vocabulary()
    assert set(foreign.FUNCTION_WORDS) <= vocabulary.keys()
    strangers = {*foreign.NOUNS, *foreign.VERBS, *foreign.ADJECTIVES, *foreign.EXTRAS}
    assert not strangers & vocabulary.keys()


def test_words_whose_meaning_the_encoder_lacks_are_unknown():
    assert not {"not", "no", "without", "two", "brown", "grey", "truck", "cat"} & load_vocabulary().keys()


def test_needed_words_are_sorted_and_known():
    words = needed_words(captions=50)
    assert words == sorted(set(words))
    assert set(words) <= load_vocabulary().keys()


def test_no_held_out_composition_is_read_in_training():
    captions = _take(clean_captions(random.Random(1)), 300)
    pairs = {(c.said.get("subject"), c.said.get("colour")) for c in captions}
    assert not pairs & {("kite", "red"), ("dog", "white"), ("ball", "yellow"), ("sailboat", "pink"), ("whale", "green")}


def test_rough_captions_hold_the_limit_and_contain_nothing_said():
    captions = _take(rough_captions(random.Random(2)), 500)
    assert max(len(split_words(c.text)) for c in captions) <= MAX_WORDS
    assert any(c.text == "" for c in captions)
    assert 0.02 < sum(not c.said for c in captions) / len(captions) < 0.2
    assert any(unknown_words(c.text) and c.said for c in captions)


def test_irrelevant_sentences_hold_no_word_of_a_subject_or_colour():
    rng = random.Random(3)
    words = {word for _ in range(300) for word in split_words(foreign.irrelevant_sentence(rng))}
    assert not words & {"red", "bird", "car", "night", "sea", "left", "small", "rain"}
    assert not words & COLOURS.keys()
    assert len(words) > 200


def test_a_slip_of_the_finger_leaves_short_words_and_makes_no_known_word():
    rng = random.Random(4)
    assert misspelt("sea", rng) == "sea"
    slips = {misspelt("sailboat", rng) for _ in range(200)}
    assert len(slips) > 50
    assert all(abs(len(slip) - len("sailboat")) <= 1 for slip in slips)
    assert not (slips - {"sailboat"}) & load_vocabulary().keys()


def test_an_untrained_encoder_starts_near_chance():
    torch.manual_seed(0)
    batch = _take(clean_captions(random.Random(5)), 16)
    loss = caption_loss(TextEncoder(TINY), batch)
    assert 1.0 < loss.item() < 4.0


def test_forgotten_words_change_the_loss():
    torch.manual_seed(0)
    batch = _take(clean_captions(random.Random(5)), 8)
    encoder = TextEncoder(TINY)
    assert caption_loss(encoder, batch, forget_words=1.0).item() != caption_loss(encoder, batch).item()


def test_the_loss_is_small_only_for_the_right_reading():
    torch.manual_seed(0)
    encoder = TextEncoder(TINY)
    with torch.no_grad():
        encoder.norm.weight.zero_()
        encoder.norm.bias.fill_(1.0)
        encoder.heads_AVD.zero_()
        encoder.heads_AVD[:, UNSPECIFIED] = 1.0
    assert caption_loss(encoder, [Caption("", {})]).item() < 1e-4
    assert caption_loss(encoder, [Caption("", {"setting": "sea"})]).item() > 1.0


def test_training_learns():
    recipe = TextRecipe(steps=50, batch=16, pool=2, warmup=10, learning_rate=1e-2)
    batch = _take(clean_captions(random.Random(6)), 32)
    torch.manual_seed(0)
    before = caption_loss(TextEncoder(TINY), batch).item()
    trained = train_text_encoder(recipe, report=lambda _: None, config=TINY)
    with torch.no_grad():
        assert caption_loss(trained, batch).item() < 0.75 * before
    assert not trained.training


def test_the_same_recipe_gives_the_same_weights():
    recipe = TextRecipe(steps=4, batch=4, pool=1)
    first, second = (train_text_encoder(recipe, report=lambda _: None, config=TINY) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_progress_is_reported():
    lines = []
    recipe = TextRecipe(steps=5, batch=1, pool=1, report_every=2)
    train_text_encoder(recipe, report=lines.append, config=TextConfig(len(load_vocabulary()), 8, 1, 8, 1))
    assert len(lines) == 2
    assert lines[0].startswith("step 2 loss ")


def test_accuracy_is_a_rate_for_each_attribute():
    torch.manual_seed(0)
    accuracy = text_accuracy(TextEncoder(TINY).eval(), n=20)
    assert list(accuracy) == [*(a.name for a in ATTRIBUTES), "all"]
    assert all(0 <= rate <= 1 for rate in accuracy.values())
    assert accuracy["all"] <= min(accuracy.values())
