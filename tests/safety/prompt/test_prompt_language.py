"""Languages in which the gates cannot be relied on are told from English."""

import pytest

from kinemark.safety.policy.file import load_policy
from kinemark.safety.prompt.language import is_relied_on, judge_language

POLICY = load_policy()


@pytest.mark.parametrize(
    "text",
    [
        "a cat sleeps on a sofa", "drone shot of alps", "cinematic 4k koi pond", "neo-noir cityscape", "", "ok",
        "a fjord",
    ],
)  # fmt: skip
def test_english(text):
    assert is_relied_on(text)


@pytest.mark.parametrize(
    "text",
    ["一只猫在沙发上", "кошка спит на диване", "mwanamume anapiga mbwa barabarani", "kedi koltukta uyuyor",
     "قطة على الأريكة",
     "एक बिल्ली सो रही है", "kissa nukkuu sohvalla", "Một con mèo ngủ trên ghế", "ein Hund rennt über die nasse Wiese",
     "un hombre camina por la playa al atardecer", "une femme marche dans la rue sous la pluie"],
)  # fmt: skip
def test_not_english(text):
    assert not is_relied_on(text)


def test_one_card_in_another_language_refuses_the_board():
    refused = judge_language(["a red boat at sea", "кошка спит на диване"], POLICY)
    assert (refused.action, refused.rule) == ("refuse", "language-not-relied-on")
    assert refused.appeal
    assert "They can in: en" in refused.reason
    assert judge_language(["a red boat at sea"], POLICY).allow
