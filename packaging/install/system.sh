#!/usr/bin/env bash
# Sourced by install.sh: the installation for the whole machine.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

programs=/opt/herald
unit_folder=/usr/local/lib/systemd/system
unit_sources=$here/units
heraldctl=/usr/local/bin/heraldctl
ctl=(systemctl)
runner=(systemd-run -p User=herald-agent)
journal=(journalctl)
users=(herald-gateway herald-worker herald-agent herald-git herald-deploy herald-config)
groups=(herald herald-objects)
owned=(/var/lib/herald /etc/herald /srv/herald)

fill_in() { cat; } # the units of the system have no places to fill in

install_system() {
  step_count=$((9 + with_claude))
  umask 022
  unset XDG_RUNTIME_DIR # of whoever became root
  step "conditions" check_system
  step "Debian packages" add_packages
  step "users and groups" make_users
  step "folders" make_folders
  step "program" make_program
  if [ "$with_claude" -eq 1 ]; then step "Claude CLI" make_claude; fi
  step "units" put_units
  step "configuration" put_configuration
  step "restart of what runs" restart_what_runs
  step "self-check" self_check
  say_what_is_next
}

check_system() {
  if [ "$(id -u)" -ne 0 ]; then
    refuse "root is needed: sudo ./install.sh, or for yourself alone: ./install.sh --user"
  fi
  if [ ! -d /run/systemd/system ]; then
    refuse "systemd does not run this machine: ./install.sh try works without it; else boot a machine with systemd"
  elif [ "$(systemd_version)" -lt 252 ]; then
    refuse "systemd 252 or later is needed, as in Debian 12; this is $(systemd_version)"
  fi
}

# The packages of Debian that Herald needs at all times.
add_packages() {
  local wanted=() each
  for each in python3 python3-venv python3-systemd git openssh-client ca-certificates; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$each" 2>/dev/null || true)" != installed ]; then
      wanted+=("$each")
    fi
  done
  install_debian "${wanted[@]}"
}

