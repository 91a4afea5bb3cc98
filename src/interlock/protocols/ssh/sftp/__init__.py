"""SFTP as it is spoken in a channel: packets, requests one by one, transfers. Opens no file."""
