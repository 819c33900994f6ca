#!/bin/sh
# Make .venv with the pins of lock.txt, or say in a sentence why that cannot be. `make environment`
# calls it; these variables are make's:
#   PYTHON       the Python to make it with; if empty, a supported one that is on PATH
#   TORCH        torch's build, cpu or cuda; if empty, the one that .venv has, in a new one cuda
#   TORCH_INDEX  where the build for CPUs is
# .venv/installed names the build and, once all is installed, the checksum of lock.txt.
set -eu
cd "$(dirname "$0")/.."
venv=.venv
log=$venv/pip.log
index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
# PyTorch calls the CPU's build of a version +cpu; of torchvision it does so on x86-64 alone.
case $(uname -m) in
    x86_64) named_cpu='torch|torchvision' ;;
    *) named_cpu='torch' ;;
esac
of_gpus='^(nvidia|cuda|triton)[a-z0-9-]*=='

fail() {
    echo "error: $*" >&2
    exit 1
}

# PATH without .venv, whose own Python cannot make it anew.
outer_path() {
    IFS=:
    outer=
    for folder in $PATH; do
        [ "$folder" = "$PWD/$venv/bin" ] || outer=$outer:$folder
    done
    echo "${outer#:}"
}

version() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null
}

# The Python to make .venv with.
find_python() {
    bounds=$(sed -n 's/^requires-python = ">=3\.\([0-9]*\),<3\.\([0-9]*\)".*/\1 \2/p' pyproject.toml)
    oldest=${bounds% *}
    newest=$((${bounds#* } - 1))
    cure="install Python 3.$oldest to 3.$newest, or name it: make environment PYTHON=/path/to/python3"
    if [ "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        # shellcheck disable=SC2046 # a word each
        set -- $(seq -f python3.%.0f "$oldest" "$newest") python3
    fi
    without_venv=
    for python; do
        if "$python" -c "import sys; sys.exit(not (3, $oldest) <= sys.version_info[:2] <= (3, $newest))"; then
            if "$python" -c 'import ensurepip, venv'; then
                echo "$python"
                return
            fi
            without_venv=${without_venv:-$python}
        fi
    done 2>/dev/null
    if [ "$without_venv" ]; then
        package=python$(version "$without_venv" | cut -d. -f1,2)-venv
        fail "$without_venv lacks the module venv: install it (on Debian and Ubuntu: apt install $package)"
    fi
    found=$(version "$python") || fail "there is no $python that runs: $cure"
    fail "$python is Python $found, for which not all pinned requirements are built: $cure"
}

# It does not if it was interrupted while it was made, or moved, or if its Python is gone.
runs() {
    "$venv/bin/pip" --version >/dev/null 2>&1
}

pip_install() {
    rm -f "$log"
    [ -t 1 ] || set -- --progress-bar off "$@"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --log "$log" "$@" || explain
}

# What pip says, in any version, of a network that is not there, ends, or is another than it thinks.
unreachable='Could not fetch URL .*: (connection error|timed out|There was a problem confirming|407 |50[234] )'
unreachable="$unreachable|Max retries exceeded|Read timed out|IncompleteRead|Connection broken"
unreachable="$unreachable|incomplete-download|Wheel .* is invalid"

# Say in a sentence what pip has failed for.
explain() {
    again="then run the same command again"
    missing=$(sed -n 's/.*No matching distribution found for \([^ ]*\).*/\1/p' "$log" | head -n 1)
    if grep -qE 'No space left on device|Disk quota exceeded' "$log"; then
        fail "the disk is full: free some of it, or of ${TMPDIR:-/tmp}, where pip unpacks (TMPDIR names another folder); $again"
    elif grep -v 'Retrying (' "$log" | grep -qE "$unreachable"; then
        fail "the package index cannot be reached: connect to the network, or tell pip of a proxy, mirror or certificate (https_proxy, PIP_INDEX_URL, PIP_CERT); $again"
    elif [ "$missing" ]; then
        fail "the package index has no $missing for Python $(version "$venv/bin/python") on $(uname -sm)"
    fi
    fail "pip could not install the requirements; what it did is in $log"
}

had=$(cat "$venv/installed" 2>/dev/null || true)
build=${TORCH:-${had%% *}}
build=${build:-cuda}
less=
case $build in
    cpu) megabytes=2500 ;;
    cuda) megabytes=7500 less=", or install torch for CPUs alone: make environment TORCH=cpu" ;;
    *) fail "TORCH=$build: expected cpu or cuda" ;;
esac
wanted="$build $(cksum <envs/lock.txt)"
if [ "$had" = "$wanted" ] && runs; then
    exit
fi

used=$(du -sk "$venv/" 2>/dev/null | cut -f1)
sh envs/check_space.sh . $((megabytes - ${used:-0} / 1024)) "free some$less"
PATH=$(outer_path)
if ! runs; then
    python=$(find_python)
    [ ! -e "$venv" ] || echo "$venv does not run and is made anew" >&2
    { "$python" -m venv --clear "$venv" && runs; } ||
        fail "$python could not make $venv: name another: make environment PYTHON=/path/to/python3"
fi
echo "$build" >"$venv/installed"
echo "Installing the requirements into $venv: minutes, and $megabytes MB of disk" >&2
requirements=$venv/requirements.txt
if [ "$build" = cpu ] && [ "$(uname -s)" = Linux ]; then
    grep -E '^(torch|torchvision)==' envs/lock.txt | sed -E "s/^($named_cpu)==[^ ;]+/&+cpu/" >"$requirements"
    pip_install --no-deps --force-reinstall --index-url "$index" --requirement "$requirements"
    grep -vE "$of_gpus" envs/lock.txt >"$requirements"
    pip_install --requirement "$requirements"
    grep -E "$of_gpus" envs/lock.txt >"$requirements"
    "$venv/bin/python" -m pip uninstall --quiet --quiet --yes --requirement "$requirements"
else
    # Without this, a build for CPUs that is already there would do.
    sed -E 's/^(torch|torchvision)==([^ ;]+)/&,!=\2+cpu/' envs/lock.txt >"$requirements"
    pip_install --requirement "$requirements"
fi
rm "$requirements"
echo "$wanted" >"$venv/installed"
