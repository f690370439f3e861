import pytest

from kinemark.training.recipes import spark_cpu, spark_gpu, tiny_spark

SPARKS = [spark_cpu(), spark_gpu(), tiny_spark()]
RECIPES = [recipe for spark in SPARKS for recipe in (spark.scene, spark.detail)]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_size_is_whole_patches(recipe):
    for scale in recipe.scales:
        assert all(side % recipe.patch == 0 for side in scale.size)
        assert scale.share > 0


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_batch_holds_the_longest_window_with_its_anchors(recipe):
    longest = max(high for _, high in recipe.windows) + 2
    largest = max(s.size[0] * s.size[1] for s in recipe.scales) // recipe.patch**2
    assert longest * largest <= recipe.tokens_per_step or "tiny" in recipe.name


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_shares_add_up(recipe):
    assert sum(recipe.window_shares) == pytest.approx(1)
    assert sum(scale.share for scale in recipe.scales) == pytest.approx(1)
    for scale in recipe.scales:
        noise = scale.noise
        assert noise.history + noise.shared + noise.independent == pytest.approx(1)


def test_the_gpu_trains_the_model_that_the_cpu_trains():
    assert spark_cpu().scene.config == spark_gpu().scene.config
    assert spark_cpu().detail.config == spark_gpu().detail.config


@pytest.mark.parametrize("spark", SPARKS[:2], ids=lambda spark: spark.name)
def test_the_scene_is_decided_on_smaller_and_noisier_pictures(spark):
    small, large = ({scale.size for scale in recipe.scales} for recipe in (spark.scene, spark.detail))
    assert max(max(size) for size in small) < max(max(size) for size in large)
    assert min(s.noise.mean for s in spark.scene.scales) > max(s.noise.mean for s in spark.detail.scales)
