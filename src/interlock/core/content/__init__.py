"""What is masked in texts by what is in them, whatever the protocol: detection, and texts that come in pieces."""
