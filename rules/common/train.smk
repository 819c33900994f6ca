"""Inputs and options of the rules in train.smk, and how a training is started."""


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


def trainings_that_wait(wildcards):
    """The most trainings, one after the other, that begin with the model's: the long chains first."""

    def longest(model):
        children = [name for name in TRAINED if MODELS[name].get("parent") == model]
        return 1 + max(map(longest, children), default=0)

    return longest(wildcards.model)


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
