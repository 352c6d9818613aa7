"""History: ended events in a SQLite file of limited age and size, its writer on a thread of its own, and its reader."""
