#!/usr/bin/env bash
# Make .venv in the checkout, also where a distribution ships Python without `venv` or `pip`.
set -euo pipefail
cd "$(dirname "$0")/.."

new_enough() { command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
        if new_enough "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "Longshore needs Python 3.11 or newer, and none was found on the PATH." >&2
    echo "Install one (Debian, Ubuntu: apt-get install python3 python3-venv) or say: make install PYTHON=/path/to/python3" >&2
    return 1
}

# Each way leaves a .venv with a working pip, or fails.
by_venv() { "$python" -m venv .venv; }
by_virtualenv() { "$python" -m virtualenv --quiet .venv; }
by_own_pip() { "$python" -m venv --without-pip .venv && "$python" -m pip --python .venv/bin/python install --quiet pip; }
by_uv() { command -v uv >/dev/null && uv venv --quiet --seed --python "$python" .venv; }

python=$(find_python)
for way in by_venv by_virtualenv by_own_pip by_uv; do
    rm -rf .venv
    if "$way" >/dev/null 2>&1 && .venv/bin/python -m pip --version >/dev/null 2>&1; then
        exit 0
    fi
done
rm -rf .venv
echo "No virtual environment could be made: $python lacks the module venv, and neither virtualenv, pip nor uv helps." >&2
echo "Debian, Ubuntu: apt-get install python3-venv. Then run make again." >&2
exit 1
