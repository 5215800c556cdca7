#!/usr/bin/env bash
# Herald: install it, try it in the foreground, or run its tests.  ./install.sh --help
set -euo pipefail
shopt -s inherit_errexit

usage() {
  cat <<'TEXT'
usage: ./install.sh [options]            install Herald for this machine (root, systemd), or bring it up to date
       ./install.sh --user [options]     install it for yourself, under your own systemd
       ./install.sh try [options]        Herald in the foreground, for trying it (try --help lists the options)
       ./install.sh test [pytest args]   install what the tests need and run them

  --with-claude   also install the Claude CLI, in the version that Herald was tested with
  --uninstall     remove Herald; state, configuration and repositories stay
  --purge         with --uninstall: state and configuration go too; repositories stay
  --dry-run       say each step and its commands, change nothing
TEXT
}

wrong_use() {
  echo "install.sh: $1" >&2
  usage >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
parts=$here/packaging/install
claude_version=2.1.328 # the one that Herald was tested with
# shellcheck source=packaging/install/say.sh
source "$parts/say.sh"
# shellcheck source=packaging/install/python.sh
source "$parts/python.sh"

case ${1:-} in
try | test)
  # shellcheck source=packaging/install/trial.sh
  source "$parts/trial.sh"
  "run_$1" "${@:2}"
  ;;
esac

act=install place=system with_claude=0 purge=no
for each in "$@"; do
  case $each in
  --user) place=user ;;
  --uninstall) act=uninstall ;;
  --purge) purge=yes ;;
  --dry-run) dry=yes ;;
  --with-claude) with_claude=1 ;;
  -h | --help) usage && exit ;;
  *) wrong_use "$each is not known" ;;
  esac
done
if [ "$purge" = yes ] && [ "$act" = install ]; then wrong_use "--purge belongs to --uninstall"; fi
if [ "$with_claude" -eq 1 ] && [ "$act" = uninstall ]; then wrong_use "--with-claude belongs to an installation"; fi

# shellcheck source=packaging/install/system.sh
source "$parts/$place.sh"
# shellcheck source=packaging/install/program.sh
source "$parts/program.sh"
# shellcheck source=packaging/install/claude.sh
source "$parts/claude.sh"
# shellcheck source=packaging/install/units.sh
source "$parts/units.sh"
# shellcheck source=packaging/install/remove.sh
source "$parts/remove.sh"
"${act}_$place"
