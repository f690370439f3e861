import torch

from kinemark.model.expander import Expander, ExpanderConfig, expander_config, extra_id, ids_of, prompt_ids, text_of
from kinemark.model.tokenizer import START, UNKNOWN
from kinemark.training.expander import ExpanderRecipe, draw_pair, expander_loss, train_expander

SMALL = ExpanderConfig(vocabulary=expander_config().vocabulary, width=32, heads=2, layers=1)


def test_texts_come_back_from_their_words():
    assert (
        text_of(ids_of("a red boat drifts right, at noon. it is foggy."))
        == "A red boat drifts right, at noon. It is foggy"
    )


def test_a_prompt_is_its_words_between_marks():
    ids = prompt_ids("A zorgle boat!")
    assert (ids[0], ids[2], ids[-1]) == (START, UNKNOWN, extra_id("<say>"))
    assert len(ids) == 5


def test_no_word_sees_the_words_after_it():
    torch.manual_seed(0)
    expander = Expander(SMALL).eval()
    ids = torch.tensor([ids_of("a red boat drifts right at noon")])
    other = ids.clone()
    other[:, 4:] = 5
    assert torch.allclose(expander(ids)[:, :4], expander(other)[:, :4], atol=1e-5)


def test_what_is_said_depends_on_the_seed_alone():
    torch.manual_seed(0)
    expander = Expander(SMALL).eval()
    with torch.no_grad():
        expander.words.weight[extra_id("<stop>")] += 0.1
    assert expander.say("a red boat", 4, seed=1) == expander.say("a red boat", 4, seed=1)


def test_detailed_captions_say_at_least_what_the_short_ones_do():
    import random

    rng = random.Random(0)
    for _ in range(20):
        short, long = draw_pair(rng)
        assert short != long


def test_training_lowers_the_loss_and_is_a_function_of_its_recipe():
    import random

    recipe = ExpanderRecipe(steps=40, batch=16, warmup=5)
    one, other = (train_expander(recipe, lambda _: None, SMALL) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    rng = random.Random(9)
    pairs = [draw_pair(rng) for _ in range(16)]
    torch.manual_seed(recipe.seed)
    with torch.no_grad():
        assert expander_loss(one, pairs) < 0.9 * expander_loss(Expander(SMALL), pairs)
