"""From posteriors, guesses and scores to numbers: a run's errors, measures, intervals and claims.

For check_report.py. Nothing of the pipeline's code is used, only numpy and pandas: errors are
counted from the mean posteriors, and from guessed and true boxes in whole numbers; Wilson's
interval is the roots of its equation, the exact tests are sums of whole numbers, and the bootstrap
is held against the distribution that it draws from. Measures of features come from
recomputed_measures.py.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import yaml

from tests.checks.recomputed_measures import Measured, Measures, ends_of, is_measure, p_of

KINDS = ("top1", "top5", "gtloc", "top5loc")
METRICS = tuple(f"{kind}_{split}" for kind in KINDS for split in ("val", "test"))
VERDICTS = ("reproduced", "not reproduced", "inconclusive", "unmeasured")
SIDES = ("candidate", "baseline")
Z = 1.959963984540054  # 97.5% point of the standard normal distribution
T = {2: 12.706204736, 3: 4.302652730, 4: 3.182446305, 5: 2.776445105}  # of t, by number of seeds
LEVEL = 0.008  # five standard deviations of where the 2.5% quantile of 10,000 draws lies

Evaluations = tuple[tuple[str, str, int], ...]  # model, method, Q


def evaluations(entries: list[dict]) -> Evaluations:
    """The evaluations of a row of tables.yaml."""
    return tuple((e["model"], e["method"], Q) for e in entries for Q in e["Q"])


class Guessed(NamedTuple):
    """The guesses of a row. boxes: model, method and Q of its nets. kind: of its error."""

    row: str
    boxes: Evaluations
    kind: str


class Classified(NamedTuple):
    """The classifiers of a row. described: net, region, weights; Q, pooling: None for the set's."""

    row: str
    described: tuple[tuple[str, str, str], ...]
    Q: tuple[int, ...] | None
    pooling: str | None

    @property
    def models(self) -> set[str]:
        return {model for model, *_ in self.described}


Behind = Evaluations | Guessed | Classified


def behind(row: dict) -> Behind:
    """What a row of tables.yaml is measured by."""
    if "descriptors" in row:
        wanted = row["descriptors"]
        weights, regions = wanted.get("weights", "trained"), wanted.get("regions", ["image"])
        return Classified(
            row["name"],
            tuple((model, region, weights) for model in wanted["models"] for region in regions),
            tuple(wanted["Q"]) if "Q" in wanted else None,
            wanted.get("scale_pooling"),
        )
    if "evaluations" in row:
        return evaluations(row["evaluations"])
    boxes = evaluations(row.get("boxes", []))
    if boxes:
        of_true_class = all(method == "center" for _, method, _ in boxes)
    else:
        of_true_class = row["fixed_box"]["labels"] == "true-class"
    return Guessed(row["name"], boxes, "gtloc" if of_true_class else "top5loc")


def misses(found: pd.Series, true: pd.Series, choices: dict) -> bool:
    """Whether no guess for an image has its class and one of its boxes."""
    size = (found["width"], found["height"], found["width"], found["height"])
    more = int(choices["overlap_pixels"] == "inclusive")
    for one in true["boxes"]:
        edges = [one[corner] for corner in ("xmin", "ymin", "xmax", "ymax")]
        left, top, right, bottom = (round(e * s) for e, s in zip(edges, size, strict=True))
        own = [left, top, right - 1, bottom - 1]
        for label, guess in zip(found["guesses"][:5], found["boxes"][:5], strict=True):
            if label != found["label"]:
                continue
            sides = [
                [
                    min(a[i + 2], b[i + 2]) - max(a[i], b[i]) + more
                    for a, b in ((own, guess), (own, own), (guess, guess))
                ]
                for i in (0, 1)
            ]
            common, first, second = (
                int(max(x, 0)) * int(max(y, 0)) for x, y in zip(*sides, strict=True)
            )
            least = first + second - common + (choices["overlap_bound"] == "more-than-half")
            if common and 2 * common >= least:
                return False
    return True


