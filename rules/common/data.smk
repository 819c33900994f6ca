"""Inputs and options of the rules in data.smk, and the stores of shards that later stages read."""


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


def verified_for(split):
    """The records of what a split's index is read from: its archive, and the kit with its labels."""
    kit = [verified("devkit")] if split == "val" else []
    return [record for record in [verified(split), *kit] if record]


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


def packed_splits():
    """The splits that the run's trainings and evaluations read."""
    tested = SUBMITTED or "test" in LABELLED_SPLITS
    return [*(["train"] if TRAINED else []), "val", *(["test"] if tested else [])]


def packed_stores():
    """The stores that the run's trainings and evaluations read."""
    return [store for split in packed_splits() for store in stores(split)]


# What is done about bad images is a part of commands' text where it decides errors only.
BAD_IMAGES = in_text(on_bad_image=DATA["on_bad_image"])
