#!/usr/bin/env bash
# Sourced by install.sh: Herald itself, in a virtual environment for each version. A version has a folder of its own
# and its scripts name it, so that a running process keeps what it was started with; `venv` points at the newest.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

# What the caller's environment says about Python must not reach into Herald's.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP VIRTUAL_ENV

# Everything that a version is made of.
program_id() {
  {
    (
      cd "$here"
      find pyproject.toml README.md shared services packaging/requirements-build.txt packaging/requirements.txt \
        packaging/install/python.sh packaging/install/program.sh \
        -type f ! -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
    )
    "$python" -c 'import os, sys; print(sys.version, os.path.realpath(sys.executable))'
  } | sha256sum | cut -c 1-12
}

build_program() { # needs $programs and $python; sets $version
  local id
  id=$(program_id)
  version=$programs/versions/$id
  if [ "$dry" = no ]; then
    mkdir -p "$programs/versions"
    exec 9<"$programs" # only one at a time builds
    flock 9
  fi
  # A folder without the stamp was left half made.
  if [ ! -e "$version/.complete" ]; then build_version; fi
  link_journal
  put_link "versions/$id" "$programs/venv"
  # By its time the version before this one is told from older ones.
  if [ "$put" = yes ] && [ "$dry" = no ]; then touch "$version/.complete"; fi
  remove_old_versions
}

build_version() {
  need_venv_module
  did=yes
  if [ -e "$version" ]; then run rm -rf "$version"; fi
  run "$python" -m venv "$version"
  if [ "$dry" = yes ]; then
    note "and install into it, with hashes: packaging/requirements-build.txt, packaging/requirements.txt, Herald"
    return
  fi
  install_locked "$version"
  scratch=$(mktemp -d)
  # From a copy, because the build writes beside the sources.
  tar -C "$here" --exclude=__pycache__ -cf - pyproject.toml README.md shared services |
    tar -C "$scratch" -xf - --no-same-owner --no-same-permissions
  quietly locked_pip "$version" install --no-build-isolation --no-deps "$scratch"
  rm -rf "$scratch"
  scratch=
  sync -f "$version"
  : >"$version/.complete"
}

# Fields of journal entries (HERALD_PROJECT=) need a library that Debian has compiled for its own Python.
link_journal() {
  local found each
  if [ "$dry" = yes ]; then return; fi
  found=$("$python" -c 'import os, systemd._journal as it; print(os.path.dirname(it.__file__))' 2>/dev/null) || {
    note "journal entries have no fields to search by: $python has no module systemd (apt-get install python3-systemd)"
    return
  }
  for each in "$version"/lib/python3*/site-packages; do put_link "$found" "$each/systemd"; done
}

# All but this one, the one before it, and those that a process still runs.
remove_old_versions() {
  local before
  if [ "$dry" = yes ]; then return; fi
  before=$(find "$programs/versions" -mindepth 2 -maxdepth 2 -name .complete ! -path "$version/*" -printf '%T@ %h\n' |
    sort -rn | sed -n '1s/^[^ ]* //p')
  remove_unused "$programs/versions" "${version##*/}" "${before##*/}"
}

remove_unused() { # FOLDER KEPT...; $1 holds a folder for each version
  local each folder=$1
  shift
  for each in "$folder"/*/; do
    each=${each%/}
    if [[ " $* " == *" ${each##*/} "* ]] || [ ! -d "$each" ]; then continue; fi
    if ! grep -qsF "$each/" /proc/[0-9]*/cmdline &&
      [ -z "$(find /proc/[0-9]*/exe -maxdepth 0 -lname "$each/*" 2>/dev/null || true)" ]; then
      run rm -rf "$each"
    fi
  done
}
