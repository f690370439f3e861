"""The code of a scene: the 16 text tokens that the video transformer attends to.

Token A stands for attribute A. Its clean values are fixed vectors, not learned ones:

    code[A, value] = (hadamard[name of A] + hadamard[value]) / sqrt(2)

Rows of a Hadamard matrix are orthogonal and hold only +1 and -1, so every token has mean square 1, two values of one
attribute are equally far apart, and "red" has the same value vector whether it is said of the first subject or of the
second. "Unspecified" is a value like any other. Because the code is fixed, video training can condition on what a
caption says (`scene_tokens`) without running the text encoder, and the text encoder can be retrained later without
touching the video weights.

Shape suffixes: B batch, A attribute (the order of `ATTRIBUTES`), V value (the last is unspecified), D width.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import torch

from kinemark.worlds.spec import ATTRIBUTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from kinemark.worlds.spec import Attribute

TEXT_DIM: Final = 128
TEXT_LEN: Final = len(ATTRIBUTES)
#: Values of the richest attribute, and one more for "unspecified".
NUM_VALUES: Final = 1 + max(len(attribute.values) for attribute in ATTRIBUTES)
UNSPECIFIED: Final = NUM_VALUES - 1


def hadamard(order: int) -> Tensor:
    """Sylvester's matrix of +1 and -1 with orthogonal rows; `order` is a power of two."""
    matrix = torch.ones(1, 1)
    while len(matrix) < order:
        matrix = torch.cat((torch.cat((matrix, matrix), dim=1), torch.cat((matrix, -matrix), dim=1)))
    return matrix


@cache
def scene_code() -> Tensor:
    """`[A, V, D]`: the vector of each value of each attribute; zero where an attribute has no such value.

    Rows of the matrix are dealt out in the order of `ATTRIBUTES`: the constant row 0 is skipped, one row for each
    attribute's name, one for "unspecified", then one for each value of each list of values (lists are shared: the end
    time's with the time's, the second subject's with the first's).
    """
    rows = iter(hadamard(TEXT_DIM)[1:])
    names = [next(rows) for _ in ATTRIBUTES]
    unspecified = next(rows)
    values: dict[tuple[str, ...], list[Tensor]] = {}
    code_AVD = torch.zeros(TEXT_LEN, NUM_VALUES, TEXT_DIM)
    for index, attribute in enumerate(ATTRIBUTES):
        if attribute.values not in values:
            values[attribute.values] = [next(rows) for _ in attribute.values]
        for value, row in enumerate(values[attribute.values]):
            code_AVD[index, value] = names[index] + row
        code_AVD[index, UNSPECIFIED] = names[index] + unspecified
    return code_AVD / 2**0.5


def value_codes(said: Sequence[Mapping[str, str]]) -> Tensor:
    """What texts state, {attribute name: value}, as `[B, A]` integers; `UNSPECIFIED` for what is not stated.

    Raises:
        ValueError: a value is not one of its attribute's.
    """
    codes = [[_code(attribute, text.get(attribute.name)) for attribute in ATTRIBUTES] for text in said]
    return torch.tensor(codes, dtype=torch.int64).reshape(len(said), TEXT_LEN)


def _code(attribute: Attribute, value: str | None) -> int:
    if value is None:
        return UNSPECIFIED
    if value not in attribute.values:
        raise ValueError(f"{attribute.name} is {value!r}; allowed: {', '.join(attribute.values)}")
    return attribute.values.index(value)


def scene_tokens(said: Sequence[Mapping[str, str]]) -> Tensor:
    """The text tokens `[B, 16, 128]` of texts that state exactly this; `{}` gives the unconditional tokens."""
    return scene_code()[torch.arange(TEXT_LEN), value_codes(said)]
