"""Languages in which the gates were never measured are told from those in which they were."""

import pytest

from kinemark.safety.policy.file import load_policy
from kinemark.safety.prompt.language import is_measured, judge_language

POLICY = load_policy()


@pytest.mark.parametrize(
    "text",
    [
        "a cat sleeps on a sofa", "drone shot of alps", "cinematic 4k koi pond", "neo-noir cityscape", "", "ok",
        "a fjord", "ein Hund rennt über die nasse Wiese", "un hombre camina por la playa al atardecer",
        "une femme marche dans la rue sous la pluie", "um homem caminha no parque", "un uomo cammina nel parco",
    ],
)  # fmt: skip
def test_measured(text):
    assert is_measured(text)


@pytest.mark.parametrize(
    "text",
    ["一只猫在沙发上", "кошка спит на диване", "mwanamume anapiga mbwa barabarani", "kedi koltukta uyuyor",
     "قطة على الأريكة",
     "एक बिल्ली सो रही है", "kissa nukkuu sohvalla", "Một con mèo ngủ trên ghế"],
)  # fmt: skip
def test_not_measured(text):
    assert not is_measured(text)


def test_one_card_in_another_language_refuses_the_board():
    refused = judge_language(["a red boat at sea", "кошка спит на диване"], POLICY)
    assert (refused.action, refused.rule) == ("refuse", "language-unmeasured")
    assert refused.appeal
    assert "de, en, es, fr, it, pt" in refused.reason
    assert judge_language(["a red boat at sea"], POLICY).allow
