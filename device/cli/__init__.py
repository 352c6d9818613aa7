"""Command line: `earshot`, one module a subcommand."""