# Statistics


def wilson(rate: float, images: float) -> tuple[float, float]:
    """The rates x, in percent, for which `rate` is Z standard errors away."""
    # (rate − x)² = Z² x (1 − x) / images
    a = Z**2 / images
    low, high = sorted(np.roots([1 + a, -(2 * rate + a), rate**2]).real)
    return 100 * max(low, 0), 100 * min(high, 1)


def interval(wrong: np.ndarray) -> tuple[float, float]:
    """Wilson's interval of outcomes [seeds, images], those of an image being one cluster."""
    seeds, images = wrong.shape
    rate, spread = wrong.mean(), wrong.mean(0).var()
    effective = images
    if seeds > 1 and 0 < rate < 1:
        effective = min(images * seeds, images * rate * (1 - rate) / (spread or 1e-300))
    return wilson(rate, effective)


def percentile(of_image: np.ndarray, level: float) -> tuple[float, float]:
    """Between which sums 10,000 bootstrap draws over images find a percentile.

    of_image: int [images]. The sum of `images` independent draws has the power of one draw's
    generating function.
    """
    images, most = len(of_image), int(np.abs(of_image).max(initial=0))
    places = 2 * most * images + 1
    one = np.bincount(of_image + most, minlength=2 * most + 1) / images
    reached = np.fft.irfft(np.fft.rfft(one, n=places) ** images, n=places).cumsum()
    ends = np.searchsorted(reached, [level - LEVEL, level + LEVEL])
    return tuple(float(end) - most * images for end in ends)


def exact_p(of_image: np.ndarray) -> float:
    """Two-sided p of a sum of differences, int [images], each as likely of either sign.

    For one seed it is McNemar's exact test.
    """
    ways = {0: 1}  # how often each sum comes about
    for size, count in Counter(np.abs(of_image[of_image != 0]).tolist()).items():
        more: Counter = Counter()
        for (before, number), plus in itertools.product(ways.items(), range(count + 1)):
            more[before + size * (2 * plus - count)] += number * math.comb(count, plus)
        ways = more
    far = sum(number for total, number in ways.items() if abs(total) >= abs(of_image.sum()))
    return far / sum(ways.values())


def holm(p_values: dict) -> dict:
    """Holm's adjusted p values, by the same keys."""
    adjusted, largest = {}, 0.0
    for rank, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, p * (len(p_values) - rank)))
        adjusted[key] = largest
    return adjusted


# Numbers of tables and of the ledger


class Cell(NamedTuple):
    """A number of a table. wrong: outcomes, bool [seeds, images]; None if nothing was measured.

    entered: what the test server answered, and for how many images.
    """

    wrong: np.ndarray | None
    paper: float | None
    entered: tuple[float, int] | None = None

    @property
    def fields(self) -> dict[str, float]:
        """Those fields of the table's files that are numbers; "" is the error itself."""
        found = {} if self.paper is None else {"paper": self.paper}
        if self.wrong is not None:
            seeds, images = self.wrong.shape
            per_seed = 100 * self.wrong.mean(1)
            low, high = interval(self.wrong)
            found |= {"": per_seed.mean(), "seeds": seeds}
            found |= {"errors": self.wrong.sum()} if seeds == 1 else {}
            found |= {"seed_sd": per_seed.std(ddof=1)} if seeds > 1 else {}
        elif self.entered:
            error, images = self.entered
            found |= {"": error, "errors": round(error * images / 100)}
            low, high = wilson(found["errors"] / images, images)
        else:
            return found
        found |= {"low": low, "high": high, "images": images}
        if self.paper is not None:
            found["difference"] = found[""] - self.paper
        return found


