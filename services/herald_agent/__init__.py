"""herald-agent: one act in one workspace, as the agent's user."""
