"""Makes the gymnasium environment of a task; says what is wrong with its name, its module or its arguments."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium

from nrl_edge.errors import ConfigurationError


def make_environment(task_id: str, kwargs: Mapping[str, Any]) -> gymnasium.Env[Any, Any]:
    """An environment by its id, `Env-v0` or `module:Env-v0`. Raises ConfigurationError where it cannot be made."""
    try:
        # Every step is checked here, so gymnasium's own checker would only cost time and warn without stopping.
        return gymnasium.make(task_id, disable_env_checker=True, **kwargs)
    except ModuleNotFoundError as error:
        raise ConfigurationError(_missing_module(task_id, error)) from error
    except gymnasium.error.DependencyNotInstalled as error:
        raise ConfigurationError(f"task {task_id!r} needs a package that is not installed: {error}") from error
    except (gymnasium.error.UnregisteredEnv, gymnasium.error.Error) as error:
        name = task_id.rpartition(":")[2]
        if name in gymnasium.registry:
            raise ConfigurationError(f"task {task_id!r} cannot be made with {dict(kwargs)}: {error}") from error
        module = task_id.rpartition(":")[0]
        if module in sys.modules:
            raise ConfigurationError(_not_registered(task_id, module, name)) from error
        by_lower_case = {known.lower(): known for known in gymnasium.registry}
        close = difflib.get_close_matches(name.lower(), by_lower_case, n=5, cutoff=0.5)
        hint = f"; close matches: {', '.join(by_lower_case[match] for match in close)}" if close else ""
        raise ConfigurationError(
            f"unknown task {task_id!r}: gymnasium has no such environment{hint}. "
            "An environment of your own is named `module:Env-v0`"
        ) from error
    except Exception as error:  # the constructor is the user's code and may raise anything
        raise ConfigurationError(
            f"task {task_id!r} cannot be made with the arguments {dict(kwargs)}: {type(error).__name__}: {error}"
        ) from error
    except SystemExit as error:
        raise ConfigurationError(
            f"task {task_id!r}: its module or its constructor ended the program (sys.exit); "
            'put what the module does as a program behind `if __name__ == "__main__":`'
        ) from error


def _missing_module(task_id: str, error: ModuleNotFoundError) -> str:
    """Why a module is not found: that before the colon, or one that it or the environment needs."""
    module = task_id.rpartition(":")[0]
    # Gymnasium raises an error of its own, without the name, from the one that Python raised.
    first = error.__cause__ if isinstance(error.__cause__, ModuleNotFoundError) else error
    missing = first.name or module
    if missing != module and not module.startswith(f"{missing}."):
        return f"task {task_id!r}: Python finds no module {missing!r}, which the environment needs; install it"
    path = Path(*module.split("."))
    if path.is_dir() or path.with_name(f"{path.name}.py").is_file():
        remedy = f'it is in this folder, where Python does not look by itself: export PYTHONPATH="{Path.cwd()}"'
    else:
        remedy = "install it, name the folder that it is in in the variable PYTHONPATH, or correct the name"
    return (
        f"task {task_id!r}: Python finds no module {module!r}. The part before the colon is the module that registers "
        f"the environment; {remedy}"
    )


def _not_registered(task_id: str, module: str, name: str) -> str:
    """What a module registers that was imported and does not register what is asked of it."""
    own = []
    for known, specification in gymnasium.registry.items():
        entry = specification.entry_point
        source = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
        if source == module or source.startswith(f"{module}."):
            own.append(known)
    return (
        f"unknown task {task_id!r}: {getattr(sys.modules[module], '__file__', None) or module} was imported and does "
        f'not call gymnasium.register(id="{name}", ...)' + (f"; it registers {', '.join(own)}" if own else "")
    )