class MeasureCell(NamedTuple):
    """A number of a table of features, in percent, higher is better.

    entered: what the organisers' server answered. sd, starred: beside the paper's number.
    """

    measured: Measured | None
    paper: float | None
    sd: float | None = None
    starred: float | None = None
    entered: float | None = None

    @property
    def fields(self) -> dict[str, float | tuple[float, float]]:
        """As those of Cell; an end of the interval lies between two."""
        printed = {"paper": self.paper, "paper_sd": self.sd, "paper_starred": self.starred}
        found = {name: value for name, value in printed.items() if value is not None}
        if self.measured is not None:
            own = self.measured
            found |= {"": own.per_seed.mean(), "seeds": len(own.per_seed), "images": own.images}
            found |= {"low": ends_of(own.draws, 0.025), "high": ends_of(own.draws, 0.975)}
            found |= {} if own.split_sd is None else {"split_sd": own.split_sd}
            if len(own.per_seed) > 1:
                found["seed_sd"] = own.per_seed.std(ddof=1)
        elif self.entered is not None:
            found[""] = self.entered
        if "" in found and self.paper is not None:
            found["difference"] = found[""] - self.paper
        return found


def of_seeds(per_seed: np.ndarray, difference: float) -> dict[str, float]:
    """What several seeds say of a difference; nothing of one."""
    if len(per_seed) == 1:
        return {}
    sd = per_seed.std(ddof=1)
    half = T[len(per_seed)] * sd / math.sqrt(len(per_seed))
    return {"seed_sd": sd, "seed_low": difference - half, "seed_high": difference + half}


def judged(
    expect: str, margin: float | None, intervals: list[tuple[float, float]], p_holm: float
) -> str:
    """What follows from all intervals of a difference."""
    if expect == "equivalent":
        yes = all(abs(end) < margin for pair in intervals for end in pair)
        no = any(all(sign * end >= margin for p in intervals for end in p) for sign in (1, -1))
        return "reproduced" if yes else "not reproduced" if no else "inconclusive"
    below = p_holm < 0.05 and all(high < 0 for _, high in intervals)
    above = p_holm < 0.05 and all(low > 0 for low, _ in intervals)
    yes, no = (below, above) if expect == "lower_error" else (above, below)
    return "reproduced" if yes else "not reproduced" if no else "inconclusive"


class Compared(NamedTuple):
    """Two sides' outcomes, bool [seeds, images], and p values."""

    candidate: np.ndarray
    baseline: np.ndarray
    p: float
    p_holm: float

    @property
    def per_seed(self) -> np.ndarray:
        return 100 * (self.candidate.mean(1) - self.baseline.mean(1))

    @property
    def fields(self) -> dict[str, float | tuple[float, float]]:
        """The numbers of claims.csv; of the bootstrap's, between what they may lie."""
        seeds, images = self.candidate.shape
        of_image = (self.candidate.astype(int) - self.baseline).sum(0)
        low, high = (
            tuple(100 * total / (seeds * images) for total in percentile(of_image, level))
            for level in (0.025, 0.975)
        )
        found = {
            "candidate_error": 100 * self.candidate.mean(),
            "baseline_error": 100 * self.baseline.mean(),
            "difference": 100 * of_image.sum() / (seeds * images),  # exactly 0 if they are equal
            "low": low,
            "high": high,
            "p": self.p,
            "p_holm": self.p_holm,
            "images": images,
            "seeds": seeds,
        }
        found |= of_seeds(self.per_seed, found["difference"])
        return found

    def ends(self, low: float, high: float) -> list[tuple[float, float]]:
        """The ends of all intervals: the bootstrap's as it was drawn, and the seeds'."""
        fields = self.fields
        of_seeds = [(fields["seed_low"], fields["seed_high"])] if "seed_low" in fields else []
        return [(low, high), *of_seeds]

    def verdict(self, expect: str, margin: float | None, low: float, high: float) -> str:
        """What follows from the bootstrap's interval as it was drawn."""
        return judged(expect, margin, self.ends(low, high), self.p_holm)


