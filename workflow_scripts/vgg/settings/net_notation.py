"""Table 1's notation of a net, a line of layers: what is wrong in one, and how it is written."""

from __future__ import annotations

import re
from collections.abc import Sequence

CONV = re.compile(r"conv([0-9]+)-([0-9]+)")
GAP = "GAP"
BEHIND_CONV = ("LRN", "BN")
EXPECTED = "expected conv<side>-<channels>, such as conv3-64, LRN, BN, GAP or |"


def notation_slip(layers: str) -> str | None:
    """The first word of a net's line that cannot stand there, and the cure; None for a sound line.

    Of sound lines each block begins with a conv; LRN and BN are behind one.
    """
    words = layers.split()
    if not words:
        return "is empty; write its layers, such as conv3-64 | conv3-128"
    for place in range(len(words)):
        if told := _word_slip(words, place):
            return f'word {place + 1}, "{words[place]}", {told}'
    return None


def _word_slip(words: Sequence[str], place: int) -> str | None:
    """What is wrong with one word of a line; None for nothing."""
    word, before = words[place], words[place - 1] if place else None
    if before == GAP:
        return "stands behind GAP, which is the last block; delete all behind it"
    if word == "|":
        if before is None:
            return "comes before any layer; begin with a conv, such as conv3-64"
        if before == "|":
            return "ends a block that has no layers; delete it"
        ends = "ends the line, but a pool ends the last block by itself; delete it"
        return ends if place == len(words) - 1 else None
    if word == GAP:
        alone = "is no block of its own; write it behind all others: | GAP"
        return None if before == "|" else alone
    if word in BEHIND_CONV:
        of_conv = before is not None and CONV.fullmatch(before)
        if of_conv or (word == "LRN" and before == "BN"):
            return None
        behind = "a conv, or its BN" if word == "LRN" else "a conv"
        return f"is not behind {behind}; write conv3-64 {word}, or delete it"
    if not (conv := CONV.fullmatch(word)):
        return _unknown(word)
    side, channels = int(conv[1]), int(conv[2])
    if side % 2 == 0:
        odd = " or ".join(f"conv{near}-{channels}" for near in (side - 1, side + 1) if near > 0)
        return f"has an even side, but sides are odd, so that maps keep their size; write {odd}"
    return None if channels else f"has no channels; give 1 or more, such as conv{side}-64"


def _unknown(word: str) -> str:
    """What to tell of a word that is no layer."""
    if set(word) == {"|"}:
        return "is more than one pool; write |"
    if "|" in word:
        spaced = " ".join(re.sub(r"\|", " | ", word).split())
        return f"lacks spaces beside its |; write {spaced}"
    for meant in (word.upper(), word.lower()):
        if meant in (*BEHIND_CONV, GAP) or CONV.fullmatch(meant):
            return f"is no layer; write {meant}"
    if "pool" in word.lower():
        return "is no layer; a pool between two blocks is written |"
    if word.lower().startswith("fc"):
        return "is no layer; delete it: the fully-connected layers follow every net"
    return f"is no layer; {EXPECTED}"


def size_slip(layers: str, crop: int, width_divisor: int, is_paper: bool = False) -> str | None:
    """Why a sound line makes no net at a size, and the cure; None if it makes one.

    crop: side of the net's input in pixels. width_divisor: divides all channels. is_paper: they are
    the paper's, not the configuration's.
    """
    for place, word in enumerate(layers.split(), start=1):
        if (conv := CONV.fullmatch(word)) and int(conv[2]) % width_divisor:
            near = max(1, round(int(conv[2]) / width_divisor)) * width_divisor
            return (
                f'word {place}, "{word}", has {int(conv[2])} channels, but is to have a multiple '
                f"of convnet.width_divisor, {width_divisor}; write conv{conv[1]}-{near}"
            )
    blocks = sum(block.strip() != GAP for block in layers.split("|"))
    if crop % (stride := 2**blocks):
        whose = "the paper's crop" if is_paper else "convnet.crop"
        other = "" if is_paper else f", or set it to {-(-crop // stride) * stride}"
        return (
            f"has {blocks} blocks, each with a pool that halves the map, but {whose}, {crop}, is "
            f"no multiple of 2^{blocks} = {stride}; take fewer blocks{other}"
        )
    return None