install_debian() { # PACKAGE...
  if [ $# -eq 0 ]; then return; fi
  if ! command -v apt-get >/dev/null; then refuse "apt-get is missing; install what these are here: $*"; fi
  note "installing $*"
  did=yes
  step_needs="Debian's package sources, as in /etc/apt"
  run dpkg --configure -a # what an interruption left half done
  run apt-get -o DPkg::Lock::Timeout=300 update
  run env DEBIAN_FRONTEND=noninteractive \
    apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@"
}

make_users() {
  put_file "$here/packaging/sysusers.d/herald.conf" /etc/sysusers.d/herald.conf 0644 root root
  if [ "$put" = yes ] || ! users_are_there; then
    did=yes
    run systemd-sysusers /etc/sysusers.d/herald.conf
  fi
  join_socket_group
  give_back
}

# The group of the container socket, where there is one: it is as good as root, so herald-deploy alone becomes a member.
join_socket_group() {
  local group=docker
  if [ -S /var/run/docker.sock ]; then group=$(stat -L -c %G /var/run/docker.sock); fi
  if [ "$group" = root ] || ! getent group "$group" >/dev/null; then return; fi
  if [[ " $(id -nG herald-deploy 2>/dev/null || true) " == *" $group "* ]]; then return; fi
  did=yes
  note "herald-deploy joins group $group, to use the container socket for !deploy"
  run usermod -aG "$group" herald-deploy
}

users_are_there() {
  local each
  for each in "${users[@]}"; do id "$each" >/dev/null 2>&1 || return 1; done
  for each in "${groups[@]}"; do getent group "$each" >/dev/null || return 1; done
  for each in herald-gateway herald-worker; do [[ " $(id -nG "$each") " == *" herald "* ]] || return 1; done
}

# Users that were removed and made again may have other numbers; their files follow them. It is one pass over all,
# because the number that one has now may be the one that another had before.
give_back() {
  local name uid gid file=/var/lib/herald/.owners by_uid=(-false) by_gid=(-false)
  if [ "$dry" = yes ]; then return; fi
  if [ ! -f "$file" ]; then file=/srv/herald/.owners; fi # all that --purge leaves
  if [ -f "$file" ]; then
    while read -r name uid gid; do
      if [ "$uid" != - ] && [ "$uid" != "$(id -u "$name")" ]; then
        by_uid+=(-o -uid "$uid" -execdir chown -h "$name" '{}' +)
      fi
      if [ "$gid" != "$(group_id "$name")" ]; then by_gid+=(-o -gid "$gid" -execdir chgrp -h "$name" '{}' +); fi
    done <"$file"
    if [ $((${#by_uid[@]} + ${#by_gid[@]})) -gt 2 ]; then
      note "users have other numbers than before; their files follow"
      owned_folders
      quietly find "${owned[@]}" \( "${by_uid[@]}" \) , \( "${by_gid[@]}" \)
    fi
  fi
  write_owners /var/lib/herald
  rm -f /srv/herald/.owners
}

group_id() { getent group "$1" | cut -d : -f 3; }

# Which numbers the owners of what is kept have: NAME UID GID, a group without a user has - as UID.
write_owners() { # FOLDER
  local each text=
  for each in "${users[@]}"; do
    if getent passwd "$each" >/dev/null; then text+="$each $(id -u "$each") $(id -g "$each")"$'\n'; fi
  done
  for each in "${groups[@]}"; do
    if getent group "$each" >/dev/null; then text+="$each - $(group_id "$each")"$'\n'; fi
  done
  if [ -z "$text" ] || { [ -f "$1/.owners" ] && [ "$text" = "$(<"$1/.owners")"$'\n' ]; }; then return; fi
  mkdir -p "$1"
  printf '%s' "$text" >"$1/.owners.new"
  mv -fT "$1/.owners.new" "$1/.owners"
}

owned_folders() { # sets $owned to those of its folders that are there
  local each there=()
  for each in "${owned[@]}"; do
    if [ -d "$each" ]; then there+=("$each"); fi
  done
  owned=("${there[@]}")
}

make_folders() {
  put_file "$here/packaging/tmpfiles.d/herald.conf" /etc/tmpfiles.d/herald.conf 0644 root root
  run systemd-tmpfiles --create /etc/tmpfiles.d/herald.conf
}

need_npm() { install_debian nodejs npm; }

make_program() {
  find_installed_python
  build_program
  put_link "$programs/venv/bin/heraldctl" /usr/local/bin/heraldctl
}

put_configuration() {
  local each
  if [ ! -e /etc/herald/herald.yaml ]; then
    put_file "$here/packaging/etc/herald.yaml" /etc/herald/herald.yaml 0640 root herald
  fi
  put_file "$here/packaging/etc/projects/example.yaml" /etc/herald/projects/example.yaml 0640 root herald
  for each in "$here"/packaging/etc/schemas/*.json; do
    put_file "$each" "/etc/herald/schemas/${each##*/}" 0644 root herald
  done
}

say_what_is_next() {
  if [ "$dry" = yes ]; then
    echo "Nothing was changed."
    return
  fi
  echo
  if [ "$did" = no ]; then echo "Nothing had to be changed."; fi
  if systemctl --quiet is-enabled herald.target 2>/dev/null && systemctl --quiet is-active herald.target; then
    echo "Herald runs: heraldctl status"
    return
  fi
  cat <<'TEXT'
Herald is installed. Next:
  1. A project, for which /etc/herald/projects/example.yaml shows every key; its clone belongs to the agents:
       git clone URL /srv/herald/repos/NAME && chown -R herald-agent /srv/herald/repos/NAME
       editor /etc/herald/projects/NAME.yaml && heraldctl config check
  2. What pays for Claude: heraldctl agent-login, or an API key (paste it, Enter, Ctrl-D):
       install -m 600 /dev/stdin /etc/herald/credentials/anthropic_api_key
     The key for the remotes, a new one (show its .pub to the remote) or one that is there:
       ssh-keygen -t ed25519 -N '' -C herald -f /etc/herald/credentials/git_ssh_key
       install -m 600 FILE /etc/herald/credentials/git_ssh_key
  3. systemctl enable --now herald.target
  4. People who direct Herald, root aside; it holds from their next login on:
       usermod -aG herald NAME
  Then: heraldctl status, heraldctl chat NAME. All that may be wrong is named by heraldctl status.
TEXT
}