class ComparedMeasures(NamedTuple):
    """Two sides' measures by one metric. p: as it was drawn; p_holm: what Holm makes of those."""

    candidate: Measured
    baseline: Measured
    p_holm: float

    @property
    def per_seed(self) -> np.ndarray:
        return self.candidate.per_seed - self.baseline.per_seed

    @property
    def fields(self) -> dict[str, float | tuple[float, float]]:
        """The numbers of claims.csv; of the bootstrap's, between what they may lie."""
        draws = self.candidate.draws - self.baseline.draws
        found = {
            "candidate_error": self.candidate.per_seed.mean(),
            "baseline_error": self.baseline.per_seed.mean(),
            "difference": float(self.per_seed.mean()),
            "low": ends_of(draws, 0.025),
            "high": ends_of(draws, 0.975),
            "p": p_of(draws),
            "p_holm": self.p_holm,
            "images": self.candidate.images,
            "seeds": len(self.per_seed),
        }
        return found | of_seeds(self.per_seed, found["difference"])

    def ends(self, low: float, high: float) -> list[tuple[float, float]]:
        """The ends of all intervals: the bootstrap's as it was drawn, and the seeds'."""
        fields = self.fields
        own = [(fields["seed_low"], fields["seed_high"])] if "seed_low" in fields else []
        return [(low, high), *own]

    def verdict(self, expect: str, margin: float | None, low: float, high: float) -> str:
        """What follows from the bootstrap's interval as it was drawn."""
        return judged(expect, margin, self.ends(low, high), self.p_holm)


def joint(verdicts: list[str]) -> str:
    """A claim's verdict from those of its parts."""
    if set(verdicts) <= {"unmeasured"}:
        return "unmeasured"
    if "not reproduced" in verdicts:
        return "not reproduced"
    return "reproduced" if set(verdicts) == {"reproduced"} else "inconclusive"


