"""herald-alert: tells of a unit that crashed."""
