import json
import re
from dataclasses import replace

import pytest

from kinemark.data import manifest as subject
from kinemark.data.croissant import CROISSANT, to_croissant
from kinemark.data.manifest import (
    ACCEPTED_LICENCES,
    current_manifest,
    from_croissant,
    generator_files,
    generator_hash,
    manifest_path,
    read_manifest,
    require_manifest,
    write_manifest,
)
from kinemark.errors import FailureError, RequestError
from kinemark.worlds.spec import ATTRIBUTES, Scene, Subject


@pytest.fixture
def written(tmp_path):
    """A manifest on disk that may be spoilt: (path, its JSON)."""
    path = write_manifest(tmp_path / "manifest.json")
    return path, json.loads(path.read_text(encoding="utf-8"))


def spoil(path, record):
    path.write_text(json.dumps(record), encoding="utf-8")
    return path


def test_the_shipped_manifest_is_current():
    message = f"worlds/ has changed; look through the change, then run: {subject.REWRITE}"
    assert read_manifest() == current_manifest(), message
    assert json.loads(manifest_path().read_text(encoding="utf-8")) == to_croissant(current_manifest()), message


def test_training_may_start_with_a_current_manifest(written):
    path, _ = written
    assert require_manifest(path) == current_manifest()


def test_writing_twice_gives_the_same_bytes(written, tmp_path):
    path, _ = written
    again = write_manifest(tmp_path / "again.json")
    assert again.read_bytes() == path.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.json", "manifest.json"]


def test_a_missing_manifest_stops_training(tmp_path):
    with pytest.raises(FailureError, match=r"absent\.json.*kinemark\.data\.manifest --write"):
        require_manifest(tmp_path / "absent.json")


@pytest.mark.parametrize("text", ["", "{", "\x00"])
def test_a_file_that_is_not_json_stops_training(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FailureError, match="no readable training data manifest"):
        require_manifest(path)


def test_code_that_does_not_fit_stops_training(written):
    path, record = written
    record["kinemark:source"][0]["generator_sha256"] = "0" * 64
    with pytest.raises(FailureError, match=r"hash 000000000000, but.*--write"):
        require_manifest(spoil(path, record))


@pytest.mark.parametrize("licence", ["", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "LicenseRef-unknown", "all rights reserved"])
def test_a_source_without_an_accepted_licence_stops_training(written, licence):
    path, record = written
    record["kinemark:source"][0]["licence"] = licence
    with pytest.raises(RequestError, match=f"licence {licence!r}.*Apache-2.0"):
        require_manifest(spoil(path, record))


@pytest.mark.parametrize(("people", "consent"), [("none", " "), ("unknown", "they will not mind"), ("", "none shown")])
def test_a_source_without_consent_stops_training(written, people, consent):
    path, record = written
    record["kinemark:source"][0] |= {"people": people, "consent": consent}
    with pytest.raises(RequestError, match="people must be one of none, released"):
        require_manifest(spoil(path, record))


def test_every_source_is_checked_not_only_the_first(written):
    path, record = written
    record["kinemark:source"].append(record["kinemark:source"][0] | {"name": "scraped", "licence": "none"})
    with pytest.raises(RequestError, match="'scraped'"):
        require_manifest(spoil(path, record))


def test_a_manifest_without_sources_stops_training(written):
    path, record = written
    record["kinemark:source"] = []
    with pytest.raises(RequestError, match="names no source"):
        require_manifest(spoil(path, record))


@pytest.mark.parametrize("name", ["name", "version", "description", "kinemark:source", "distribution", "conformsTo"])
def test_a_missing_property_is_named(written, name):
    path, record = written
    del record[name]
    with pytest.raises(RequestError, match=name):
        require_manifest(spoil(path, record))


@pytest.mark.parametrize("record", [[], None, 3, "text", {"conformsTo": "http://example.org"}])
def test_json_that_is_no_croissant_is_refused(tmp_path, record):
    with pytest.raises(RequestError, match=re.escape(CROISSANT)):
        require_manifest(spoil(tmp_path / "other.json", record))


def test_an_unknown_property_of_a_source_is_refused(written):
    path, record = written
    record["kinemark:source"][0]["mood"] = "good"
    with pytest.raises(RequestError, match="mood"):
        require_manifest(spoil(path, record))


