"""Outbox: the durable queue of event messages, its SQLite table, and the sequence number."""
