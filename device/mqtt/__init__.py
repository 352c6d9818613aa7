"""MQTT: connection, delivery, messages, commands, discovery, spectrogram image; `publisher` joins them."""
