#!/usr/bin/env bash
# Sourced by install.sh: unit files, the drop-ins that depend on this machine, restarts. It needs $ctl (systemctl of the
# system or of the user), $runner (systemd-run likewise), $unit_sources, $unit_folder, $programs and $version.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

# Names of unit files that were written and of services whose restart is due; kept over an interruption.
due=$programs/.restart

systemd_version() {
  local version
  read -r _ version _ < <(systemctl --version 2>/dev/null) || true
  version=${version:-0}
  echo "${version%%[!0-9]*}"
}

put_units() {
  local each backoff=no landlock=no
  for each in "$unit_sources"/*.{service,socket,target,slice}; do
    put_unit "$each" "$unit_folder/${each##*/}"
  done
  if [ "$(systemd_version)" -ge 254 ]; then backoff=yes; fi
  for each in "$unit_sources"/*[!@].service; do
    each=${each##*/}
    if grep -q '^Restart=always' "$unit_sources/$each"; then drop_in "$backoff" backoff "$each"; fi
  done
  if [ "$dry" = yes ]; then
    note "and herald-agent@.service.d/10-without-landlock.conf where a unit that tries finds no Landlock"
  else
    if ! has_landlock; then landlock=yes; fi
    drop_in "$landlock" without-landlock herald-agent@.service
  fi
  remove_foreign_units
  if [ -e "$due" ] || { [ "$dry" = yes ] && [ "$did" = yes ]; }; then run "${ctl[@]}" daemon-reload; fi
}

put_unit() { # SOURCE TARGET
  local text
  text=$(fill_in <"$1")
  if [ -f "$2" ] && [ "$text" = "$(<"$2")" ]; then return; fi
  did=yes
  if [ "$dry" = yes ]; then
    echo "      + write $2 (from $1)"
    return
  fi
  printf '%s\n' "${2##*/}" >>"$due"
  quietly mkdir -p "${2%/*}"
  printf '%s\n' "$text" >"$2.new"
  chmod 0644 "$2.new"
  mv -fT "$2.new" "$2"
}

drop_in() { # yes|no NAME UNIT
  local target=$unit_folder/$3.d/10-$2.conf
  if [ "$1" = yes ]; then
    put_unit "$here/units/$2.conf" "$target"
  elif [ -e "$target" ]; then
    did=yes
    run rm "$target"
    if [ "$dry" = no ]; then
      echo "${target##*/}" >>"$due"
      rmdir --ignore-fail-on-non-empty "${target%/*}"
    fi
  fi
}

# What an older version had and this one has not.
remove_foreign_units() {
  local each
  for each in "$unit_folder"/herald-*.{service,socket,slice}; do
    if [ -e "$each" ] && [ ! -e "$unit_sources/${each##*/}" ]; then
      note "${each##*/} is no longer part of Herald"
      did=yes
      if [[ $each != *@.service ]]; then run "${ctl[@]}" stop "${each##*/}"; fi
      run rm "$each"
      if [ "$dry" = no ]; then echo "${each##*/}" >>"$due"; fi
    fi
  done
}

# Whether a unit like the agent's can use Landlock: a filter of a container may forbid it, an old kernel not know it.
has_landlock() {
  local answer=
  scratch=$(mktemp -d -p "${XDG_RUNTIME_DIR:-/run}")
  # The answer comes by a file, because a unit that fails would stand in the journal as an error.
  "${runner[@]}" --quiet --collect --service-type=oneshot --description="Herald's installation looks for Landlock" \
    -p NoNewPrivileges=yes -p SystemCallErrorNumber=EPERM -p "StandardOutput=truncate:$scratch/answer" \
    -p 'SystemCallFilter=@system-service landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
    "$version/bin/python" -c "$ask_landlock" >/dev/null 2>&1 </dev/null || true
  if [ -e "$scratch/answer" ]; then answer=$(<"$scratch/answer"); fi
  rm -rf "$scratch"
  scratch=
  case $answer in
  yes) return ;;
  no) note "no Landlock here: agents are kept from each other's projects by a mount namespace instead" ;;
  *) note "systemd-run could not ask for Landlock; taken for missing" ;;
  esac
  return 1
}

ask_landlock='import ctypes; print("yes" if ctypes.CDLL(None).syscall(444, None, 0, 1) > 0 else "no")'

