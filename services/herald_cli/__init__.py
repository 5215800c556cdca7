"""heraldctl: the command line of Herald."""