def test_the_hash_covers_the_code_the_held_out_record_and_their_names():
    names = [source.path for source in generator_files()]
    assert {"worlds/spec.py", "worlds/held_out.json"} <= set(names)
    assert names == sorted(names)
    files = generator_files()
    changed = (replace(files[0], sha256="f" * 64), *files[1:])
    renamed = (replace(files[0], path="worlds/other.py"), *files[1:])
    assert (
        len({generator_hash(files), generator_hash(changed), generator_hash(renamed), generator_hash(files[1:])}) == 4
    )


def test_croissant_has_every_required_property_with_its_type():
    record = to_croissant(current_manifest())
    assert record["@type"] == "sc:Dataset"
    assert CROISSANT in record["conformsTo"]
    assert record["@context"]["conformsTo"] == "dct:conformsTo"
    assert record["@context"]["cr"] == "http://mlcommons.org/croissant/"
    for name in ("name", "description", "url", "datePublished"):
        assert isinstance(record[name], str), name
    assert record["license"] == ["https://spdx.org/licenses/CC0-1.0.html"]
    assert record["creator"]["@type"] == "sc:Organization"
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", record["datePublished"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", record["version"])


def test_croissant_identifiers_are_unique_and_references_resolve():
    record = to_croissant(current_manifest())
    defined = [entry["@id"] for entry in record["distribution"] + record["recordSet"]]
    defined += [field["@id"] for records in record["recordSet"] for field in records["field"]]
    assert len(defined) == len(set(defined))
    for records in record["recordSet"]:
        fields = {field["@id"] for field in records["field"]}
        assert all(identifier.startswith(f"{records['@id']}/") for identifier in fields)
        assert {key["@id"] for key in records["key"]} <= fields
        assert all(set(row) == fields for row in records["data"])
        assert len({tuple(row.values()) for row in records["data"]}) == len(records["data"])


def test_croissant_files_have_checksums_and_exist():
    for entry in to_croissant(current_manifest())["distribution"]:
        assert entry["@type"] == "cr:FileObject"
        assert re.fullmatch(r"[0-9a-f]{64}", entry["sha256"])
        assert re.fullmatch(r"\d+ B", entry["contentSize"])
        assert (manifest_path().parent / entry["contentUrl"]).is_file()


def test_croissant_terms_with_a_prefix_are_declared():
    record = to_croissant(current_manifest())
    for name in record:
        prefix, colon, _ = name.partition(":")
        assert not colon or prefix in record["@context"], name


def test_the_vocabulary_is_in_the_manifest():
    vocabulary, held_out = to_croissant(current_manifest())["recordSet"]
    rows = [tuple(row.values()) for row in vocabulary["data"]]
    assert rows == [(attribute.name, value) for attribute in ATTRIBUTES for value in attribute.values]
    assert {"held_out/subject": "bird", "held_out/colour_or_setting": "cyan"} in held_out["data"]


def test_the_url_names_the_content():
    manifest = current_manifest()
    other = replace(manifest, version="9.9.9")
    assert to_croissant(manifest)["url"].startswith("ni:///sha-256;")
    assert to_croissant(manifest)["url"] != to_croissant(other)["url"]


def test_reading_inverts_writing():
    assert from_croissant(to_croissant(current_manifest())) == current_manifest()


def test_counts_of_scenes_match_a_count_by_hand():
    counts = current_manifest().counts
    shown = 0
    for setting in ATTRIBUTES[0].values:
        for kind in subject.spec.kinds_for(setting):
            for colour in subject.spec.COLOURS:
                shown += not Scene(setting, "noon", "clear", (Subject(kind, colour),)).is_held_out()
    assert counts["one_subject_scenes"] == shown * 10 * 5 * 6 * 3 * 3 * 3 * 4
    assert counts["held_out_subject_colour_pairs"] == 14


def test_the_data_shows_nobody_and_is_free_to_use():
    (source,) = current_manifest().sources
    assert source.people == "none"
    assert source.licence == "CC0-1.0"
    assert {source.licence, source.generator_licence} <= ACCEPTED_LICENCES


def test_command_checks_and_writes(tmp_path, monkeypatch, capsys):
    path = tmp_path / "manifest.json"
    monkeypatch.setattr(subject, "manifest_path", lambda: path)
    assert subject.main([]) == 1
    assert "no readable training data manifest" in capsys.readouterr().err
    assert subject.main(["--write"]) == 0
    assert "current" in capsys.readouterr().out
    assert subject.main([]) == 0
