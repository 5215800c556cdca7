#!/usr/bin/env bash
# Sourced by install.sh: steps with their durations, commands that speak only when they fail, dry runs.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

dry=no                # yes: say every command, run none
step_count=0          # of this act
step_number=0         # the one that runs now
step_title=           # its name, for whoever reads why it failed
step_needs=           # what it reaches for outside this machine
step_notes=()         # what it has to say, printed below its line
did=no                # yes: something was changed
scratch=              # a temporary folder, removed at the end
undo=()               # a command to run at the end, however it comes

missing() { # one line: what is missing, and the command that provides it
  begin_line
  echo "install.sh: $1" >&2
  exit 3
}

failed() { # one line: what went wrong, and what to do
  begin_line
  echo "install.sh: $1" >&2
  exit 1
}

# What stops an installation is only said in a dry run.
refuse() {
  if [ "$dry" = yes ]; then note "would stop here: $*"; else missing "$*"; fi
}

# The line of a step is open while it runs.
begin_line() {
  if [ -n "$step_title" ] && [ "$dry" = no ]; then echo; fi
}

note() { # what has to be said about the step that runs
  if [ "$dry" = yes ]; then echo "      $1"; else step_notes+=("$1"); fi
}

step() { # TITLE COMMAND...
  local begun=${EPOCHREALTIME/[.,]/} tenths each
  step_title=$1
  shift
  step_number=$((step_number + 1))
  step_needs=
  step_notes=()
  printf '[%d/%d] %s' "$step_number" "$step_count" "$step_title"
  if [ "$dry" = yes ]; then echo; else printf ' ... '; fi
  "$@"
  tenths=$(((${EPOCHREALTIME/[.,]/} - begun + 50000) / 100000))
  if [ "$dry" = no ]; then printf '%d.%d s\n' $((tenths / 10)) $((tenths % 10)); fi
  for each in "${step_notes[@]}"; do echo "      $each"; done
  step_title=
}

# Run a command; show what it printed only when it fails.
quietly() {
  local said
  if ! said=$("$@" 2>&1 </dev/null); then
    begin_line
    printf '%s\n' "$said" >&2
    echo "install.sh: failed: $*" >&2
    exit 1
  fi
}

# Run a command, or say it in a dry run.
run() {
  if [ "$dry" = yes ]; then
    printf '      +'
    printf ' %q' "$@"
    echo
  else
    quietly "$@"
  fi
}

# The same where it does not matter whether there was anything to do.
run_tolerant() {
  if [ "$dry" = yes ]; then run "$@"; else "$@" >/dev/null 2>&1 </dev/null || true; fi
}

# Bring a file to its place whole; $put says whether it was not there already just so.
put_file() { # SOURCE TARGET MODE [OWNER GROUP]
  local owner=()
  put=no
  if [ $# -eq 5 ]; then owner=(-o "$4" -g "$5"); fi
  if [ ! -L "$2" ] && cmp -s -- "$1" "$2" && [ $((8#$3)) -eq $((0$(stat -c %#a "$2"))) ] &&
    { [ $# -eq 3 ] || [ "$4:$5" = "$(stat -c %U:%G "$2")" ]; }; then
    return
  fi
  put=yes
  if [ "$dry" = yes ]; then
    run install -D -T -m "$3" "${owner[@]}" "$1" "$2"
    return
  fi
  did=yes
  quietly install -D -T -m "$3" "${owner[@]}" "$1" "$2.new"
  quietly mv -fT "$2.new" "$2"
}

# Point a symbolic link somewhere else in one moment; $put as above.
put_link() { # TARGET LINK
  put=no
  if [ "$(readlink "$2" || true)" = "$1" ]; then return; fi
  put=yes
  if [ "$dry" = yes ]; then
    run ln -sfT "$1" "$2"
    return
  fi
  did=yes
  quietly mkdir -p "${2%/*}"
  quietly ln -sfT "$1" "$2.new"
  quietly mv -fT "$2.new" "$2"
}

undo_now() {
  if [ ${#undo[@]} -gt 0 ]; then "${undo[@]}" || true; fi
  undo=()
}

at_the_end() {
  local code=$?
  if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
  undo_now
  if [ $code -ne 0 ] && [ $code -ne 3 ] && [ -n "$step_title" ]; then # 3: the reason has been said, and what helps
    echo "install.sh: stopped in step $step_number, $step_title; the same command goes on from there" >&2
    if [ -n "$step_needs" ]; then echo "install.sh: this step needs $step_needs" >&2; fi
  fi
}
trap at_the_end EXIT
# Also when the command that ran took the signal for itself.
trap 'exit 130' INT
trap 'exit 143' TERM
