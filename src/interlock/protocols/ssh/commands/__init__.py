"""From a command line to what it does. Runs nothing, and takes what it cannot read for opaque."""
