"""MQTT: what is said (messages), and how it gets there (publisher); `subscriber` prints it."""