# Never the target: that would end agents. The long-running services one after the other, sockets only if they changed.
restart_what_runs() {
  local each again=()
  if [ "$dry" = yes ]; then
    note "the long-running services whose program or unit has changed, one after the other; never agents"
    return
  fi
  if ! "${ctl[@]}" --quiet is-active herald.target; then
    note "herald.target does not run"
  else
    for each in "$unit_folder"/herald-*.socket; do
      each=${each##*/}
      if changed "$each" && "${ctl[@]}" --quiet is-active "$each"; then again+=("$each"); fi
    done
    for each in herald-worker.service herald-gateway.service; do
      if [[ " ${again[*]} " != *" ${each%.service}.socket "* ]] && { changed "$each" || is_old "$each"; }; then
        again+=("$each")
      fi
    done
    for each in "${again[@]}"; do restart "$each"; done
    # Members that are new to the target.
    if changed herald.target; then quietly "${ctl[@]}" start herald.target; fi
    if [ ${#again[@]} -eq 0 ]; then note "nothing had to be restarted"; fi
  fi
  rm -f "$due"
}

changed() { [ -e "$due" ] && grep -qxF "$1" "$due"; }

# Whether a running service has another version of the program than the one that is installed now.
is_old() { # SERVICE
  local pid first
  pid=$("${ctl[@]}" show -P MainPID "$1")
  if [ "${pid:-0}" -eq 0 ]; then return 1; fi
  IFS= read -r -d '' first <"/proc/$pid/cmdline" || return 1
  [[ $first != "$version"/* ]]
}

restart() { # UNIT; systemd comes back when it is ready to serve
  local begun=${EPOCHREALTIME/[.,]/}
  did=yes
  if ! "${ctl[@]}" restart "$1"; then failed "$1 did not start again: ${journal[*]} -u $1 -n 30"; fi
  note "$1 restarted in $(((${EPOCHREALTIME/[.,]/} - begun) / 1000)) ms"
}

say_check=$(cat <<'PYTHON'
import json, sys
found = json.load(sys.stdin)
print(f"agent: {found['agent'] or 'none'}; credential: {found['credential'] or 'none'}")
for each in found["missing"]:
    print("missing:", each)
for each in found["not_held"]:
    print("not held here:", each)
PYTHON
)

# Ask the agent's unit what is missing and what of its sandbox does not hold; the socket is left as it was.
self_check() {
  local answer said each
  if [ "$dry" = yes ]; then
    run "$heraldctl" call io.herald.Agent.Check '{}'
    return
  fi
  if ! "${ctl[@]}" --quiet is-active herald-agent.socket; then
    undo=("${ctl[@]}" stop herald-agent.socket)
    quietly "${ctl[@]}" start herald-agent.socket
  fi
  if answer=$(timeout 60 "$heraldctl" call io.herald.Agent.Check '{}' 2>&1) &&
    said=$("$version/bin/python" -c "$say_check" <<<"$answer" 2>/dev/null); then
    while IFS= read -r each; do note "$each"; done <<<"$said"
  elif [[ $answer == *"no method"* ]]; then
    note "this version of the agent's unit cannot be asked"
  else
    note "the agent's unit does not answer: $answer"
    note "look: ${journal[*]} -u 'herald-agent@*' -n 30"
  fi
  undo_now
}

# Everything that belongs to Herald and may run: what is installed and what this version has.
unit_names() {
  local each
  for each in "$unit_folder"/herald{.target,-*.service,-*.socket,-*.slice} "$unit_sources"/herald-*; do
    each=${each##*/}
    case $each in
    *'*'*) ;; # nothing matched
    *@.service) echo "${each%.service}*.service" ;;
    *) echo "$each" ;;
    esac
  done | sort -u
}

stop_everything() {
  local names
  if ! "${ctl[@]}" show-environment >/dev/null 2>&1; then
    note "no service manager runs here; nothing to stop"
    return
  fi
  mapfile -t names < <(unit_names)
  # Callers first, then what they call; what is not loaded is no error.
  run_tolerant "${ctl[@]}" stop herald.target
  run_tolerant "${ctl[@]}" stop "${names[@]}"
  run_tolerant "${ctl[@]}" stop herald.slice
  run_tolerant "${ctl[@]}" disable herald.target
  run_tolerant "${ctl[@]}" reset-failed "${names[@]}"
  if [ "$dry" = no ]; then wait_until_gone "${names[@]}"; fi
}

wait_until_gone() { # NAME...
  local left i
  for ((i = 0; i < 300; i++)); do
    left=$("${ctl[@]}" list-units --plain --no-legend --state=active,activating,deactivating,reloading "$@")
    if [ -z "$left" ]; then return; fi
    sleep 0.2
  done
  failed "still there after a minute: $left"
}

remove_units() {
  local each
  for each in "$unit_folder"/herald{.target,-*.service,-*.socket,-*.slice} \
    "$unit_folder"/herald-*.service.d/10-{backoff,without-landlock}.conf; do
    if [ -e "$each" ]; then run rm "$each"; fi
  done
  for each in "$unit_folder"/herald-*.service.d; do
    if [ -d "$each" ]; then run rmdir --ignore-fail-on-non-empty "$each"; fi
  done
  run_tolerant "${ctl[@]}" daemon-reload
}
