#!/usr/bin/env bash
# Sourced by install.sh: the installation for one user, under the user's own service manager, without root.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

state=${XDG_STATE_HOME:-$HOME/.local/state}/herald
config=${XDG_CONFIG_HOME:-$HOME/.config}/herald
repos=$HOME/herald
programs=${XDG_DATA_HOME:-$HOME/.local/share}/herald
unit_folder=${XDG_DATA_HOME:-$HOME/.local/share}/systemd/user
unit_sources=$here/units/user
heraldctl=$HOME/.local/bin/heraldctl
ctl=(systemctl --user)
runner=(systemd-run --user)
journal=(journalctl --user)
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}

install_user() {
  step_count=$((8 + with_claude))
  umask 022
  step "conditions" check_user
  step "folders" make_user_folders
  step "program" make_user_program
  if [ "$with_claude" -eq 1 ]; then step "Claude CLI" make_claude; fi
  step "units" put_user_units
  step "configuration" put_user_configuration
  step "restart of what runs" restart_what_runs
  step "staying after your logout" make_linger
  step "self-check" self_check
  say_what_is_next_for_user
}

check_user() {
  local each
  check_manager
  for each in "$state" "$config" "$repos" "$programs"; do
    # They become part of unit files.
    if [[ $each == *[!A-Za-z0-9/._@:,+~-]* ]]; then
      refuse "$each: in the names of these folders only letters, digits and /._@:,+~- are possible;" \
        "XDG_DATA_HOME, XDG_STATE_HOME and XDG_CONFIG_HOME can name other folders"
    fi
  done
  command -v git >/dev/null || refuse "git is missing: apt-get install git (as root)"
  find_installed_python
  need_venv_module
}

check_not_root() {
  if [ "$(id -u)" -eq 0 ]; then
    refuse "you are root: ./install.sh installs Herald for the machine; --user is for ordinary users, without sudo"
  fi
}

check_manager() {
  check_not_root
  if ! "${ctl[@]}" show-environment >/dev/null 2>&1; then
    refuse "your own systemd does not run: log in by ssh or on a console, not by su or sudo," \
      "or as root: loginctl enable-linger $(id -un); ./install.sh try works without it"
  elif [ "$(systemd_version)" -lt 252 ]; then
    refuse "systemd 252 or later is needed, as in Debian 12; this is $(systemd_version)"
  fi
}

# Nobody else may look into them: what is in there says what is worked on, and holds the credentials.
make_user_folders() {
  local each
  for each in "$state" "$state"/{config,gateway,worker,agent,git,deploy,alert} \
    "$config" "$config"/{projects,credentials,schemas}; do
    private_folder "$each"
  done
  if [ ! -d "$repos" ]; then run mkdir -p "$repos"; fi
}

private_folder() {
  if [ "$(stat -L -c %a "$1" 2>/dev/null)" != 700 ]; then run install -d -m 0700 "$1"; fi
}

make_user_program() {
  local text
  build_program
  text="#!/bin/sh
# heraldctl for the Herald of this user
export HERALD_MODE=user HERALD_STATE='$state' HERALD_CONFIG='$config'
export HERALD_BUS=\"\${XDG_RUNTIME_DIR:-/run/user/\$(id -u)}/herald\"
exec '$programs/venv/bin/heraldctl' \"\$@\""
  if [ -f "$heraldctl" ] && [ "$text" = "$(<"$heraldctl")" ]; then return; fi
  if [ "$dry" = yes ]; then
    echo "      + write $heraldctl"
    return
  fi
  did=yes
  mkdir -p "${heraldctl%/*}"
  printf '%s\n' "$text" >"$heraldctl.new"
  chmod 0755 "$heraldctl.new"
  mv -fT "$heraldctl.new" "$heraldctl"
  if [[ :$PATH: != *":${heraldctl%/*}:"* ]]; then
    note "${heraldctl%/*} is not in your PATH: log in again, or call $heraldctl"
  fi
}