class Run:
    """A finished run in a tree: its configuration, and what its posterior files say."""

    def __init__(self, root: Path):
        self.root = root
        self.experiment = self._yaml("config/config.yaml")["experiment"]
        self.results = root / "results" / self.experiment
        self.config = yaml.safe_load((self.results / "config.yaml").read_text())
        self.seeds = self.config["seeds"]
        self.imported = self.config["weights"]["import"]
        self.paper = self._yaml("config/paper_tables.yaml")
        self.claims = self._yaml(self.config["claims"])
        self.models = self._yaml(self.config["models"])
        self.tables = {k: v for path in self.config["tables"] for k, v in self._yaml(path).items()}
        answers = self.config["server_answers"]
        self.answers = (self._yaml(answers) if answers else None) or {}
        self.wrong = cache(self._wrong)
        sets = self.config.get("transfer", {}).get("data_sets", {})
        self.sets = {name: entry for name, entry in sets.items() if entry}
        definition = self.config["choices"].get("average_precision", "years-own")
        self.measures = Measures(self.results, self.sets, definition)
        self.measure = cache(self._measure)

    def _yaml(self, path: str) -> dict:
        return yaml.safe_load((self.root / path).read_text())

    def measured(self) -> list[str]:
        """The tables of errors and of features."""
        return [name for name, table in self.tables.items() if "rows" in table]

    def of_features(self, name: str) -> bool:
        """Whether a table is of features on other data sets."""
        return any(map(is_measure, self.tables[name]["metrics"]))

    def seeds_of(self, own: Evaluations | Classified) -> list[int]:
        """The seeds that some models were trained with: the first alone stands for files."""
        models = own.models if isinstance(own, Classified) else {e[0] for e in own}
        return self.seeds[:1] if models <= set(self.imported) else self.seeds

    def folder(self, seed: int, model: str | None = None) -> Path:
        """Where the files of a seed are; those of imported models have none."""
        first = seed == self.seeds[0] or model in self.imported
        return self.results if first else self.results / f"seed{seed}"

    def files(self, own: Evaluations, split: str, of: str = "posteriors") -> list[list[Path]]:
        """The posterior files whose mean counts, for each seed; or the files of boxes."""
        return [
            [
                self.folder(seed, model) / f"{of}/{split}/{model}/{method}_Q{Q}.parquet"
                for model, method, Q in own
            ]
            for seed in self.seeds_of(own)
        ]

    def guesses(self, own: Guessed, split: str) -> list[Path]:
        """The file of guesses that counts, for each seed."""
        seeds = self.seeds_of(own.boxes)
        return [self.folder(seed) / f"localisation/{split}/{own.row}.parquet" for seed in seeds]

    def scores(self, own: Classified, name: str) -> tuple[Path, ...]:
        """The files of a data set's scores, for each seed."""
        path = f"classifiers/{name}/{own.row}.parquet"
        first = self.seeds_of(own)[0]
        return tuple(
            (self.results if seed == first else self.results / f"seed{seed}") / path
            for seed in self.seeds_of(own)
        )

    def descriptors(self, own: Classified, name: str) -> list[Path]:
        """The files of descriptors that the classifiers of all seeds learned from."""
        return [
            self.folder(seed, model)
            / f"descriptors/{name}/{model}{'.random' if weights == 'random' else ''}"
            / f"{region}_Q{Q}.parquet"
            for seed in self.seeds_of(own)
            for model, region, weights in own.described
            for Q in own.Q or self.sets[name]["Q"]
        ]

    def named(self, own: Behind, split: str) -> set[str]:
        """The files that the provenance of a row should name. split: or a data set."""
        if isinstance(own, Classified):
            paths = [*self.scores(own, split), *self.descriptors(own, split)]
        elif isinstance(own, Guessed):
            paths = [*self.guesses(own, split)]
            paths += itertools.chain(*self.files(own.boxes, split, "boxes"))
        else:
            paths = itertools.chain(*self.files(own, split))
        return {str(path.relative_to(self.root)) for path in paths}

    def _wrong(self, own: Behind, split: str, kind: str) -> np.ndarray | None:
        """Outcomes, bool [seeds, images]; None if a file is absent or has no labels."""
        if isinstance(own, Guessed):
            return self._wrong_guesses(own, split) if kind == own.kind else None
        if kind not in ("top1", "top5"):
            return None
        of_seeds, k = self.files(own, split), int(kind[3:])
        if not all(path.is_file() for files in of_seeds for path in files):
            return None
        outcomes = []
        for files in of_seeds:
            frames = [pd.read_parquet(path).set_index("id").sort_index() for path in files]
            assert all(frame.index.equals(frames[0].index) for frame in frames)
            labels = frames[0]["label"].to_numpy()
            if (labels < 0).any():
                return None
            stacked = [np.stack(frame["posterior"]).astype(np.float64) for frame in frames]
            highest = np.argsort(-np.mean(stacked, axis=0), axis=1, kind="stable")[:, :k]
            outcomes.append(~(highest == labels[:, None]).any(1))
        return np.stack(outcomes)

    def _wrong_guesses(self, own: Guessed, split: str) -> np.ndarray | None:
        """The same of guesses, for the images that are scored."""
        paths, truth = self.guesses(own, split), self.results / f"truth/{split}.parquet"
        if not all(path.is_file() for path in (*paths, truth)):
            return None
        true, outcomes = pd.read_parquet(truth).set_index("id"), []
        kept = self.config["choices"]["blacklisted"] == "kept"
        scored = true.index[(true["boxes"].str.len() > 0) & (kept | ~true["blacklisted"])]
        for path in paths:
            found = pd.read_parquet(path).set_index("id").sort_index()
            if (found["label"] < 0).any():
                return None
            ids = found.index.intersection(scored).sort_values()
            outcomes.append(
                [misses(found.loc[i], true.loc[i], self.config["choices"]) for i in ids]
            )
        return np.array(outcomes)

    def _measure(self, own: Classified, metric: str) -> Measured | None:
        """A metric of a row's classifiers; None if the run has not measured it."""
        name = metric.partition("_")[2]
        return self.measures.of(metric, self.scores(own, name)) if name in self.sets else None

    def papers(self, name: str) -> list[dict[str, float]]:
        """The numbers beside a table's rows, by metric; the paper's further rows at the end."""
        table = self.tables[name]
        if "paper" not in table:
            return [row.get("reference", {}) for row in table["rows"]]
        entry = self.paper[table["paper"]]
        columns = [column.split(" ")[0] for column in entry["columns"]]
        pairs = [zip(columns, row, strict=True) for row in entry["rows"]]
        return [
            {c: v for c, v in own if (c in METRICS or is_measure(c)) and v is not None}
            for own in pairs
        ]

    def cells(self, name: str) -> list[dict[str, Cell | MeasureCell]]:
        """The rows of a table of numbers, by metric, those of the literature included."""
        if self.of_features(name):
            return self._measure_cells(name)
        table, found = self.tables[name], []
        for row, paper in itertools.zip_longest(table["rows"], self.papers(name)):
            cells = {}
            for metric in table["metrics"]:
                kind, split = metric.split("_")
                wrong = row and self.wrong(behind(row), split, kind)
                answer = self.answers.get(row.get("submission"), {}).get(metric) if row else None
                entered = answer and (answer, self.config["data"]["images"]["test"])
                cells[metric] = Cell(
                    wrong, paper.get(metric), None if wrong is not None else entered
                )
            found.append(cells)
        return found

    def _measure_cells(self, name: str) -> list[dict[str, MeasureCell]]:
        table, found = self.tables[name], []
        for row, paper in itertools.zip_longest(table["rows"], self.papers(name)):
            printed = (row or {}).get("reference") or paper or {}
            cells = {}
            for metric in table["metrics"]:
                told = printed.get(metric)
                told = told if isinstance(told, dict) else {"value": told}
                measured = self.measure(behind(row), metric) if row else None
                answer = self.answers.get(row.get("submission"), {}).get(metric) if row else None
                cells[metric] = MeasureCell(
                    measured,
                    told.get("value"),
                    told.get("sd"),
                    told.get("starred"),
                    answer if measured is None else None,
                )
            found.append(cells)
        return found

    def row(self, side: str) -> tuple[str, int, dict]:
        """What <table>/<row> names: the table, the row's place in it, the row."""
        table, name = side.split("/")
        rows = enumerate(self.tables[table]["rows"])
        return next((table, place, row) for place, row in rows if row["name"] == name)

    def sides(self, comparison: dict) -> tuple[Behind, ...]:
        """What a comparison's candidate and baseline are measured by."""
        return tuple(
            behind({"evaluations": side} if isinstance(side, list) else self.row(side)[2])
            for side in (comparison[name] for name in SIDES)
        )

    def paper_difference(self, comparison: dict) -> float | None:
        """The paper's candidate minus its baseline, if its tables have both."""
        errors = []
        kinds = [
            side.kind if isinstance(side, Guessed) else "top1" for side in self.sides(comparison)
        ]
        for kind, side in zip(kinds, (comparison[name] for name in SIDES), strict=True):
            if isinstance(side, list) or "paper" not in self.tables[side.split("/")[0]]:
                return None
            table, place, _ = self.row(side)
            metric = comparison.get("metric", f"{kind}_val")
            error = self.papers(table)[place].get(metric)
            errors.append(error["value"] if isinstance(error, dict) else error)
        return None if None in errors else errors[0] - errors[1]

    def _same(self, comparison: dict) -> bool:
        """Whether both sides of a comparison of features are the same ones on its data set."""
        entry = self.sets[comparison["metric"].partition("_")[2]]
        said = set()
        for own in self.sides(comparison):
            scales = own.Q or tuple(entry["Q"])
            pooling = own.pooling or entry["scale_pooling"]
            said.add((own.described, scales, pooling if len(scales) > 1 else None))
        return len(said) == 1

    def measured_pair(self, comparison: dict) -> tuple[Measured, Measured] | None:
        """The two sides of a comparison of features; None if it was not measured."""
        sides = [self.measure(side, comparison["metric"]) for side in self.sides(comparison)]
        return None if None in sides or self._same(comparison) else tuple(sides)

    def kind(self, comparison: dict) -> str:
        """What a comparison is about, which has a family of tests of its own."""
        of_sides = {Guessed: "localisation", Classified: "features"}
        return of_sides.get(type(self.sides(comparison)[0]), "classification")

    def families(self) -> dict[str, int]:
        """How many pairs Holm adjusts the p values of, by what they are about."""
        pairs: dict[str, set] = {"classification": set(), "localisation": set(), "features": set()}
        compared = itertools.chain(*self.compared())
        for comparison, found in zip(self.comparisons(), compared, strict=True):
            if found is not None:
                sides = frozenset(map(frozenset, self.sides(comparison)))
                pairs[self.kind(comparison)].add((sides, comparison.get("metric")))
        return {name: len(own) for name, own in pairs.items()}

    def comparisons(self) -> list[dict]:
        """Those of all claims."""
        return [each for claim in self.claims for each in claim["comparisons"]]

    def _compared_measures(self) -> list[ComparedMeasures | None]:
        """Of all comparisons those of features that were measured, with p as claims.csv has it."""
        drawn = pd.read_csv(self.results / "claims.csv")["p"].tolist()
        pairs, p_values = [], {}
        for comparison, p in zip(self.comparisons(), drawn, strict=True):
            pair = self.measured_pair(comparison) if "metric" in comparison else None
            key = frozenset(self.sides(comparison)), comparison.get("metric")
            pairs.append((key, pair))
            if pair:
                p_values[key] = p
        adjusted = holm(p_values)
        return [pair and ComparedMeasures(*pair, adjusted[key]) for key, pair in pairs]

    def compared(self) -> list[list[Compared | ComparedMeasures | None]]:
        """The comparisons of each claim; None for one that was not measured."""
        outcomes, p_values = {}, ({}, {})  # of classification, of localisation
        of_features = iter(self._compared_measures())
        for comparison in self.comparisons():
            if "metric" in comparison:
                continue
            sides = self.sides(comparison)
            boxed = isinstance(sides[0], Guessed)
            kinds = [own.kind if boxed else "top1" for own in sides]
            wrong = [self.wrong(o, "val", kind) for o, kind in zip(sides, kinds, strict=True)]
            if all(own is not None for own in wrong):
                outcomes[sides] = one, two = np.broadcast_arrays(*wrong)
                pair = frozenset(map(frozenset, sides))
                p_values[boxed][pair] = exact_p((one.astype(int) - two).sum(0))
        adjusted = holm(p_values[0]) | holm(p_values[1])
        p_values = p_values[0] | p_values[1]

        def one(comparison: dict) -> Compared | ComparedMeasures | None:
            measured = next(of_features)
            if "metric" in comparison:
                return measured
            sides = self.sides(comparison)
            pair = frozenset(map(frozenset, sides))
            known = sides in outcomes
            return Compared(*outcomes[sides], p_values[pair], adjusted[pair]) if known else None

        return [[one(each) for each in claim["comparisons"]] for claim in self.claims]

    def parameters(self, net: str) -> tuple[int, int]:
        """A net's parameters at full size, and in this run."""
        own = self.config["convnet"] | {"classes": self.config["data"]["classes"]}
        full = {"crop": 224, "fc": 4096, "width_divisor": 1, "classes": 1000}
        return tuple(self._parameters(net, **size) for size in (full, own))

    def _parameters(self, net: str, crop: int, fc: int, width_divisor: int, classes: int) -> int:
        total, channels = 0, 3
        for layer in self.models["convnets"][net].split():
            if layer.startswith("conv"):
                kernel, width = map(int, layer.removeprefix("conv").split("-"))
                width //= width_divisor
                total += kernel**2 * channels * width + width
                channels = width
        widths = [channels * (crop // 32) ** 2, fc, fc, classes]
        return total + sum(a * b + b for a, b in itertools.pairwise(widths))
