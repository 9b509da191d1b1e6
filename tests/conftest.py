"""Nothing is configured here; pytest puts this folder on the path because of this file, for `from tools import ...`."""
