"""`bw`: which command is meant, its help, and how its errors are told."""

import inspect
import os
import sys
from collections.abc import Callable, Sequence

from bitwright.cli.bench import bench
from bitwright.cli.demo import demo
from bitwright.cli.detect import detect
from bitwright.cli.evaluate import evaluate
from bitwright.cli.export import export
from bitwright.cli.import_ import import_weights
from bitwright.cli.inspect import inspect_file
from bitwright.cli.methods import methods
from bitwright.cli.probe import probe
from bitwright.cli.report import report
from bitwright.cli.run import run
from bitwright.cli.search import search
from bitwright.cli.train import train
from bitwright.cli.uncertainty import uncertainty
from bitwright.errors import BitwrightError

COMMANDS: dict[str, Callable[..., None]] = {
    "demo": demo,
    "train": train,
    "probe": probe,
    "export": export,
    "eval": evaluate,
    "run": run,
    "detect": detect,
    "inspect": inspect_file,
    "bench": bench,
    "methods": methods,
    "import": import_weights,
    "report": report,
    "search": search,
    "uncertainty": uncertainty,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code: 0, 2 after an error of the caller's, 130 after Ctrl-C.

    An error that says what the caller can do is one line on the standard error stream, `BW_DEBUG=1` shows where it
    came from; any other exception is a mistake of ours and keeps its traceback.

    Args:
        arguments: What follows `bw`; the process's own arguments by default.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        from bitwright import __version__

        print(__version__)
        return 0
    try:
        _call(arguments[0], arguments[1:])
    except KeyboardInterrupt:
        print("bw: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("BW_DEBUG") == "1" or not is_message(error):
            raise
        print(f"bw: error: {_one_line(error)}", file=sys.stderr)
        return 130 if _is_interrupt(error) else 2
    return 0


def overview() -> str:
    """The text of `bw --help`: each command with the first line of its docstring."""
    lines = [f"  {name:<12}{(inspect.getdoc(call) or '').splitlines()[0]}" for name, call in COMMANDS.items()]
    return "\n".join(
        [
            "usage: bw COMMAND ...",
            "",
            "Binary neural networks: train them, pack them, run them fast on a CPU.",
            "",
            *lines,
            "",
            "bw COMMAND --help shows its options and an example. --json prints one JSON object instead of tables.",
        ]
    )


def is_message(error: Exception) -> bool:
    """Whether an exception is meant for the person at the keyboard rather than for the people who wrote bitwright.

    Bitwright's own errors and the system's are. A `ValueError` or `TypeError` is if bitwright raised it; from the
    depths of another library it is a bug of ours to have called it that way.
    """
    if isinstance(error, BitwrightError | OSError):
        return True
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    package = trace.tb_frame.f_globals.get("__package__") if trace is not None else None
    ours = (package or "").split(".")[0] == "bitwright"
    return ours and isinstance(error, ValueError | TypeError)


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _is_interrupt(error: BaseException | None) -> bool:
    """Whether Ctrl-C is at the root of an error, such as that of a run that says how to go on with it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _call(name: str, arguments: Sequence[str]) -> None:
    if name not in COMMANDS:
        raise ValueError(f"there is no command {name!r}; expected one of {', '.join(COMMANDS)}. See bw --help.")
    import tyro

    command = COMMANDS[name]
    text = (inspect.getdoc(command) or "").split("\nArgs:")[0]
    tyro.cli(command, prog=f"bw {name}", description=text, args=arguments, config=(tyro.conf.FlagCreatePairsOff,))


if __name__ == "__main__":
    sys.exit(main())
