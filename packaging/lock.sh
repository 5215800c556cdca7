#!/usr/bin/env bash
# Writes the lock files anew: the newest versions that pyproject.toml and requirements-build.in allow, for every
# Python version and processor alike, with the hashes of all files of each release.
# An argument is passed on to uv, for example --upgrade-package=pydantic.
set -euo pipefail
cd "$(dirname "$0")/.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" install --quiet 'uv>=0.8,<1'

lock() { # OUTPUT SOURCE [OPTION...]
  local output=$1 source=$2
  shift 2
  "$scratch/venv/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
    --no-config --custom-compile-command packaging/lock.sh --output-file "$output" "$source" "$@"
}

lock packaging/requirements-build.txt packaging/requirements-build.in "$@"
lock packaging/requirements.txt pyproject.toml --constraint packaging/requirements-build.txt "$@"
lock packaging/requirements-test.txt pyproject.toml --extra test \
  --constraint packaging/requirements-build.txt --constraint packaging/requirements.txt "$@"
