"""herald-agent - one act in one project's workspace, as the agent's user

Started once for each connection to io.herald.Agent (Accept=yes); the connection is fd 0.

Does:     Run drives Claude Code (or the stand-in) once, with a deadline of its own, on a branch of its own, and
          writes the result before it answers. Update makes a workspace. Prepare lists and packs branches of agents,
          Discard deletes one. Survey, Reset and Stash say what lies in a workspace and clear it. Check says what a run
          would miss. Submodules and large files are brought in and taken out one by one. Except in try mode the agent
          and all git commands are confined to the workspace, by Landlock or a mount namespace, and each run says what
          is not held here.
Reads:    $CREDENTIALS_DIRECTORY/{snapshot.json,anthropic_api_key,claude_oauth_token}, else config/snapshot.json; the
          project's folder
Writes:   the project's folder with `workspace: path`; the descriptors of its caller; below $HERALD_STATE/agent: slots/
          locks/ checkouts/ workspaces/ stores/ kept/ homes/ login/ attachments/ tmp/
Obeys:    HERALD_AGENT=claude|standin, HERALD_CLAUDE=path of the CLI, HERALD_AGENT_HOME (try mode: the login of the
          user), WATCHDOG_USEC; SIGTERM ends a run within seconds, its outcome is then `stopped`
Passes:   ANTHROPIC_*, CLAUDE_*, the CLI's own settings, proxies, NODE_EXTRA_CA_CERTS and SSL_CERT_FILE to the agent
Exits:    0 the act is answered, or the connection ended before; 1 an unexpected error, its traceback in the journal
"""

import sys


def main() -> None:
    """Serve the connection on fd 0."""
    if "--help" in sys.argv[1:]:
        print(__doc__)
        return

    from herald.bus import oneshot
    from herald_agent.acts import METHODS

    oneshot.serve("io.herald.Agent", METHODS)


if __name__ == "__main__":
    main()
