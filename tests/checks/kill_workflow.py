"""Kill the whole workflow with SIGKILL at random moments, run it again each time, and compare.

    python -m tests.checks.kill_workflow --moments 10

A fresh clone of the working tree runs `snakemake`, is killed with everything that it started,
unlocked as docs/interruptions.md says and run again with the same command, until it has been killed
so many times; then it may end. Its results must be those of an undisturbed run, byte for byte,
histories but for their speed; and nothing half-written may be left. Moments are random, and spread
over the work that is left: by what an undisturbed run took to get from one file to the next.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import yaml

from tests import checks
from tests.helpers.clones import TINY, configured_clone
from tests.helpers.trainings import history

MARK = "KILL_WORKFLOW_RUN"  # environment variable by which a run's processes are known
POLL = 0.05  # seconds
PLANS = ("plan.csv", "plan.json", "plan.html")  # tell times
GONE_WITHIN = 120  # seconds
REFUSED = re.compile(r"^error: (.* is (?:training this model|writing it); .*)$", flags=re.M)


def main() -> None:
    parser = checks.parser(__doc__)
    parser.add_argument("--moments", type=int, default=10, help="how often to kill it (10)")
    parser.add_argument("--seed", type=int, help="of the moments; drawn and shown if not given")
    parser.add_argument("--tiny", action="store_true", help="the tests' tiny configuration")
    parser.add_argument("--config", type=Path, help="YAML file of changes to config/config.yaml")
    parser.add_argument("--target", nargs="+", default=["all"], help="what to make (all)")
    parser.add_argument("--cores", default="2", help="for Snakemake (2)")
    parser.add_argument(
        "--reference", type=Path, help="tree in which this code ran undisturbed; if not given, run"
    )
    parser.add_argument(
        "--only-snakemake",
        action="store_true",
        help="kill Snakemake's own process only; its jobs live on while it is run again",
    )
    parser.add_argument("--folder", type=Path, help="where to work, and keep it; else temporary")
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    say(f"seed {seed}")
    changes = [TINY, {"train": {"checkpoint_seconds": 0.1}}] if given.tiny else []
    if given.config:
        changes.append(yaml.safe_load(given.config.read_text()))
    folder = given.folder or Path(tempfile.mkdtemp(prefix="kill_workflow."))
    words = [*given.target, "--cores", given.cores]
    try:
        killed = configured_clone(folder / "killed", *changes)
        experiment = yaml.safe_load((killed / "config/config.yaml").read_text())["experiment"]
        results = Path("results") / experiment
        reference = given.reference
        if not reference:
            reference = configured_clone(folder / "undisturbed", *changes)
            run_undisturbed(reference, words)
        way = Way(reference / results)
        say(f"undisturbed: {len(way.seconds)} files, {way.total:.0f} s")
        chance = random.Random(seed)
        disturb(killed, words, killed / results, way, given.moments, chance, given.only_snakemake)
        problems = differences(reference / results, killed / results) + leftovers(killed, words)
    finally:
        for run in RUNS:
            run.kill()
        if not given.folder:
            shutil.rmtree(folder, ignore_errors=True)
    for problem in problems:
        say(problem)
    if problems:
        sys.exit(f"{len(problems)} differences from the undisturbed run")
    say(f"killed {given.moments} times; the results are those of the undisturbed run")


def say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


class Run:
    """A run of Snakemake in a session of its own, and all processes that it starts."""

    def __init__(self, folder: Path, words: list[str]):
        self.log = folder / "output.txt"
        self.mark = str(uuid4())
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SNAKEMAKE")}
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "snakemake", *words],
                cwd=folder, env=environment | {MARK: self.mark},
                stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        RUNS.append(self)

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def works(self) -> bool:
        """Whether its first job has started."""
        return re.search(r"^(local)?rule \w+:$", self.output, flags=re.M) is not None

    def ended(self) -> bool:
        return self.process.poll() is not None

    def others(self) -> list[int]:
        """Living processes that it started, in whatever group or session they are."""
        mark, found = f"{MARK}={self.mark}".encode(), []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and int(entry.name) != self.process.pid:
                try:
                    if mark in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue  # another user's, or gone
        return found

    def kill(self) -> None:
        """End it and everything that it started, at once, and wait until all are gone."""
        if not self.ended():
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        deadline = time.monotonic() + GONE_WITHIN
        while living := self.others():
            for pid in living:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise TimeoutError(f"processes {living} do not die")
            time.sleep(POLL)

    def kill_snakemake_only(self) -> None:
        self.process.kill()
        self.process.wait()

    def jobs(self) -> list[str]:
        """Its jobs that have started and not ended, as its output tells."""
        jobs = {}
        for block in self.output.split("\n\n"):
            rule = re.search(r"^(?:local)?rule (\w+):$", block, flags=re.M)
            number = re.search(r"^ +jobid: (\d+)$", block, flags=re.M)
            if rule and number:
                wildcards = re.search(r"^ +wildcards: (.*)$", block, flags=re.M)
                jobs[number[1]] = f"{rule[1]} {wildcards[1] if wildcards else ''}".strip()
        for number in re.findall(r"^Finished jobid: (\d+)", self.output, flags=re.M):
            jobs.pop(number, None)
        return list(jobs.values())


RUNS: list[Run] = []


def wait_until(condition: Callable[[], object], seconds: float = float("inf")) -> None:
    """Wait until the condition holds, or so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(POLL)