fill_in() {
  local text
  text=$(sed -e "s|@venv@|$programs/venv|g; s|@state@|$state|g; s|@config@|$config|g; s|@repos@|$repos|g")
  if [ "$namespaces" = no ]; then text=${text%%$'\n'"# From here on only where"*}; fi
  printf '%s\n' "$text"
}

# Some machines let nobody but root make namespaces; the agent's unit would not start with what needs them. What else
# keeps a unit from starting says nothing of that, and to take it for that would leave the agent without its walls.
put_user_units() {
  namespaces=yes
  if [ "$dry" = no ] && ! can_run -p PrivateUsers=yes -p PrivateTmp=yes; then
    can_run || failed "your systemd does not run a unit, as systemd-run --user true does; run the same command again"
    if ! can_run -p PrivateUsers=yes -p PrivateTmp=yes; then
      namespaces=no
      note "this machine gives users no namespaces: an agent can reach whatever you can, its project's limits aside"
    fi
  fi
  put_units
}

can_run() { # OPTIONS of systemd-run
  "${runner[@]}" --quiet --collect --service-type=oneshot "$@" true >/dev/null 2>&1 </dev/null
}

put_user_configuration() {
  local each
  if [ ! -e "$config/herald.yaml" ]; then
    if [ "$dry" = yes ]; then
      run install -m 0600 "$here/packaging/etc/herald.yaml" "$config/herald.yaml"
    else
      sed "s|^#projects_root: /srv/herald/repos |projects_root: $repos |" "$here/packaging/etc/herald.yaml" \
        >"$config/herald.yaml.new"
      chmod 0600 "$config/herald.yaml.new"
      mv -T "$config/herald.yaml.new" "$config/herald.yaml"
    fi
  fi
  put_file "$here/packaging/etc/projects/example.yaml" "$config/projects/example.yaml" 0644
  for each in "$here"/packaging/etc/schemas/*.json; do
    put_file "$each" "$config/schemas/${each##*/}" 0644
  done
}

make_linger() {
  local name
  name=$(id -un)
  if [ -e "/var/lib/systemd/linger/$name" ]; then return; fi
  if [ "$dry" = yes ]; then
    run loginctl --no-ask-password enable-linger
  elif loginctl --no-ask-password enable-linger >/dev/null 2>&1 </dev/null; then
    if [ ! -e "$programs/.linger" ]; then touch "$programs/.linger"; fi # to be undone with the rest
  else
    note "not allowed here: Herald ends with your last login and starts with the next;"
    note "an administrator changes that: loginctl enable-linger $name"
  fi
}

need_npm() { refuse "npm is missing: apt-get install nodejs npm (as root)"; }

say_what_is_next_for_user() {
  if [ "$dry" = yes ]; then
    echo "Nothing was changed."
    return
  fi
  echo
  if [ "$did" = no ]; then echo "Nothing had to be changed."; fi
  if "${ctl[@]}" --quiet is-enabled herald.target 2>/dev/null && "${ctl[@]}" --quiet is-active herald.target; then
    echo "Herald runs: heraldctl status"
    return
  fi
  cat <<TEXT
Herald is installed for you. Next:
  1. A project, for which $config/projects/example.yaml shows every key:
       git clone URL $repos/NAME
       editor $config/projects/NAME.yaml && heraldctl config check
  2. What pays for Claude: heraldctl agent-login, or an API key (paste it, Enter, Ctrl-D):
       install -m 600 /dev/stdin $config/credentials/anthropic_api_key
     The key for the remotes, a new one (show its .pub to the remote) or one that is there:
       ssh-keygen -t ed25519 -N '' -C herald -f $config/credentials/git_ssh_key
       install -m 600 FILE $config/credentials/git_ssh_key
  3. systemctl --user enable --now herald.target
  Then: heraldctl status, heraldctl chat NAME. All that may be wrong is named by heraldctl status.
TEXT
}
