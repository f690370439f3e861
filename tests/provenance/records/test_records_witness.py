import json
import stat

import pytest

from kinemark.errors import FailureError
from kinemark.provenance.records.witness import check, read_heads, watch

LEAVES = [bytes([i]) * 32 for i in range(6)]


def test_a_history_that_grows_is_witnessed(tmp_path):
    assert [watch(LEAVES[:n], tmp_path / "w").size for n in (2, 2, 5)] == [2, 2, 5]
    assert len(read_heads(tmp_path / "w")) == 3
    assert check(LEAVES, tmp_path / "w") == []
    assert stat.S_IMODE((tmp_path / "w" / "witness-key.pem").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        (LEAVES[:3], "cut off"),
        ([*LEAVES[:2], b"x" * 32, *LEAVES[3:]], "not those that were seen"),
        (LEAVES[::-1], "not those that were seen"),
    ],
)
def test_a_rewritten_history_is_caught_and_not_remembered(tmp_path, changed, says):
    watch(LEAVES[:5], tmp_path)
    assert says in check(changed, tmp_path)[0]
    with pytest.raises(FailureError, match=says):
        watch(changed, tmp_path)
    assert len(read_heads(tmp_path)) == 1


def test_a_head_that_the_witness_did_not_sign_is_no_evidence(tmp_path):
    watch(LEAVES, tmp_path)
    head = json.loads((tmp_path / "heads.jsonl").read_text())
    (tmp_path / "heads.jsonl").write_text(json.dumps(head | {"size": 3}) + "\n")
    with pytest.raises(FailureError, match="signature"):
        check(LEAVES, tmp_path)


@pytest.mark.parametrize("line", ["{", "[]", '{"size": 1}', '{"a": 1}'])
def test_damaged_heads_are_a_failure_and_not_an_empty_past(tmp_path, line):
    watch(LEAVES, tmp_path)
    (tmp_path / "heads.jsonl").write_text(line + "\n")
    with pytest.raises(FailureError, match="damaged"):
        check(LEAVES, tmp_path)


def test_a_damaged_key_is_a_failure(tmp_path):
    (tmp_path / "witness-key.pem").write_text("no key")
    with pytest.raises(FailureError, match="witness's key"):
        watch(LEAVES, tmp_path)
