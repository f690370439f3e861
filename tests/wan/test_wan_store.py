"""Models come onto this machine whole or not at all, and are what they say they are."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from kinemark.errors import FailureError, RequestError
from kinemark.model.checkpoints import digest
from kinemark.model.naming import to_diffusers
from kinemark.wan.releases import RELEASES
from kinemark.wan.store import RECORD, SINGLE, Record, import_checkpoint, installed, pull, record_of, weights_digest
from tiny_wan import CONFIG, tiny_folder, tiny_release
from wan_like import randomised

RELEASE = tiny_release()


@pytest.fixture(autouse=True)
def _known(monkeypatch):
    monkeypatch.setitem(RELEASES, "tiny-wan", RELEASE)


@pytest.fixture(scope="module")
def state():
    return randomised(CONFIG).state_dict()


@pytest.fixture
def checkpoint(state, tmp_path):
    path = tmp_path / "trained.pt"
    torch.save({"generator_ema": {f"model.{key}": tensor for key, tensor in state.items()}}, path)
    return path


def test_a_checkpoint_is_converted_once(checkpoint, state, tmp_path):
    models = tmp_path / "models"
    folder = import_checkpoint(checkpoint, models, name="mine", release=RELEASE, licence="MIT")
    kept = load_file(folder / SINGLE)
    assert all(torch.equal(kept[key], tensor) for key, tensor in state.items())
    assert installed(models) == {"mine": Record("tiny-wan", str(checkpoint), "MIT", digest(folder / SINGLE))}
    with pytest.raises(RequestError, match="there is a model mine already"):
        import_checkpoint(checkpoint, models, name="mine", release=RELEASE)


def test_an_adapter_is_merged(checkpoint, state, tmp_path):
    key = "blocks.1.ffn.2"
    rows, columns = state[f"{key}.weight"].shape
    factors = {"lora_A": torch.randn(2, columns), "lora_B": torch.randn(rows, 2)}
    lora = {f"base_model.model.{key}.{name}.weight": tensor for name, tensor in factors.items()}
    save_file(lora, tmp_path / "lora.safetensors")
    folder = import_checkpoint(
        checkpoint, tmp_path / "models", name="mine", release=RELEASE, lora=tmp_path / "lora.safetensors"
    )
    kept = load_file(folder / SINGLE)[f"{key}.weight"]
    torch.testing.assert_close(kept, state[f"{key}.weight"] + factors["lora_B"] @ factors["lora_A"])


@pytest.mark.parametrize("name", ["../there", "", ".", "a/b", "wan2.1-1.3b"])
def test_names_that_are_not_to_be_had(checkpoint, tmp_path, name):
    with pytest.raises(RequestError, match=r"use letters, digits|already"):
        import_checkpoint(checkpoint, tmp_path / "models", name=name, release=RELEASE)
    assert not (tmp_path / "models" / "wan2.1-1.3b").exists()


def test_one_checkpoint_is_not_two_experts(checkpoint, tmp_path):
    two = tiny_release(guidance=(4.0, 3.0), boundary=0.875)
    with pytest.raises(
        RequestError, match=r"two experts: give a folder with high_noise_model and low_noise_model .* or pull"
    ):
        import_checkpoint(checkpoint, tmp_path / "models", name="mine", release=two)


def test_a_checkpoint_of_another_model_leaves_nothing(state, tmp_path):
    models = tmp_path / "models"
    save_file(randomised(replace(CONFIG, ffn=96)).state_dict(), tmp_path / "other.safetensors")
    lacking = {key: tensor for key, tensor in state.items() if key != "blocks.1.norm3.bias"}
    save_file(lacking, tmp_path / "lacking.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "lacking.safetensors").read_bytes()[:-100])
    for name, error in (
        ("other", "other.safetensors is not tiny-wan: it has width 48, 2 layers"),
        ("lacking", r"lacks blocks\.1\.norm3\.bias; use whole"),
        ("cut", "is damaged"),
        ("absent", "no checkpoint at"),
    ):
        with pytest.raises((RequestError, FailureError), match=error):
            import_checkpoint(tmp_path / f"{name}.safetensors", models, name="mine", release=RELEASE)
    assert not any(models.glob("*"))


def test_a_release_is_pulled_and_stays(tmp_path):
    pulled = []

    def download(release, folder):
        pulled.append(release.name)
        tiny_folder(folder)

    folder = pull(RELEASE, tmp_path, download)
    assert pull(RELEASE, tmp_path, download) == folder
    assert pulled == ["tiny-wan"]
    assert record_of(folder) == Record("tiny-wan", "nobody/tiny-wan", "Apache-2.0", weights_digest(folder))


def test_a_release_that_is_a_checkpoint_is_converted(checkpoint, tmp_path):
    release = tiny_release(file="weights/self.pt")

    def download(release, folder):
        (folder / "weights").mkdir()
        (folder / release.file).write_bytes(checkpoint.read_bytes())

    folder = pull(release, tmp_path / "models", download)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [RECORD, SINGLE]


@pytest.mark.parametrize(
    ("lost", "error"),
    [
        ("transformer/diffusion_pytorch_model.safetensors", "holds no .safetensors file"),
        ("text_encoder/model.safetensors", "holds no .safetensors file"),
        ("tokenizer/tokenizer.json", "lacks its tokenizer"),
    ],
)
def test_a_pull_that_is_not_whole_says_so_and_can_go_on(tmp_path, lost, error):
    def interrupted(release, folder):
        tiny_folder(folder)
        (folder / lost).unlink()
        if "tokenizer" in lost:
            (folder / "tokenizer" / "tokenizer_config.json").unlink()

    with pytest.raises((FailureError, RequestError), match=error):
        pull(RELEASE, tmp_path, interrupted)
    assert installed(tmp_path) == {}
    pull(RELEASE, tmp_path, lambda release, folder: tiny_folder(folder))
    assert list(installed(tmp_path)) == ["tiny-wan"]


def test_shards_have_one_digest(tmp_path):
    tiny_folder(tmp_path, experts=2)
    both = weights_digest(tmp_path)
    assert len(both) == 64
    file = tmp_path / "transformer_2" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    save_file({key: tensor + 1 for key, tensor in tensors.items()}, file)
    assert weights_digest(tmp_path) != both
    with pytest.raises(FailureError, match="holds no weights of a transformer"):
        weights_digest(tmp_path / "vae")


def test_a_damaged_record_is_explained(tmp_path):
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(FailureError, match=r"kinemark\.json cannot be read .*; remove the folder and pull"):
        record_of(tmp_path)
    record = {"release": "unheard of", "source": "", "licence": "", "digest": ""}
    (tmp_path / RECORD).write_text(json.dumps(record))
    with pytest.raises(FailureError, match="runs like 'unheard of', which this version does not know"):
        record_of(tmp_path)


def test_names_of_diffusers_are_imported_too(state, tmp_path):
    save_file(to_diffusers(state), tmp_path / "theirs.safetensors")
    folder = import_checkpoint(tmp_path / "theirs.safetensors", tmp_path / "models", name="mine", release=RELEASE)
    assert load_file(folder / SINGLE).keys() == state.keys()
