#!/usr/bin/env bash
# Sourced by install.sh: the Claude CLI, in the version that Herald was tested with. Each version has a folder of its
# own, so that a run that is going keeps what it was started with.
# shellcheck disable=SC2034,SC2154 # variables are shared between install.sh and its parts
set -euo pipefail

make_claude() {
  local folder=$programs/claude-versions/$claude_version
  if ! command -v npm >/dev/null; then need_npm; fi
  if [ "$("$folder/bin/claude" --version 2>/dev/null || true)" != "$claude_version (Claude Code)" ]; then
    did=yes
    step_needs="the npm registry (npm's own configuration and HTTPS_PROXY hold)"
    run rm -rf "$folder"
    run mkdir -p "$folder"
    run npm install --global --prefix "$folder" --no-audit --no-fund --loglevel error \
      "@anthropic-ai/claude-code@$claude_version"
    run "$folder/bin/claude" --version
  fi
  put_link "claude-versions/$claude_version" "$programs/claude"
  remove_unused "$programs/claude-versions" "$claude_version"
}
