"""What the rules share: validated configuration, and the inputs and options that follow from it."""

import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# A bare `snakemake` does not put its workflow on the path, and jobs must find its own Python.
sys.path.insert(0, str(workflow.basedir))
os.environ.update(PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")

# Slurm's warning before a time limit is for the training; Snakemake itself would die of it.
signal.signal(signal.SIGUSR1, signal.SIG_IGN)

from workflow_scripts.vgg import choices as test_time_choices
from workflow_scripts.vgg import experiments, figure_inputs
from workflow_scripts.vgg import pictures as report_pictures
from workflow_scripts.vgg.files import InputError


def read_config(kind, path, read=experiments.read_yaml):
    """A YAML file that the configuration names, held against its schema."""
    content = read(path)
    # The validator takes mappings only; a list of claims is wrapped to be one.
    wrapped = {kind: content} if isinstance(content, list) else content
    try:
        validate(wrapped, f"../config/schemas/{kind}.schema.yaml", set_default=False)
    except WorkflowError as error:
        raise WorkflowError(f"{path}: {error}")
    return content


validate(config, "../config/schemas/config.schema.yaml", set_default=False)
try:
    definitions = read_config("models", config["models"])
    CONVNETS, MODELS = definitions["convnets"], definitions["models"]
    for path in config["tables"]:
        read_config("tables", path)
    TABLES = experiments.read_tables(config["tables"])
    CLAIMS = read_config("claims", config["claims"])
    experiments.check_references(CONVNETS, MODELS, TABLES, CLAIMS, config["weights"]["import"])
    PICTURES = None
    if config["pictures"]:
        PICTURES = read_config("pictures", config["pictures"])
        report_pictures.check_pictures(PICTURES, MODELS, TABLES)
    ANSWERS = {}
    if config["server_answers"]:
        ANSWERS = read_config("server_answers", config["server_answers"], experiments.read_answers)
        experiments.check_answers(ANSWERS, TABLES)
except InputError as error:
    raise WorkflowError(str(error))

RESULTS = f"results/{config['experiment']}"
LOGS = f"logs/{config['experiment']}"
BENCHMARKS = f"benchmarks/{config['experiment']}"
PAPER_TABLES = "config/paper_tables.yaml"
CONFIG_SCHEMA = "config/schemas/config.schema.yaml"
PAGE_TEMPLATES = sorted(map(str, Path("reports/templates").iterdir()))

# The first seed's weights, histories and posteriors lie in RESULTS, another's in RESULTS/seed<k>/.
SEEDS = config["seeds"]
REPLICATES = {seed: f"seed{seed}/" for seed in SEEDS[1:]}

DATA = config["data"]
CHOICES = config["choices"]
FULL_SIZE = config["convnet"]["width_divisor"] == 1
IMPORTED = config["weights"]["import"]
AVAILABLE = [m for m in MODELS if config["weights"]["train"] or m in IMPORTED]
TRAINED = [model for model in AVAILABLE if model not in IMPORTED]
if not AVAILABLE:
    raise WorkflowError("weights: `train` is false and `import` is empty, so there is no model")
STORES = list(dict.fromkeys(experiments.scale_name(MODELS[model]["S"]) for model in TRAINED))
ARCHIVED = DATA["source"] in ("miniature", "archives")
if ARCHIVED and not DATA["archives"]["devkit"]:
    raise WorkflowError(
        "data.archives.devkit: is null, but without the development kit the classes and labels of "
        "ILSVRC-2012's archives are not known; name its file, ILSVRC2012_devkit_t12.tar.gz"
    )
LABELLED_SPLITS = ["val", "test"] if DATA["test"] == "labelled" else ["val"]
MEASURED = [name for name, table in TABLES.items() if experiments.is_measured(table)]
DESCRIBED = [name for name in TABLES if name not in MEASURED]
SUBMITTED = (
    experiments.submissions(TABLES, AVAILABLE)
    if DATA["test"] != "absent" and DATA["archives"]["devkit"]
    else {}
)
SINGLE_EVALUATIONS = [
    evaluation
    for split, evaluation in experiments.all_evaluations(TABLES, CLAIMS, AVAILABLE, ["val"], [])
    if split == "val"
]
LOOKED_THROUGH = report_pictures.looked_through(PICTURES, AVAILABLE) if PICTURES else []
EXAMINED = report_pictures.examined(PICTURES, TABLES, AVAILABLE) if PICTURES else []
MEASURABLE = test_time_choices.measurable(TABLES, AVAILABLE)
SCHEMA = experiments.read_yaml(CONFIG_SCHEMA)
SUBMISSIONS = expand(f"{RESULTS}/submission/{{name}}.txt", name=SUBMITTED)


wildcard_constraints:
    split="train|val|test",
    model="|".join(map(re.escape, MODELS)),
    replicate=f"({'|'.join(REPLICATES.values())})?",
    method="dense|multicrop|center",
    Q=r"\d+",
    store=r"train_S\d+(-\d+)?|val|test",
    shard=r"\d{5}",
    table="|".join(map(re.escape, TABLES)),
    choice="|".join(test_time_choices.MEASURED_BY),
    value="[a-z-]+",


def by_size(full_size, miniature):
    """A resource: as much as the paper's nets and ILSVRC-2012 need, or the miniature."""
    return full_size if FULL_SIZE else miniature


def one_of(names):
    """A wildcard's pattern: one of these, or nothing at all."""
    return "|".join(map(re.escape, names)) or "(?!)"


def options(**values):
    """Command-line options; None, False and empty ones are left out."""
    words = []
    for name, value in values.items():
        if value is None or value is False or value == []:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += map(str, value) if isinstance(value, list) else [str(value)]
    return words


def in_text(**values):
    """Options as a part of a rule's text.

    Unlike params, it starts nothing anew when it changes: for what changes no result.
    """
    return shlex.join(options(**values)).replace("{", "{{").replace("}", "}}")


def choices(*names):
    """Some of the configuration's choices, as arguments of `options`."""
    return {name: CHOICES[name] for name in names}


LOCAL_SCRATCH = in_text(local_scratch=DATA["local_scratch"])

# Data


def made_archives(wildcards):
    """The miniature makes its archives; other data sets are the user's and no part of the DAG."""
    return f"{DATA['directory']}/manifest.json" if DATA["source"] == "miniature" else []


def in_data(name):
    """Path of something in the data set's folder; None if the configuration has none."""
    return name and os.path.join(DATA["directory"], name)


def archive(name):
    """Path of one of ILSVRC-2012's archives; None if the configuration has none."""
    return in_data(DATA["archives"][name])


def verified(name):
    """The record of an archive's MD5 check, if one is asked for."""
    return f"{RESULTS}/verified/{name}.json" if ARCHIVED and DATA["md5"][name] else []


def class_list_options(wildcards):
    """Where the classes are listed: the development kit if there is one, or the source's own way."""
    if archive("devkit"):
        source = {"devkit": archive("devkit")}
    else:
        source = {
            "kaggle": {"synsets": in_data("LOC_synset_mapping.txt")},
            "huggingface": {"huggingface": DATA["directory"]},
            "folder": {"folders": in_data("train" if TRAINED else "val")},
        }[DATA["source"]]
    return options(**source, classes=DATA["classes"])


def index_options(wildcards):
    """Where a split's images are, and their labels if the names of archives and folders lack them."""
    split = wildcards.split
    truth = None
    match DATA["source"]:
        case "kaggle":
            source = {"tree": in_data(f"ILSVRC/Data/CLS-LOC/{split}")}
            truth = in_data("LOC_val_solution.csv") if split == "val" else None
        case "folder":
            source = {"tree": in_data(split)}
        case "huggingface":
            source = {"unpacked": unpacked(split, "parquet")}
        case _:
            source = {"archive": archive(split)}
            truth = {"val": archive("devkit"), "test": archive("test_ground_truth")}.get(split)
    return options(
        **source,
        images=DATA["images"][split],
        ground_truth=truth,
        unlabelled=split == "test" and DATA["test"] == "withheld",
        every_class=split == "train",
    )


def unpacked(split, suffix):
    """What is unpacked from Hugging Face's parquet files, which cannot be read in place."""
    if DATA["source"] != "huggingface":
        return []
    numbers = range(DATA["shards"][split])
    return [f"{RESULTS}/unpacked/{split}/{number:05d}.{suffix}" for number in numbers]


def split_of(store):
    """The split whose images a store of shards holds: train_S256 holds train."""
    return store.split("_")[0]


def stores(split):
    """A split's stores of shards: for training one at each S."""
    return [f"train_S{S}" for S in STORES] if split == "train" else [split]


def smallest_scale(store):
    """The smallest S of a store of training shards."""
    return int(store.removeprefix("train_S").split("-")[0])


def shards(store, folder="shards", suffix="arrow"):
    """Paths of a store's shards, or of their packing reports."""
    numbers = range(DATA["shards"][split_of(store)])
    return [f"{RESULTS}/{folder}/{store}/{number:05d}.{suffix}" for number in numbers]


def packing_options(wildcards):
    """Fixed S: exactly S. Jittered S: no larger than its upper end, never enlarged. Else as is."""
    scales = wildcards.store.partition("_S")[2].split("-")
    rescaling = {}
    if scales != [""]:
        pixels = round(int(scales[-1]) * config["convnet"]["crop"] / 224)
        rescaling = {
            "smallest_side": pixels,
            "only_shrink": len(scales) == 2,
            "resize_filter": CHOICES["resize_filter"],
            "jpeg_quality": DATA["jpeg_quality"],
        }
    return options(
        shards=DATA["shards"][split_of(wildcards.store)],
        crop=config["convnet"]["crop"],
        on_bad_image=DATA["on_bad_image"],
        **rescaling,
    )


def packed_stores():
    """The stores that the run's trainings and evaluations read."""
    splits = [*(["train"] if TRAINED else []), "val"]
    return [store for split in splits for store in stores(split)] + (
        ["test"] if SUBMITTED or "test" in LABELLED_SPLITS else []
    )


# Training


def launcher(processes, nodes):
    """The command that starts a training: one process, torchrun on a node, or srun on several.

    It replaces the shell, which would die of a signal that ends the job and take the training along
    before its checkpoint is written.
    """
    if processes == 1:
        return "exec python -m workflow_scripts.train"
    torchrun = (
        f"torchrun --nnodes={nodes} --nproc-per-node={processes // nodes}"
        " --signals-to-handle=SIGTERM,SIGINT,SIGUSR1"
    )
    if nodes == 1:
        return f"exec {torchrun} --standalone -m workflow_scripts.train"
    # The first node's address and a port are known to Slurm's tasks only, hence the shell.
    return (
        f"exec srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 bash -c 'exec {torchrun}"
        " --node-rank=$SLURM_NODEID --rdzv-backend=c10d --rdzv-id=$SLURM_JOB_ID"
        " --rdzv-endpoint=$SLURM_LAUNCH_NODE_IPADDR:$((20000 + SLURM_JOB_ID % 10000))"
        ' -m workflow_scripts.train "$@"\' torchrun'
    )


def training_gpus(processes, nodes):
    """A GPU for each process, as resources; on several nodes, as the Slurm plugin needs them.

    There is one task on each node, and GPUs are asked for by node: of a job's total, one node may
    get more than another.
    """
    if nodes == 1:
        return {"gpu": processes}
    gres = f"gpu:{processes // nodes}"
    several = {"nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0, "mpi": "srun"}
    return {"gpu": 0, "gres": gres, **several}


PROCESSES, NODES = config["train"]["processes"], config["train"]["nodes"]
if PROCESSES % NODES:
    raise WorkflowError(f"train: {PROCESSES} processes cannot be shared evenly by {NODES} nodes")
PROCESSES_PER_NODE = PROCESSES // NODES
TRAIN = launcher(PROCESSES, NODES)
TRAINING_GPUS = training_gpus(PROCESSES, NODES)
RUNNING_KEYS = ("checkpoint_seconds", "flat_line_iterations", "micro_batch")
RUNNING = in_text(**{key: config["train"][key] for key in RUNNING_KEYS})


def of_all_seeds(path, models):
    """The path of each model's file, such as weights/{model}.safetensors, for every seed."""
    folders = [experiments.seed_folder(RESULTS, seed, SEEDS) for seed in SEEDS]
    return [
        f"{folder}/{path}".format(model=model)
        for folder in folders
        for model in models
        if model not in IMPORTED or folder == RESULTS
    ]


def discard_checkpoints():
    """Delete the checkpoints of trainings whose weights are there, when a run has ended well."""
    weights = of_all_seeds("weights/{model}.safetensors", TRAINED)
    checkpoints = of_all_seeds("checkpoints/{model}", TRAINED)
    for made, needed in zip(weights, checkpoints):
        if os.path.exists(made):
            shutil.rmtree(needed, ignore_errors=True)


def training_shards(wildcards):
    """The training set at the model's S."""
    return shards(f"train_S{experiments.scale_name(MODELS[wildcards.model]['S'])}")


def validation_shards(wildcards):
    """The validation set that plateaus are seen on; none if a part of the training set is."""
    return shards("val") if CHOICES["validation_set"] == "reported" else []


def parent_weights(wildcards):
    """The weights that the model starts from, if any."""
    parent = MODELS[wildcards.model].get("parent")
    replicate = "" if parent in IMPORTED else wildcards.replicate
    return f"{RESULTS}/{replicate}weights/{parent}.safetensors" if parent else []


def seed_of(wildcards):
    """The seed of a training."""
    return next((s for s, r in REPLICATES.items() if r == wildcards.replicate), SEEDS[0])


def training_options(wildcards):
    """All that decides a training's result, as options of the command."""
    model = MODELS[wildcards.model]
    train = dict(config["train"])
    for name in (*RUNNING_KEYS, "processes", "nodes"):
        train.pop(name)  # these decide how a training runs, not what it gives
    stage = dict(train.pop("stages")[experiments.STAGES[model.get("inherit")]])
    return options(
        model=wildcards.model,
        net=model["net"],
        layers=CONVNETS[model["net"]],
        train_scale=experiments.scale_range(model["S"]),
        inherit=model.get("inherit"),
        trainable=model.get("trainable"),
        learning_rate=model["learning_rate"] * stage.pop("rate_factor"),
        **stage,
        **train,
        **choices("initialisation", "transferred_convs", "biases", "lrn", "colour_shift"),
        **choices("scale_sampling", "resize_filter", "last_batch", "validation_set"),
        **config["convnet"],
        classes=DATA["classes"],
        seed=seed_of(wildcards),
    )


def import_options(wildcards):
    """The file that a model's weights are read from, and the net that it must fit."""
    model = MODELS[wildcards.model]
    return options(
        model=wildcards.model,
        net=model["net"],
        layers=CONVNETS[model["net"]],
        scale=experiments.scale_range(model["S"]),
        **config["convnet"],
        classes=DATA["classes"],
        **IMPORTED[wildcards.model],
    )


# Evaluation


def evaluation_options(**alternative):
    """All that decides an evaluation's posteriors, as options; `alternative` replaces a choice."""
    return options(**choices(*test_time_choices.MEASURED_BY) | alternative, **config["evaluate"])


def alternative_options(wildcards):
    """The same with an alternative of a test-time choice."""
    return evaluation_options(**{wildcards.choice: wildcards.value})


def choice_posteriors(wildcards):
    """The posteriors under every value of every test-time choice that this run can measure."""
    if not MEASURABLE:
        needed = ", ".join(dict.fromkeys(test_time_choices.MEASURED_BY.values()))
        raise WorkflowError(f"choices: no model of this run is measured by the rows {needed}")
    paths = [
        evaluation.path(
            test_time_choices.results_of(RESULTS, choice, value, CHOICES[choice]), "val"
        )
        for choice, own in MEASURABLE.items()
        for value in test_time_choices.values(SCHEMA, choice, CHOICES[choice])
        for evaluation in own
    ]
    return list(dict.fromkeys(paths))


def compared_choices(wildcards):
    """The page on test-time choices, if someone had them compared: `snakemake choices`."""
    compared = MEASURABLE and os.path.exists(f"{RESULTS}/choices.json")
    return "reports/choices.html" if compared else []


# Tables and claims


def measured_splits(table):
    """The splits that a table needs and that have labels."""
    return [s for s in experiments.splits_of(TABLES[table]) if s in LABELLED_SPLITS]


def posteriors(evaluations, split, seeds=SEEDS):
    """The posteriors of evaluations on a split, for every seed."""
    paths = (experiments.seeded_paths([e], RESULTS, split, seeds, IMPORTED) for e in evaluations)
    return [path for seeds in paths for files in seeds for path in files]


def table_posteriors(wildcards):
    """The posteriors that a table averages."""
    needed = experiments.table_evaluations(TABLES[wildcards.table], AVAILABLE)
    splits = measured_splits(wildcards.table)
    return [path for split in splits for path in posteriors(needed, split)]


def available_models():
    """The models that commands may expect posteriors of; left out if those are all."""
    return options(models=AVAILABLE if len(AVAILABLE) < len(MODELS) else None)


def trained_seeds():
    """The seeds that commands may expect posteriors of, and the models that have none."""
    return options(seeds=SEEDS, imported=list(IMPORTED))


def table_options(wildcards):
    """What a table's rows are filled with besides posteriors, and which answers are written."""
    rows = TABLES[wildcards.table]["rows"]
    names = [row["submission"] for row in rows if row.get("submission") in SUBMITTED]
    # Splits and submissions are spelt out even if there are none: left out, they have defaults.
    return [
        *available_models(),
        *trained_seeds(),
        *("--splits", *measured_splits(wildcards.table)),
        *("--submissions", *names),
        *options(answers=config["server_answers"], test_images=DATA["images"]["test"]),
    ]


def table_answers(wildcards):
    """The test server's answers that a table shows; a change of them makes it anew."""
    named = {row.get("submission") for row in TABLES[wildcards.table]["rows"]}
    return {name: answer for name, answer in ANSWERS.items() if name in named}


def claim_posteriors(wildcards):
    """The posteriors that the claims compare."""
    return posteriors(experiments.claim_evaluations(CLAIMS, TABLES, AVAILABLE), "val")


def claim_trainings():
    """The trainings behind the claims, whose speeds are compared too."""
    needed = experiments.claim_evaluations(CLAIMS, TABLES, AVAILABLE)
    models = {evaluation.model for evaluation in needed}
    timed = any("throughput" in claim for claim in CLAIMS)
    return [model for model in TRAINED if timed and model in models]


# Figures, pictures and pages


def single_posteriors(wildcards):
    """The posteriors of the validation set, each of which is listed with its own error."""
    return posteriors(SINGLE_EVALUATIONS, "val")


SEVERAL_SCALES = figure_inputs.at_several_scales(SINGLE_EVALUATIONS)

# Each with what Snakemake's own report says of it
FIGURES = {
    f"{RESULTS}/figures/error_against_depth.svg": {"figure": "error against depth", "model": "all"},
    **{
        f"{RESULTS}/figures/error_against_scale/{model}.svg": {
            "figure": "error against test scale",
            "model": model,
        }
        for model in AVAILABLE
        if model in SEVERAL_SCALES
    },
    **{
        f"{RESULTS}/figures/learning_curves/{model}.svg": {
            "figure": "learning curve",
            "model": model,
        }
        for model in TRAINED
    },
}
PAGES = ["index", *TABLES, *(["pictures"] if PICTURES else []), "plan"]

REPORTED = [  # what the numbers of the report come from
    *expand(f"{RESULTS}/tables/{{table}}.json", table=TABLES),
    f"{RESULTS}/claims.json",
    *FIGURES,
    *([f"{RESULTS}/pictures/score_maps.json"] if PICTURES else []),
]


def pages_of_run():
    """The pages that this run of Snakemake makes, or has as its aims."""
    targets = set(workflow.dag_settings.targets) or {"all"}
    if targets & {"all", "reports/index.html"}:
        return set(PAGES)
    pages = {page for page in [*PAGES, "choices"] if f"reports/{page}.html" in targets}
    return pages | (targets & {"pictures", "choices"}) | set(TABLES if "tables" in targets else ())


def pages_beside(*names):
    """Those pages that others may link to: this run makes them, or they are there already."""
    made = pages_of_run()
    return [name for name in names if name in made or os.path.exists(f"reports/{name}.html")]


def neighbours(wildcards):
    """The pages that a table's page links to: the tables before and after, and the index."""
    names = list(TABLES)
    place = names.index(wildcards.table)
    before, after = names[:place][-1:], names[place + 1 :][:1]
    return options(
        previous=next(iter(pages_beside(*before)), None),
        next=next(iter(pages_beside(*after)), None),
        index=bool(pages_beside("index")),
    )


def table_labels(wildcards):
    """What Snakemake's own report says of a table."""
    return {"table": wildcards.table, "title": TABLES[wildcards.table]["title"]}


# Plan


def planned_jobs():
    """What `all` makes at a cost, as options of the plan."""
    return options(
        results=RESULTS,
        records=LOGS,
        stores=packed_stores(),
        models=AVAILABLE,
        splits=LABELLED_SPLITS,
        submissions=list(SUBMITTED),
        page="reports/plan.html",
        output=f"{RESULTS}/plan",
    )


def is_recorded(text):
    """True if the configuration that the run has recorded is this text of the active one."""
    path = Path(RESULTS, "config.yaml")
    return path.exists() and path.read_text(encoding="utf-8") == text
