import pytest

from kinemark.training.recipes import spark_cpu, spark_gpu, tiny_recipe

RECIPES = [spark_cpu(), spark_gpu(), tiny_recipe()]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_size_is_whole_patches(recipe):
    for stage in recipe.stages:
        for scale in stage.scales:
            assert all(side % recipe.patch == 0 for side in scale.size)
            assert scale.share > 0


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_batch_holds_the_longest_window_with_its_anchors(recipe):
    longest = max(high for _, high in recipe.windows) + 2
    largest = max(s.size[0] * s.size[1] for stage in recipe.stages for s in stage.scales) // recipe.patch**2
    assert longest * largest <= recipe.tokens_per_step or recipe.name == "tiny"


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_shares_add_up(recipe):
    assert sum(recipe.window_shares) == pytest.approx(1)
    for stage in recipe.stages:
        for scale in stage.scales:
            noise = scale.noise
            assert noise.history + noise.shared + noise.independent == pytest.approx(1)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_there_is_a_stage_for_every_number_of_tokens(recipe):
    ends = [stage.until_tokens for stage in recipe.stages]
    assert ends == sorted(ends)
    assert recipe.stage(0) is recipe.stages[0]
    assert recipe.stage(1e18) is recipe.stages[-1]


def test_the_gpu_trains_the_model_that_the_cpu_trains():
    assert spark_cpu().config == spark_gpu().config


def test_coarse_pictures_are_noisier_than_fine_ones():
    last = spark_cpu().stages[-1].scales
    coarse = [scale.noise.mean for scale in last if max(scale.size) <= 40]
    fine = [scale.noise.mean for scale in last if max(scale.size) > 40]
    assert min(coarse) > max(fine)
