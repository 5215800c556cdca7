#!/usr/bin/env bash
# Sourced by install.sh: the interpreter, virtual environments and pip.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

# Some may be there without working (shims), hence the question to the interpreter itself.
is_fit() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() { # [CANDIDATE...]; sets $python
  local each
  for each in "$@" python3.13 python3.12 python3.11 python3; do
    if is_fit "$each"; then
      python=$each
      return
    fi
  done
  missing "Python 3.11, 3.12 or 3.13 is needed: apt-get install python3 python3-venv"
}

# Debian's own comes first: it stays for as long as the system does. HERALD_PYTHON names another.
find_installed_python() {
  python=${HERALD_PYTHON:-}
  if [ -z "$python" ]; then
    find_python /usr/bin/python3
  elif ! is_fit "$python"; then
    missing "HERALD_PYTHON=$python is no Python 3.11, 3.12 or 3.13"
  fi
}

need_venv_module() {
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    missing "Python's venv module is missing: apt-get install python3-venv"
}

locked_pip() { # VENV ARGUMENT...
  local venv=$1
  shift
  "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input "$@"
}

# The locked packages, each with its hash. What is published as sources only is built with the locked tools, which
# therefore come first, not with whatever is newest.
install_locked() { # VENV
  step_needs="the Python package index (pip's own configuration and HTTPS_PROXY hold)"
  quietly locked_pip "$1" install --require-hashes -r "$here/packaging/requirements-build.txt"
  quietly locked_pip "$1" install --no-build-isolation --use-pep517 --require-hashes \
    -r "$here/packaging/requirements.txt"
}
