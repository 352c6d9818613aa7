"""Command line: `earshot-train`."""