def run_undisturbed(folder: Path, words: list[str]) -> None:
    say("running undisturbed")
    run = Run(folder, words)
    wait_until(run.ended)
    if run.process.returncode:
        sys.exit(run.output)


class Way:
    """How long an undisturbed run took to get to each of its files after the one before."""

    def __init__(self, results: Path):
        times = {name: (results / name).stat().st_mtime for name in files(results)}
        self.seconds: dict[str, float] = {}
        before = min(times.values())
        for name in sorted(times, key=times.get):
            self.seconds[name] = times[name] - before
            before = times[name]
        self.total = sum(self.seconds.values())

    def left(self, results: Path) -> float:
        """Seconds of work that `results` still lack."""
        return sum(
            seconds for name, seconds in self.seconds.items() if not (results / name).exists()
        )


def files(results: Path) -> list[str]:
    """Names of all results; checkpoints, costs and hidden files are none."""
    return [
        str(path.relative_to(results))
        for path in sorted(results.rglob("*"))
        if path.is_file()
        and path.relative_to(results).parts[0] not in ("checkpoints", *PLANS)
        and not path.name.startswith(".")
    ]


def disturb(
    folder: Path,
    words: list[str],
    results: Path,
    way: Way,
    moments: int,
    chance: random.Random,
    only_snakemake: bool,
) -> None:
    """Run the workflow, kill it `moments` times and run it again each time, then let it end."""
    for moment in range(1, moments + 1):
        share = way.left(results) / (moments - moment + 2)
        seconds = chance.uniform(0.5, 1.5) * share
        run = working(folder, words, seconds)
        if run.ended():
            sys.exit(f"{run.output}\nended before moment {moment}; try another --seed")
        if only_snakemake:
            run.kill_snakemake_only()
        else:
            run.kill()
        half = [path.name for path in (folder / "results").rglob("*.tmp")]
        say(
            f"moment {moment}/{moments}: killed after {seconds:.1f} s of work, "
            f"{100 * (1 - way.left(results) / way.total):.0f}% done; "
            f"running: {'; '.join(run.jobs()) or 'no job'}"
            + (f"; half-written: {', '.join(half)}" if half else "")
        )
        unlock = [sys.executable, "-m", "snakemake", "--unlock"]
        subprocess.run(unlock, cwd=folder, check=True, capture_output=True)
    working(folder, words, float("inf"))


def working(folder: Path, words: list[str], seconds: float) -> Run:
    """A run whose jobs have worked for so long, or that has ended well before.

    One that fails because jobs of an earlier one live on is repeated when those have ended.
    """
    earlier = list(RUNS)
    while True:
        beside_others = any(one.others() for one in earlier)
        run = Run(folder, words)
        wait_until(lambda run=run: run.works() or run.ended())
        wait_until(run.ended, seconds)
        if not run.ended() or run.process.returncode == 0:
            return run
        refused = REFUSED.findall(run.output)
        if not refused or not beside_others:
            sys.exit(f"{run.output}\nfailed")
        say(f"the next run is told: {refused[0]}")
        wait_until(lambda: not any(one.others() for one in earlier))


def differences(reference: Path, results: Path) -> list[str]:
    """How `results` differ from those of an undisturbed run, a line for each file that does."""
    wanted, found = set(files(reference)), set(files(results))
    lines = [f"{name}: is missing" for name in sorted(wanted - found)]
    lines += [f"{name}: the undisturbed run has none" for name in sorted(found - wanted)]
    for name in sorted(wanted & found):
        one, two = reference / name, results / name
        match one.suffix:
            case ".csv" if one.parent.name == "history":
                equal = history(one) == history(two)
            case _:
                equal = one.read_bytes() == two.read_bytes()
        if not equal:
            lines.append(f"{name}: differs")
    return lines


def leftovers(folder: Path, words: list[str]) -> list[str]:
    """What a finished run must not leave: half-written files, and work or records that lack."""
    half = [p for part in ("results", "resources", "reports") for p in folder.glob(f"{part}/**/*")]
    lines = [f"{path}: half-written" for path in half if path.name.endswith(".tmp")]
    dry_run = [sys.executable, "-m", "snakemake", "-n", *words]
    output = subprocess.run(dry_run, cwd=folder, capture_output=True, text=True, check=True).stdout
    if "Nothing to be done" not in output or "missing provenance" in output:
        lines.append(f"another run would not do nothing:\n{output}")
    return lines


if __name__ == "__main__":
    main()
