#!/usr/bin/env bash
# Sourced by install.sh: try and test, which work in the clone.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

locks=("$here/pyproject.toml" "$here/packaging/requirements-build.txt" "$here/packaging/requirements.txt")

# The folder of the virtual environment: in the clone, or in the cache when the clone cannot be written.
choose_venv() {
  venv=$here/.venv
  if [ ! -w "$here" ]; then
    local cache=${XDG_CACHE_HOME:-${HOME:-/nonexistent}/.cache}/herald
    venv=$cache/$(printf '%s' "$here" | cksum | cut -d ' ' -f 1)/.venv
    mkdir -p "${venv%/.venv}" 2>/dev/null ||
      missing "neither $here nor $cache can be written: set XDG_CACHE_HOME=DIR to a folder that can"
  fi
}

# What the environment depends on: the locked versions, its place and the interpreter behind it.
fingerprint() { # FILE...
  cat "$@" && echo "$here $venv $(readlink -f "$venv/bin/python")"
}

fresh() { # STAMP FILE...
  local stamp=$venv/$1
  shift
  [ -x "$venv/bin/python" ] && [ -r "$stamp" ] && fingerprint "$@" | cmp -s - "$stamp"
}

progress() { # only people wait impatiently
  if [ -t 2 ]; then echo "install.sh: $1" >&2; fi
}

# Only one at a time builds; a half-made environment has no stamp and is made anew.
with_lock() {
  exec 9<"${venv%/.venv}"
  flock 9
  "$@"
  exec 9>&-
}

make_venv() {
  if fresh .stamp "${locks[@]}"; then return; fi # somebody else was faster
  find_python
  need_venv_module
  progress "making the virtual environment $venv (once)"
  rm -rf "$venv"
  quietly "$python" -m venv "$venv"
  install_locked "$venv"
  quietly locked_pip "$venv" install --no-build-isolation --no-deps --editable "$here"
  fingerprint "${locks[@]}" >"$venv/.stamp"
}

add_test_packages() {
  if fresh .stamp-test "${test_locks[@]}"; then return; fi
  progress "installing the packages of the tests"
  quietly locked_pip "$venv" install --no-build-isolation --use-pep517 --require-hashes \
    -r "$here/packaging/requirements-test.txt"
  fingerprint "${test_locks[@]}" >"$venv/.stamp-test"
}

need_git() {
  command -v git >/dev/null || missing "git is missing: apt-get install git"
}

run_try() {
  need_git
  choose_venv
  fresh .stamp "${locks[@]}" || with_lock make_venv
  exec "$venv/bin/herald-try" "$@"
}

# Debian packages that the tests need; the ones that only make some of them possible come last.
install_packages() {
  local wanted=() each
  command -v git >/dev/null || wanted+=(git)
  command -v git-lfs >/dev/null || wanted+=(git-lfs)
  command -v ps >/dev/null || wanted+=(procps)
  command -v shellcheck >/dev/null || wanted+=(shellcheck)
  command -v strace >/dev/null || wanted+=(strace)
  command -v systemd-analyze >/dev/null || wanted+=(systemd)
  command -v npm >/dev/null || wanted+=(nodejs npm)
  if [ "$(id -u)" -eq 0 ]; then # who else could boot the machines of tests/system
    command -v systemd-nspawn >/dev/null || wanted+=(systemd-container dbus)
    command -v debootstrap >/dev/null || wanted+=(debootstrap)
  fi
  for each in python3.13 python3.12 python3.11 python3; do
    if "$each" -c 'import ensurepip, venv' 2>/dev/null; then break; fi
    if [ "$each" = python3 ]; then wanted+=(python3 python3-venv); fi
  done
  if [ ${#wanted[@]} -eq 0 ]; then return; fi
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "install.sh: for all tests: apt-get install ${wanted[*]}" >&2
    return
  fi
  progress "installing ${wanted[*]}"
  quietly apt-get update
  quietly env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "${wanted[@]}"
}

# The Claude CLI for the tests that drive the real one against a stub of its API; without it they are skipped.
install_claude() {
  local folder=$here/.tools/claude
  if [ -n "${HERALD_CLAUDE:-}" ] || [ "$(cat "$folder/.version" 2>/dev/null)" = "$claude_version" ]; then return; fi
  if ! command -v npm >/dev/null; then
    echo "install.sh: npm is missing, the tests of the real Claude CLI are skipped: apt-get install nodejs npm" >&2
    return
  fi
  progress "installing the Claude CLI $claude_version for the tests"
  mkdir -p "$folder"
  if npm install --prefix "$folder" --no-audit --no-fund --loglevel error \
    "@anthropic-ai/claude-code@$claude_version" >"$folder/npm.log" 2>&1 &&
    "$folder/node_modules/.bin/claude" --version >>"$folder/npm.log" 2>&1; then
    echo "$claude_version" >"$folder/.version"
  else
    echo "install.sh: the Claude CLI could not be installed, its tests are skipped:" >&2
    tail -n 5 "$folder/npm.log" >&2
  fi
}

run_test() {
  install_packages
  need_git
  choose_venv
  fresh .stamp "${locks[@]}" || with_lock make_venv
  test_locks=("${locks[@]}" "$here/packaging/requirements-test.txt")
  fresh .stamp-test "${test_locks[@]}" || with_lock add_test_packages
  install_claude
  if [ -x "$here/.tools/claude/node_modules/.bin/claude" ]; then
    export HERALD_CLAUDE=${HERALD_CLAUDE:-$here/.tools/claude/node_modules/.bin/claude}
  fi
  cd "$here"
  # All tests: several files at a time, because most wait for processes; in the order in which they are collected.
  if [ $# -eq 0 ]; then set -- --numprocesses=4 --dist=loadfile --no-loadscope-reorder; fi
  exec "$venv/bin/python" -m pytest "$@"
}
