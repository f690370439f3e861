"""Releases from the Hugging Face hub, through its own library: resumed where they were interrupted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)

from kinemark.errors import FailureError, RequestError

if TYPE_CHECKING:
    from pathlib import Path

    from kinemark.wan.releases import Release

#: The root of the errors of the HTTP library that this version of the hub's library uses; it is not always the same.
_HTTP_ERROR: Final[type[Exception]] = HfHubHTTPError.__bases__[0]
#: What of a repository in diffusers' layout is used.
WANTED: Final = tuple(
    f"{part}/*"
    for part in (
        "transformer",
        "transformer_2",
        "vae",
        "text_encoder",
        "tokenizer",
        "image_encoder",
        "image_processor",
    )
)


def download(release: Release, folder: Path) -> None:
    """Put the files of a release into a folder.

    Raises:
        RequestError: the hub wants consent to the release's terms first.
        FailureError: there is no network, no such repository or file, or the disk is full.
    """
    try:
        HfApi().model_info(release.repository)  # a snapshot without a network is whatever is there, and no error
        if release.file is not None:
            hf_hub_download(release.repository, release.file, local_dir=folder)
        else:
            snapshot_download(release.repository, allow_patterns=list(WANTED), local_dir=folder)
    except GatedRepoError as error:
        raise RequestError(
            f"{release.repository} is only given to those who accept its terms: do so at "
            f"https://huggingface.co/{release.repository}, then run: hf auth login"
        ) from error
    except (RepositoryNotFoundError, RemoteEntryNotFoundError) as error:
        raise FailureError(
            f"the hub has no {release.file or 'files'} in {release.repository}; it may have moved: "
            "download it yourself, and use: kinemark models import"
        ) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError, _HTTP_ERROR) as error:
        raise FailureError(_unreachable(release)) from error
    except OSError as error:
        raise FailureError(
            f"{release.repository} could not be kept in {folder} ({error}); free the disk and pull again: "
            "what is there stays"
        ) from error


def _unreachable(release: Release) -> str:
    return (
        f"the hub could not be reached for {release.repository}; what is there stays, and the next pull goes on. "
        "Without a network, bring the files here and use: kinemark models import"
    )
