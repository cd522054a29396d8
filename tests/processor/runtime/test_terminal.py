"""Lines are printed once, whatever logging and terminal the caller has, and both are as before afterwards."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import main as program
from data_gen.common.command_line import printing_anything
from graph.common.files import ROOT
from processor.runtime.terminal import spoken

LOG = logging.getLogger("processor.tools.info")


@contextmanager
def configured(how: str, folder: Path) -> Iterator[None]:
    """Logging as another program configured it; and put back."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    root.handlers = list(before)  # those that pytest has here
    root.setLevel(logging.WARNING)
    if how == "stderr at WARNING":
        root.addHandler(logging.StreamHandler())
    elif how == "stdout at DEBUG":
        root.addHandler(logging.StreamHandler(sys.stdout))
        root.setLevel(logging.DEBUG)
    elif how == "a file":
        root.addHandler(logging.FileHandler(folder / "caller.log", encoding="utf-8"))
    elif how == "disabled":
        logging.disable(logging.CRITICAL)
    elif how == "ours":
        LOG.addHandler(logging.StreamHandler(sys.stdout))
        LOG.propagate, LOG.disabled = False, True
        LOG.setLevel(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)
    LOG.handlers, LOG.propagate, LOG.disabled = [], True, False
    LOG.setLevel(logging.NOTSET)
    root.handlers, root.level = before, level


def state() -> list[Any]:
    root = logging.getLogger()
    loggers = [(x.level, x.disabled, x.propagate, list(x.handlers)) for x in (root, LOG)]
    return [loggers, root.manager.disable, logging.raiseExceptions]


@pytest.mark.parametrize("how", ["nothing", "stderr at WARNING", "stdout at DEBUG", "a file", "disabled", "ours"])
def test_lines_are_printed_once(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with configured(how, tmp_path):
        before = state()
        for _ in range(2):
            with spoken():
                LOG.info("a line")
        assert state() == before
    assert capsys.readouterr() == ("a line\na line\n", "")
    if how == "a file":
        assert (tmp_path / "caller.log").read_text(encoding="utf-8").count("a line") == 2


def test_the_main_function_prints(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--config", "config/demo/train.yaml", "--phase", "info", "--model_args.channels", "32", "32", "32"]
    with configured("stdout at DEBUG", Path()):
        before = state()
        assert program.main(words) == 0
        with pytest.raises(RuntimeError, match="stop here"), spoken():
            raise RuntimeError("stop here")
        assert state() == before
    assert capsys.readouterr().out.count("classes     10\n") == 1


def test_no_home_folder(tmp_path: Path) -> None:
    code = """
import os, pwd, sys
def unknown(*_): raise KeyError("no such user")
pwd.getpwuid = pwd.getpwnam = unknown
import main
from processor.results.work_dir import check_place
check_place(main.Path("run"))
sys.exit(main.main(["--config", "config/demo/train.yaml", "--work_dir", "~/run"]))
"""
    pytest.importorskip("pwd")
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "MPLCONFIGDIR")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**environment, "PYTHONPATH": str(ROOT)}, cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "work_dir: '~/run': no home folder is known for it" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_costs_lines_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    with spoken():
        LOG.info("a line")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_may_lack_characters(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    streams = [io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    assert program.main(["--config", "中.yaml"]) == 1
    with spoken():
        LOG.info("in 中")
    for stream, text in zip(streams, ("in \\u4e2d\n", "\\u4e2d.yaml: No such file"), strict=True):
        stream.flush()
        assert text in stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]
        assert stream.errors == "strict"
    with printing_anything():
        streams[0].write("中")
        streams[0].close()


def test_warnings_of_the_project_are_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    shown = warnings.showwarning
    with warnings.catch_warnings(record=True) as others, spoken():
        warnings.warn_explicit("graph: taken instead", UserWarning, str(ROOT / "model" / "x.py"), 7)
        warnings.warn_explicit("of another", UserWarning, str(ROOT / ".venv" / "torch.py"), 7)
    assert [str(warning.message) for warning in others] == ["of another"]
    assert capsys.readouterr().out == "graph: taken instead\n"
    assert warnings.showwarning is shown
