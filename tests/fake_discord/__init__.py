"""A Discord of the project's own for tests: REST v10 and gateway v10 as a real process, and its client."""
