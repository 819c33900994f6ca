#!/usr/bin/env bash
# Dry-runs of every target on a bare clone: no data, no results, no cluster.
# With `few`: one of each kind, for `make check`. With `rest`: the others. Without a word: all.
set -euo pipefail

run() {
    echo "snakemake -n $*"
    snakemake -n "$@" --quiet all >/dev/null
}

few() {
    run all
    run all --configfile config/ilsvrc2012.yaml
    run --profile slurm reports/table5.html
}

rest() {
    run --profile slurm all
    run all --configfile config/released_weights.yaml
    for page in voc2007 table11 table12; do
        run "reports/$page.html" --configfile config/released_weights.yaml
    done
    run reports/table11.html --configfile config/ilsvrc2012.yaml
    run all --configfile config/small_archives.yaml
    run all --configfile config/config.yaml config/drawn.yaml
    for classes in imagenet100 imagenette; do
        run all --configfile config/ilsvrc2012.yaml "config/$classes.yaml"
    done
    for source in kaggle huggingface folder; do
        run all --configfile config/ilsvrc2012.yaml --config "data={source: $source}"
    done
    for target in tables claims figures pictures choices threshold shards models exports plan status benchmarks; do
        run "$target"
    done
    for number in 1 2 3 4 5 6 7 8 9 10 11 12; do
        run "reports/table$number.html"
        [ "$number" = 5 ] || run --profile slurm "reports/table$number.html"
    done
}

for part in "${@:-all}"; do
    case $part in
        few | rest) "$part" ;;
        all) few; rest ;;
        *) echo "$part: give few, rest, or nothing" >&2; exit 1 ;;
    esac
done
