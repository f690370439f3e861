"""A folder as Wan publishes it, tiny and random, runs like the same in diffusers' layout."""

import re
import shutil
from dataclasses import replace

import pytest
import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers
from safetensors.torch import save_file
from transformers import UMT5EncoderModel

from kinemark.errors import FailureError
from kinemark.wan.autoencoder import WanAutoencoder
from kinemark.wan.load import load_wan
from kinemark.wan.originals import bring_parts
from kinemark.wan.store import import_checkpoint, weights_digest
from kinemark.wan.text import WanText
from tiny_wan import CONFIG, tiny_folder, tiny_release
from wan_like import randomised

CPU = torch.device("cpu")
#: transformers' names of a block's tensors and Wan's, as `wan/modules/t5.py` has them.
LAYERS = {
    r"layer\.0\.SelfAttention\.([qkvo])": r"attn.\2",
    r"layer\.0\.SelfAttention\.relative_attention_bias": "pos_embedding.embedding",
    r"layer\.0\.layer_norm": "norm1",
    r"layer\.1\.layer_norm": "norm2",
    r"layer\.1\.DenseReluDense\.wi_0": "ffn.gate.0",
    r"layer\.1\.DenseReluDense\.wi_1": "ffn.fc1",
    r"layer\.1\.DenseReluDense\.wo": "ffn.fc2",
}


def original_text(network):
    tensors = {}
    for key, tensor in network.state_dict().items():
        name = key.replace("encoder.final_layer_norm", "norm").replace("shared", "token_embedding")
        for theirs, ours in LAYERS.items():
            name = re.sub(rf"encoder\.block\.(\d+)\.{theirs}\.", rf"blocks.\1.{ours}.", name)
        tensors[name] = tensor.clone()
    tensors.pop("encoder.embed_tokens.weight", None)
    return tensors


def original_autoencoder(network):
    """By turning diffusers' conversion round: every name that Wan could have, and what becomes of it."""
    suffixes = [f"residual.{n}.{part}" for n in (0, 2, 3, 6) for part in ("gamma", "weight", "bias")]
    suffixes += [f"{one}.{part}" for one in ("shortcut", "resample.1", "time_conv") for part in ("weight", "bias")]
    names = [f"encoder.downsamples.{n}.{suffix}" for n in range(11) for suffix in suffixes]
    names += [f"decoder.upsamples.{n}.{suffix}" for n in range(15) for suffix in suffixes]
    for side in ("encoder", "decoder"):
        names += [f"{side}.middle.{n}.{suffix}" for n in (0, 2) for suffix in suffixes]
        names += [f"{side}.middle.1.{one}" for one in ("norm.gamma", "to_qkv.weight", "to_qkv.bias")]
        names += [f"{side}.middle.1.proj.{part}" for part in ("weight", "bias")]
        names += [f"{side}.{one}.{part}" for one in ("conv1", "head.2") for part in ("weight", "bias")]
        names += [f"{side}.head.0.gamma"]
    names += [f"{one}.{part}" for one in ("conv1", "conv2") for part in ("weight", "bias")]
    becomes = convert_wan_vae_to_diffusers({name: name for name in names})
    return {becomes[key]: tensor.clone() for key, tensor in network.state_dict().items()}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """(a folder as Wan publishes it, the same as diffusers lays it out)."""
    theirs = tiny_folder(tmp_path_factory.mktemp("theirs"))
    torch.manual_seed(5)
    autoencoder = AutoencoderKLWan(base_dim=8)
    shutil.rmtree(theirs / "vae")
    autoencoder.save_pretrained(theirs / "vae")
    folder = tmp_path_factory.mktemp("original")
    save_file(randomised(CONFIG, seed=0, scale=0.05).state_dict(), folder / "diffusion_pytorch_model.safetensors")
    torch.save(original_text(UMT5EncoderModel.from_pretrained(theirs / "text_encoder")), folder / "models_t5.pth")
    torch.save(original_autoencoder(autoencoder), folder / "Wan2.1_VAE.pth")
    shutil.copytree(theirs / "tokenizer", folder / "google" / "umt5-xxl")
    return folder, theirs


def test_everything_of_it_is_imported_and_runs(published, tmp_path):
    source, theirs = published
    release = tiny_release()
    folder = import_checkpoint(source, tmp_path / "models", name="mine", release=release)
    model = load_wan(release, folder, folder, weights_digest(folder), name="mine", device=CPU)
    assert model.weights_digest == weights_digest(folder)
    texts = [WanText(one, CPU, dtype=torch.float32).encode(["a red boat"]) for one in (folder, theirs)]
    assert torch.equal(*texts)
    latents = torch.randn(1, 16, 6, 8)
    frames = [WanAutoencoder.load(one / "vae", CPU).decoder((6, 8))(latents, None) for one in (folder, theirs)]
    assert torch.equal(*frames)


def test_two_experts_are_imported_from_their_folders(published, tmp_path):
    source, _ = published
    for seed, part in enumerate(("high_noise_model", "low_noise_model")):
        (tmp_path / part).mkdir()
        save_file(randomised(CONFIG, seed=seed, scale=0.05).state_dict(), tmp_path / part / "model.safetensors")
    for path in source.iterdir():
        if path.suffix == ".pth":
            (tmp_path / path.name).symlink_to(path)
    shutil.copytree(source / "google", tmp_path / "google")
    release = tiny_release(guidance=(4.0, 3.0), boundary=0.875)
    folder = import_checkpoint(tmp_path, tmp_path / "models", name="mine", release=release)
    load_wan(release, folder, folder, weights_digest(folder), name="mine", device=CPU)
    assert sorted(path.name for path in folder.glob("transformer*/*")) == ["transformer.safetensors"] * 2


@pytest.mark.parametrize(
    ("lost", "error"),
    [
        ("blocks.1.attn.q.weight", r"models_t5.pth is not whole \(.*q.weight.*download it again"),
        ("norm.weight", "models_t5.pth is not whole"),
        (None, "has text encoder and tokenizer, and no autoencoder"),
    ],
)
def test_what_is_not_whole_is_said(published, tmp_path, lost, error):
    source, theirs = published
    text = original_text(UMT5EncoderModel.from_pretrained(theirs / "text_encoder"))
    text.pop(lost, None)
    (tmp_path / "new").mkdir()
    torch.save(text, tmp_path / "new" / "models_t5.pth")
    shutil.copytree(source / "google", tmp_path / "new" / "google")
    with pytest.raises(FailureError, match=error):
        bring_parts(tmp_path / "new", tmp_path / "mine")


def test_a_folder_of_a_transformer_alone_brings_nothing(published, tmp_path):
    source, _ = published
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone" / "model.safetensors").symlink_to(source / "diffusion_pytorch_model.safetensors")
    release = replace(tiny_release(), base="tiny-wan")
    folder = import_checkpoint(tmp_path / "alone", tmp_path / "models", name="mine", release=release)
    assert not (folder / "vae").exists()
