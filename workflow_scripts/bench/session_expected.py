"""Expectations of a measuring session: of rounding on any card, of speed on an H100.

Speeds are those of the one H100 that was measured (docs/gpu.md), with room for another day's.
"""

from __future__ import annotations

from dataclasses import dataclass

CARD = "H100"


@dataclass(frozen=True)
class Expected:
    """The value that a number of some facts should have.

    part, what: of the fact; `what` is its beginning. key: the number's name. least, most: its
    bounds, None where there is none. anywhere: on every card, not on CARD only.
    """

    part: str
    what: str
    key: str
    least: float | None = None
    most: float | None = None
    anywhere: bool = False

    def is_of(self, fact: dict) -> bool:
        """Whether the fact has this number."""
        return fact["part"] == self.part and fact["what"].startswith(self.what) and self.key in fact

    def verdict(self, fact: dict, hardware: str) -> str:
        """How the number compares; nothing on a card of which nothing is expected."""
        if not self.anywhere and CARD not in hardware:
            return ""
        number = fact[self.key]
        if not isinstance(number, int | float):
            return "not finite"
        if self.least is not None and number < self.least:
            return "less"
        if self.most is not None and number > self.most:
            return "more"
        return "as expected"

    def __str__(self) -> str:
        if self.most is None:
            bounds = f"at least {self.least:,g}"
        elif self.least is None:
            bounds = f"at most {self.most:,g}"
        else:
            bounds = f"{self.least:,g}–{self.most:,g}"
        return f"{self.key} {bounds}" + ("" if self.anywhere else f" on an {CARD}")


def _rounding() -> list[Expected]:
    """Of losses in each precision, against float64."""
    most = {"float32": 1e-5, "tf32": 1e-3, "bfloat16": 1e-2, "float16": 1e-3}
    return [
        Expected("parity", f"{net}, {precision}", "loss", most=bound, anywhere=True)
        for net in ("A", "A-LRN", "C", "D", "E")
        for precision, bound in most.items()
    ]


def _evaluations() -> list[Expected]:
    ranges = {
        "float32": (22, 35), "tf32": (140, 220), "bfloat16": (210, 350), "float16": (210, 350)
    }  # fmt: skip
    facts = [("evaluate", f"dense, Q = {Q}") for Q in (256, 384, 512)]
    facts += [("evaluate", "multicrop, Q = 384")]
    facts += [("alone", "D, Q = 256, 73 images"), ("alone", "D, Q = 512, 18 images")]
    return [
        Expected(part, f"{what}, {precision}", "TFLOP/s", least=least, most=most)
        for part, what in facts
        for precision, (least, most) in ranges.items()
    ]


EXPECTED = [
    # With Winograd's kernels
    Expected("limits", "TFLOP/s of kernels in float32", "fastest", least=45, most=150),
    Expected("limits", "TFLOP/s of kernels in tf32", "fastest", least=350, most=450),
    Expected("limits", "TFLOP/s of kernels in bfloat16", "fastest", least=700, most=850),
    Expected("limits", "a pinned copy", "ms", least=0.5, most=2),
    Expected("limits", "a pageable copy", "ms", least=2, most=12),
    *_rounding(),
    Expected("step", "A, ours", "images/s", least=4_500, most=6_500),
    Expected("step", "D, ours", "images/s", least=2_800, most=3_400),
    Expected("step", "E, ours", "images/s", least=2_500, most=3_000),
    Expected("step", "A, its layers alone", "reached", least=0.33),
    Expected("step", "D, its layers alone", "reached", least=0.5),
    Expected("loader", "S = 256", "images/s", least=10_000),
    Expected("loader", "S in [256;512]", "images/s", least=5_500),
    Expected("loader", "A from the loader, copies on a stream of their own", "waiting", most=0.03),
    *_evaluations(),
    Expected("rival", "A, torchvision, compiled", "times eager", least=1.25, most=1.7),
    Expected("rival", "D, torchvision, compiled", "times eager", least=1.25, most=1.7),
    Expected("compiled", "D, conv layers compiled", "times eager", least=1.25, most=1.7),
]
