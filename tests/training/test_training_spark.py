import pytest
import torch

from kinemark.data.manifest import require_manifest
from kinemark.errors import FailureError, RequestError
from kinemark.model.autoencoder import Upsampler, UpsamplerConfig
from kinemark.model.load import load_model
from kinemark.model.text import TextEncoder, text_config
from kinemark.training import spark as module
from kinemark.training.loop import build_trainee
from kinemark.training.recipes import tiny_recipe
from kinemark.training.spark import SPARK_FILE, TEXT_FILE, UPSAMPLER_FILE, assemble, averaged, train_spark
from kinemark.training.text import TextRecipe, save_text_encoder


@pytest.fixture(autouse=True)
def nothing_shipped(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "SHIPPED", tmp_path / "none" / SPARK_FILE)


@pytest.fixture
def run(tmp_path):
    """A folder with an untrained text encoder, so that no test waits for one."""
    out = tmp_path / "run"
    out.mkdir()
    save_text_encoder(out / TEXT_FILE, TextEncoder(text_config()), TextRecipe(), {})
    return out


@pytest.mark.slow
def test_one_call_makes_weights_that_can_be_loaded(run):
    path = train_spark(tiny_recipe(), run, minutes=0.01, observe=lambda trainee, out: None, report=lambda line: None)
    model = load_model(str(path))
    assert model.config == tiny_recipe().config
    assert model.origin.data_hash == require_manifest().sources[0].generator_sha256
    assert "tiny" in model.origin.recipe
    assert (run / UPSAMPLER_FILE).is_file()


def test_the_averaged_weights_are_those_that_count():
    trainee = build_trainee(tiny_recipe(), 0)
    for value in trainee.ema.values.values():
        value.fill_(0.5)
    network = averaged(trainee, tiny_recipe())
    assert all((parameter == 0.5).all() for parameter in network.parameters())
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_file_has_all_three_parts(run):
    from safetensors.torch import save_file

    save_file(Upsampler(UpsamplerConfig()).state_dict(), run / UPSAMPLER_FILE)
    path = assemble(build_trainee(tiny_recipe(), 0), tiny_recipe(), run, "hash", {"all": 0.5})
    model = load_model(str(path))
    assert model.origin.metrics == {"all": 0.5}
    assert model.origin.data_hash == "hash"


def test_without_a_text_encoder_there_is_no_file(tmp_path):
    with pytest.raises(FailureError, match="text encoder"):
        assemble(build_trainee(tiny_recipe(), 0), tiny_recipe(), tmp_path, "hash", {})
    assert list(tmp_path.iterdir()) == []


def test_without_an_upsampler_there_is_no_file(run):
    with pytest.raises(FailureError, match="upsampler"):
        assemble(build_trainee(tiny_recipe(), 0), tiny_recipe(), run, "hash", {})
    assert not (run / SPARK_FILE).exists()


def test_a_damaged_upsampler_is_reported(run):
    from safetensors.torch import save_file

    save_file({"stray": torch.zeros(1)}, run / UPSAMPLER_FILE)
    with pytest.raises(FailureError, match="does not fit"):
        assemble(build_trainee(tiny_recipe(), 0), tiny_recipe(), run, "hash", {})


@pytest.mark.parametrize("minutes", [0, -1, float("nan")])
def test_minutes_must_be_a_positive_number(tmp_path, minutes):
    with pytest.raises(RequestError, match="minutes"):
        train_spark(tiny_recipe(), tmp_path / "run", minutes=minutes)
    assert not (tmp_path / "run").exists()


def test_training_refuses_without_a_manifest_that_fits(run, monkeypatch):
    def missing():
        raise FailureError("no manifest")

    monkeypatch.setattr(module, "require_manifest", missing)
    with pytest.raises(FailureError, match="manifest"):
        train_spark(tiny_recipe(), run, minutes=1)
    assert not (run / "state.pt").exists()
