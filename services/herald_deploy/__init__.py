"""herald-deploy: one start of a project's containers, with the container socket."""
