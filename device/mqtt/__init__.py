"""MQTT: what is said (messages), in which order (delivery), how it gets there (connection); publisher joins them."""
