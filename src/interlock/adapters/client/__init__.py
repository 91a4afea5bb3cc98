"""What the ports of ``services.client`` stand for on a real machine."""
