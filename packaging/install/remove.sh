#!/usr/bin/env bash
# Sourced by install.sh: --uninstall. Each step takes away what is there, so it also ends a half-made installation.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

uninstall_system() {
  local members
  step_count=6
  umask 022
  step "conditions" check_root
  members=$(getent group herald | cut -d : -f 4 || true)
  step "stop" stop_everything
  step "units" remove_system_units
  step "users and groups" remove_users
  step "program" remove_program
  step "state and configuration" remove_system_state
  if [ "$dry" = yes ]; then
    echo "Nothing was changed."
    return
  fi
  echo
  echo "Herald is removed."
  say_people "$members"
}

check_root() {
  if [ "$(id -u)" -ne 0 ]; then refuse "root is needed: sudo ./install.sh --uninstall"; fi
}

# Members of the group are people; the next installation does not know them any more.
say_people() { # MEMBER,MEMBER
  local each people=()
  for each in ${1//,/ }; do
    if [[ $each != herald-* ]]; then people+=("$each"); fi
  done
  if [ ${#people[@]} -gt 0 ]; then echo "Members of group herald were: ${people[*]}"; fi
}

remove_system_units() {
  local each
  remove_units
  for each in /etc/sysusers.d/herald.conf /etc/tmpfiles.d/herald.conf; do
    if [ -e "$each" ]; then run rm "$each"; fi
  done
}

remove_users() {
  local each
  # The installation wrote it; after an interrupted removal some are missing, whom it must not forget.
  if [ "$dry" = no ] && [ -d /var/lib/herald ] && [ ! -f /var/lib/herald/.owners ]; then
    write_owners /var/lib/herald
  fi
  for each in "${users[@]}"; do
    if ! getent passwd "$each" >/dev/null; then continue; fi
    if [ "$dry" = no ]; then end_processes "$each"; fi
    run userdel "$each"
  done
  for each in "${users[@]}" "${groups[@]}"; do
    if getent group "$each" >/dev/null; then run groupdel "$each"; fi
  done
}

# What was started outside the units, for example by su: it would keep the user from being removed.
end_processes() { # USER
  local pids i
  for ((i = 0; i < 50; i++)); do
    mapfile -t pids < <(find /proc -maxdepth 1 -name '[0-9]*' -user "$1" -printf '%f\n' 2>/dev/null)
    if [ ${#pids[@]} -eq 0 ]; then return; fi
    kill -KILL "${pids[@]}" 2>/dev/null || true
    sleep 0.1
  done
}

remove_program() {
  local each
  if [ -L "$heraldctl" ]; then run rm "$heraldctl"; fi
  for each in /opt/herald /run/herald; do
    if [ -e "$each" ]; then run rm -rf "$each"; fi
  done
}

remove_system_state() {
  local each
  if [ "$purge" = no ]; then
    owned_folders
    if [ ${#owned[@]} -gt 0 ]; then note "kept: ${owned[*]} (state and configuration go with --purge)"; fi
    return
  fi
  # Drop-ins of the operator are configuration of units that are no more.
  for each in /etc/systemd/system/herald{.target,-*.service,-*.socket,-*.slice}.d; do
    if [ -d "$each" ]; then run rm -rf "$each"; fi
  done
  if [ -n "$(ls -A /srv/herald/repos 2>/dev/null)" ]; then
    note "kept: /srv/herald/repos, with your repositories; rm -r /srv/herald removes them"
    if [ "$dry" = no ] && [ -f /var/lib/herald/.owners ]; then cp /var/lib/herald/.owners /srv/herald/.owners; fi
  elif [ -d /srv/herald ]; then
    if [ -d /srv/herald/repos ]; then run rmdir /srv/herald/repos; fi
    run rmdir --ignore-fail-on-non-empty /srv/herald
  fi
  for each in /var/lib/herald /etc/herald; do
    if [ -e "$each" ]; then run rm -rf "$each"; fi
  done
}

uninstall_user() {
  step_count=5
  step "conditions" check_not_root
  step "stop" stop_everything
  step "units" remove_units
  step "program" remove_user_program
  step "state and configuration" remove_user_state
  if [ "$dry" = yes ]; then
    echo "Nothing was changed."
  else
    echo
    echo "Herald is removed."
  fi
}

remove_user_program() {
  local each
  if [ -e "$programs/.linger" ]; then run_tolerant loginctl --no-ask-password disable-linger; fi
  for each in "$heraldctl" "$programs"/{venv,versions,claude,claude-versions,.linger,.restart} \
    "$XDG_RUNTIME_DIR/herald"; do
    if [ -e "$each" ] || [ -L "$each" ]; then run rm -rf "$each"; fi
  done
  if [ -d "$programs" ]; then run rmdir --ignore-fail-on-non-empty "$programs"; fi
}

remove_user_state() {
  local each there=()
  for each in "$state" "$config"; do
    if [ -d "$each" ]; then there+=("$each"); fi
  done
  if [ "$purge" = no ]; then
    if [ ${#there[@]} -gt 0 ]; then note "kept: ${there[*]} (they go with --purge)"; fi
  elif [ ${#there[@]} -gt 0 ]; then
    run_tolerant chmod -R u+rwX "${there[@]}" # an agent may have left folders that cannot be entered
    run rm -rf "${there[@]}"
  fi
  if [ -n "$(ls -A "$repos" 2>/dev/null)" ]; then
    note "kept: $repos, with your repositories"
  elif [ -d "$repos" ] && [ "$purge" = yes ]; then
    run rmdir "$repos"
  fi
}
