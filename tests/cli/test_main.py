import io
import json

import pytest

from bitwright.cli.main import COMMANDS, is_message, main
from bitwright.errors import FormatError


def test_overview_lists_every_command(bw):
    done = bw("--help")
    assert done.returncode == 0 and done.stderr == ""
    for name in ("demo", "train", "eval", "export", "run", "inspect", "bench"):
        assert f"\n  {name} " in done.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_an_example_and_json(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    text = capsys.readouterr().out
    assert stop.value.code == 0
    assert f"Example: bw {name} " in text and "--json" in text


def test_help_needs_no_torch(bw):
    done = bw("train", "--help", without=["torch"])
    assert done.returncode == 0 and "usage: bw train" in done.stdout


def test_without_a_command_the_overview_comes_with_exit_code_2(capsys):
    assert main([]) == 2
    assert "usage: bw COMMAND" in capsys.readouterr().out


def test_an_unknown_command_is_named(bw, refused):
    refused(bw("evaluate"), "'evaluate'", "eval")


def test_an_unknown_option_ends_with_exit_code_2(bw, net):
    done = bw("inspect", net, "--jsn")
    assert done.returncode == 2 and done.stdout == ""
    assert "--jsn" in done.stderr and "Traceback" not in done.stderr


def test_debug_shows_the_traceback(bw, tmp_path):
    done = bw("inspect", tmp_path / "missing.bw", env={"BW_DEBUG": "1"})
    assert done.returncode == 1 and "Traceback" in done.stderr and "missing.bw" in done.stderr


def test_errors_that_tell_the_caller_something_are_messages():
    for error in (FormatError("damaged"), FileNotFoundError(2, "No such file", "x")):
        assert is_message(error)
    assert is_message(caught(lambda: main_call("nonsense")))
    assert not is_message(caught(lambda: json.loads("{")))  # a ValueError from the depths of another library
    assert not is_message(caught(lambda: {}["x"]))


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    def broken() -> None:
        """Break. Example: bw broken."""
        raise KeyError("x")

    monkeypatch.setitem(COMMANDS, "broken", broken)
    with pytest.raises(KeyError):
        main(["broken"])


def test_ctrl_c_ends_with_exit_code_130(monkeypatch, capsys):
    def interrupted() -> None:
        """Stop. Example: bw interrupted."""
        raise KeyboardInterrupt

    def interrupted_run() -> None:
        """Stop. Example: bw interrupted-run."""
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise FormatError("continue with: bw train --resume runs/x") from None

    monkeypatch.setitem(COMMANDS, "interrupted", interrupted)
    monkeypatch.setitem(COMMANDS, "interrupted-run", interrupted_run)
    assert main(["interrupted"]) == 130
    assert main(["interrupted-run"]) == 130
    assert "--resume runs/x" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys):
    import bitwright

    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == bitwright.__version__


def test_a_closed_pipe_is_no_error(monkeypatch):
    class Closed(io.StringIO):
        spare = -1

        def write(self, text):
            raise BrokenPipeError

        def fileno(self):
            return self.spare

    with open("/dev/null", "w") as spare:
        closed = Closed()
        closed.spare = spare.fileno()
        monkeypatch.setattr("sys.stdout", closed)
        monkeypatch.setitem(COMMANDS, "talk", talk)
        assert main(["talk"]) == 0


def talk() -> None:
    """Talk. Example: bw talk."""
    print("words")


def main_call(name):
    from bitwright.cli.main import _call

    _call(name, [])


def caught(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("expected an exception")
