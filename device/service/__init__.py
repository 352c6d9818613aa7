"""Service: wiring of the daemon, supervisor, reload, systemd, remote control."""
