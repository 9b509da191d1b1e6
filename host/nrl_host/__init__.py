"""nrl_host: the application around nrl_edge: links, devices, targets and the nrl-edge command."""
