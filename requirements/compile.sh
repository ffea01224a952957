#!/usr/bin/env bash
# Resolve the pins anew (`make pins`). No address of any index or folder of this machine lands in the files.
set -euo pipefail
cd "$(dirname "$0")/.."
export PIP_CONFIG_FILE=/dev/null
unset PIP_FIND_LINKS PIP_EXTRA_INDEX_URL
compile() {
    local output=$1
    shift
    .venv/bin/pip-compile --quiet --no-header --generate-hashes --strip-extras --allow-unsafe \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
        --extra postgres --extra embedded --extra examples "$@" \
        --output-file "$output" pyproject.toml requirements/run.in
}
compile requirements/run.txt
compile requirements/dev.txt --extra dev --constraint requirements/run.txt
if grep -nE '://|@ file|--find-links|--index-url' requirements/*.txt; then
    echo "an address has landed in the pins" >&2
    exit 1
fi
