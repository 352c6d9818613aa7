"""Page in the browser: history, clips and state of this device. It reads, and sends the commands that users send."""
