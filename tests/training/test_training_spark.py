import shutil

import pytest
import torch
from safetensors.torch import save_file

from kinemark.data.manifest import require_manifest
from kinemark.errors import FailureError, RequestError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.layout_reader import LayoutReader, LayoutReaderConfig
from kinemark.model.load import load_networks
from kinemark.model.planner import LayoutPlanner, PlannerConfig
from kinemark.model.text import TextEncoder, text_config
from kinemark.training import spark as module
from kinemark.training.layout_reader import LayoutReaderRecipe
from kinemark.training.loop import STATE_FILE, build_trainee
from kinemark.training.planner import PlannerRecipe
from kinemark.training.recipes import tiny_spark
from kinemark.training.spark import (
    PLANNER_FILE,
    READER_FILE,
    SPARK_FILE,
    TEXT_FILE,
    UPSAMPLER_FILE,
    Part,
    assemble,
    begun,
    find_expert,
    train_spark,
)
from kinemark.training.text import TextRecipe
from kinemark.training.weights import save_weights

RECIPE = tiny_spark()
QUIET = {"observe": lambda trainee, out: None, "report": lambda line: None}


@pytest.fixture(autouse=True)
def nothing_shipped(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "none" / SPARK_FILE)


@pytest.fixture
def run(tmp_path):
    """A folder with an untrained text encoder and planner, so that no test waits for them."""
    out = tmp_path / "run"
    out.mkdir()
    save_weights(out / TEXT_FILE, TextEncoder(text_config()), TextRecipe())
    save_weights(out / PLANNER_FILE, LayoutPlanner(PlannerConfig(width=16, layers=1)), PlannerRecipe())
    reader = LayoutReader(LayoutReaderConfig(width=8, hidden=8, dilations=(1,)))
    save_weights(out / READER_FILE, reader, LayoutReaderRecipe())
    return out


def save_expert(out, part, value=0.5):
    trainee = build_trainee(RECIPE.scene, 0)
    for average in trainee.ema.values.values():
        average.fill_(value)
    (out / part).mkdir()
    trainee.progress.step = 7
    trainee.save(out / part / STATE_FILE)


def test_a_run_of_the_upsampler_alone_is_seen(run):
    assert not begun(run, [Part.UPSAMPLER])
    (run / "upsampler_plain.state.pt").touch()
    assert begun(run, [Part.UPSAMPLER])
    assert not begun(run, [Part.SCENE, Part.DETAIL])


@pytest.fixture
def whole(run):
    """A run in which every part is there."""
    save_expert(run, Part.SCENE, 0.25)
    save_expert(run, Part.DETAIL, 0.5)
    save_file(Upsampler(UpsamplerConfig()).state_dict(), run / UPSAMPLER_FILE)
    return run


@pytest.mark.slow
def test_one_call_makes_weights_that_can_be_loaded(run):
    path = train_spark(RECIPE, run, minutes=0.02, **QUIET)
    model = load_networks(str(path))
    assert model.config == RECIPE.detail.config
    assert model.scene.config == RECIPE.scene.config
    assert model.origin.data_hash == require_manifest().sources[0].generator_sha256
    assert "tiny" in model.origin.recipe
    assert model.planner.config == PlannerConfig(width=16, layers=1)
    assert (run / UPSAMPLER_FILE).is_file()


@pytest.mark.slow
def test_parts_can_be_trained_one_by_one(run):
    told = []
    for part in (Part.SCENE, Part.DETAIL):
        loud = QUIET | {"report": told.append}
        assert train_spark(RECIPE, run, minutes=0.01, parts=[part], **loud) is None
        assert begun(run, [part])
    assert "upsampler" in told[-1]
    assert train_spark(RECIPE, run, minutes=0.01, parts=[Part.UPSAMPLER], **QUIET) == run / SPARK_FILE


def test_the_averaged_weights_are_those_that_count(whole):
    network, origin = find_expert(Part.SCENE, RECIPE.scene, whole)
    assert all((parameter == 0.25).all() for parameter in network.parameters())
    assert not any(parameter.requires_grad for parameter in network.parameters())
    assert "7 steps" in origin
    assert "from random weights" in origin


def test_a_file_has_all_parts(whole):
    model = load_networks(str(assemble(RECIPE, whole, "hash")))
    assert model.origin.metrics == {}
    assert model.origin.data_hash == "hash"
    assert all((parameter == 0.25).all() for parameter in model.scene.parameters())
    assert all((parameter == 0.5).all() for parameter in model.transformer.parameters())


def test_what_is_not_trained_again_is_taken_from_what_ships(whole, monkeypatch):
    shipped = assemble(RECIPE, whole, "hash")
    monkeypatch.setattr(module, "SHIPPED", shipped)
    shutil.rmtree(whole / Part.SCENE)
    network, origin = find_expert(Part.SCENE, RECIPE.scene, whole)
    assert all((parameter == 0.25).all() for parameter in network.parameters())
    assert origin == "tiny, 7 steps, 0 clips, 0 minutes from random weights"
    train_spark(RECIPE, whole, minutes=1e-6, parts=[Part.SCENE], **QUIET)
    assert find_expert(Part.SCENE, RECIPE.scene, whole)[1].endswith(f"from {origin}")


@pytest.mark.parametrize(("lost", "named"), [(TEXT_FILE, "text encoder"), (UPSAMPLER_FILE, "upsampler")])
def test_without_a_part_there_is_no_file(whole, lost, named):
    (whole / lost).unlink()
    with pytest.raises(FailureError, match=named):
        assemble(RECIPE, whole, "hash")
    assert not (whole / SPARK_FILE).exists()


def test_without_an_expert_there_is_no_file(whole):
    shutil.rmtree(whole / Part.DETAIL)
    with pytest.raises(FailureError, match="no detail expert"):
        assemble(RECIPE, whole, "hash")


@pytest.mark.parametrize("part", [Part.SCENE, Part.DETAIL])
def test_a_damaged_state_is_reported(whole, part):
    (whole / part / STATE_FILE).write_bytes(b"not a state")
    with pytest.raises(FailureError, match="not a training state"):
        assemble(RECIPE, whole, "hash")


def test_a_damaged_upsampler_is_reported(whole):
    save_file({"stray": torch.zeros(1)}, whole / UPSAMPLER_FILE)
    with pytest.raises(FailureError, match="does not fit"):
        assemble(RECIPE, whole, "hash")


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_minutes_must_be_a_positive_number(tmp_path, minutes):
    with pytest.raises(RequestError, match="minutes"):
        train_spark(RECIPE, tmp_path / "run", minutes=minutes)
    assert not (tmp_path / "run").exists()


def test_training_refuses_without_a_manifest_that_fits(run, monkeypatch):
    def missing():
        raise FailureError("no manifest")

    monkeypatch.setattr(module, "require_manifest", missing)
    with pytest.raises(FailureError, match="manifest"):
        train_spark(RECIPE, run, minutes=1)
    assert not begun(run, list(Part))
