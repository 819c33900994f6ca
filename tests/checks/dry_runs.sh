#!/usr/bin/env bash
# Dry-runs of every target on a bare clone: no data, no results, no cluster.
set -euo pipefail

run() {
    echo "snakemake -n $*"
    snakemake -n "$@" --quiet all >/dev/null
}

run all
run --profile slurm all
run all --configfile config/ilsvrc2012.yaml
run all --configfile config/released_weights.yaml
run all --configfile config/small_archives.yaml
for source in kaggle huggingface folder; do
    run all --configfile config/ilsvrc2012.yaml --config "data={source: $source}"
done
for target in tables claims figures pictures choices shards models exports plan benchmarks; do
    run "$target"
done
for number in 1 2 3 4 5 6 7; do
    run "reports/table$number.html"
    run --profile slurm "reports/table$number.html"
done
