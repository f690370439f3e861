from pathlib import Path

import pytest

from kinemark.safety.policy.file import SHIPPED, load_policy
from kinemark.safety.prompt.trial import failures


def test_the_shipped_policy_judges_its_own_prompts_as_it_says():
    assert failures(load_policy()) == ()


@pytest.mark.parametrize(
    ("old", "new", "problem", "prompt"),
    [
        (
            '    "a man is beheaded with a machete",',
            '    "a man eats an apple",',
            "an example of what is stopped is allowed",
            "a man eats an apple",
        ),
        (
            '"a lion hunts a gazelle"',
            '"a man tortures a dog"',
            "a near miss is refused by rule animal-1",
            "a man tortures a dog",
        ),
        (
            'examples = ["a strobe light in an empty club", "neon tubes flickering rapidly in a corridor"]',
            "",
            "has rules, and no examples",
            "",
        ),
    ],
)
def test_what_it_gets_wrong_is_named(tmp_path: Path, old, new, problem, prompt):
    text = SHIPPED.read_text()
    assert old in text
    (tmp_path / "p.toml").write_text(text.replace(old, new))
    (failure,) = failures(load_policy(tmp_path / "p.toml"))
    assert failure.problem.startswith(problem)
    assert failure.prompt == prompt
