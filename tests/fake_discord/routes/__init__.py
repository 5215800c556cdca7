"""The REST routes, a module per resource."""
