"""herald-git: the only part that talks to git remotes and holds their key."""
