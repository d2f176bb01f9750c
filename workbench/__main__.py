"""The command `workbench`: runs the application and turns whatever ends it into an exit code."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Sequence
from io import TextIOWrapper

from typer import Exit
from typer._click.exceptions import NoArgsIsHelpError, NoSuchOption, UsageError

from workbench.errors import WorkbenchError, nearest

USAGE = 2
UNEXPECTED = 70
OUTPUT_FAILED = 74
INTERRUPTED = 130

OBJECTS_BETWEEN_COLLECTIONS = 100_000
"""Nearly all that a command makes lives until it ends, so that a search for garbage finds none."""


def main() -> None:
    """Run the command line given to this process and end the process.

    >>> import subprocess, sys
    >>> command = [sys.executable, "-m", "workbench", "derivee"]
    >>> finished = subprocess.run(command, capture_output=True, text=True)
    >>> finished.returncode
    2
    >>> finished.stderr.startswith("workbench: error: No such command 'derivee'")
    True
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    _open_closed_streams()
    _print_unicode_everywhere()
    try:
        status = _run(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        from workbench.cli.session import PIPE_CLOSED

        _discard_output()
        status = PIPE_CLOSED
    except OSError as error:
        _discard_output()
        _tell(f"cannot write to standard output: {error.strerror}")
        status = OUTPUT_FAILED
    gc.freeze()  # the process ends: nothing is left to collect
    sys.exit(status)


def _run(arguments: Sequence[str]) -> int:
    """Run one command line, tell what went wrong, and return the exit code.

    An `OSError` that names no file is a failing standard stream: the caller's to handle.
    """
    try:
        return _invoke(arguments)
    except NoArgsIsHelpError as help_wanted:
        print(help_wanted.format_message(), file=sys.stderr)
        return USAGE
    except UsageError as error:
        _tell(_usage_message(error))
        return error.exit_code
    except WorkbenchError as error:
        _tell(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        if error.errno is None:
            return _tell_unexpected(error)
        if error.filename is None:
            raise
        _tell(f"{error.filename}: {error.strerror}")
        return USAGE
    except Exception as error:
        return _tell_unexpected(error)


def _invoke(arguments: Sequence[str]) -> int:
    from typer.main import get_command

    from workbench.cli import app

    command = get_command(app)
    try:
        with command.make_context("workbench", list(arguments)) as context:
            command.invoke(context)
    except Exit as ending:
        return ending.exit_code
    return 0


def _usage_message(error: UsageError) -> str:
    command = error.ctx.command_path if error.ctx else "workbench"
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, NoSuchOption) and error.ctx:
        parameters = [p for p in error.ctx.command.params if p.param_type_name == "option"]
        declared = [name for p in parameters for name in (*p.opts, *p.secondary_opts)]
        options = {name.lstrip("-"): name for name in declared}
        near = [options[name] for name in nearest(error.option_name.lstrip("-"), options)]
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        message = f"{error.message}{hint}"
    return f"{message}; see {command} --help"


def _tell_unexpected(error: Exception) -> int:
    if os.environ.get("WORKBENCH_DEBUG"):
        traceback.print_exc()
    problem = f"{type(error).__name__}: {error}".splitlines()[0]
    _tell(f"unexpected {problem}; set WORKBENCH_DEBUG=1 to see the traceback")
    return UNEXPECTED


def _tell(message: str) -> None:
    print(f"workbench: error: {message}", file=sys.stderr)


def _open_closed_streams() -> None:
    """Give a process that was started without them an empty input and an output that is dropped."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - it stays open
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - it stays open


def _print_unicode_everywhere() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _discard_output() -> None:
    """Point standard output at nothing, so that the interpreter's last flush cannot fail."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    os.close(nothing)


if __name__ == "__main__":
    main()
