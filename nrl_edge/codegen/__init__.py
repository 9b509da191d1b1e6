"""Generates C from an agent's configuration: the core, the link, a port and a PlatformIO project around them."""
