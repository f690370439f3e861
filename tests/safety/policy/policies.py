"""A small policy for tests."""

SMALL = """
version = "0.1"
date = "2026-01-01"
appeal = "write to us"

[vocabularies]
vessel = ["boat|ship"]

[[categories]]
id = "naval"
title = "Vessels"
definition = "Boats."
reason = "No boats here."
severity = "low"
action = "refuse"

[[categories.rules]]
id = "naval-1"
phrases = ["red <vessel>"]
"""


def written(tmp_path, text):
    path = tmp_path / "policy.toml"
    path.write_text(text)
    return path
