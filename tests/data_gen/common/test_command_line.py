"""What the scripts share: spellings, reports, and how they end."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import pytest

from data_gen.common.command_line import Parser, Report, main_of, run
from data_gen.common.storage import staged


def test_options_take_hyphens_and_underscores() -> None:
    parser = Parser()
    parser.option("out_folder", default="here")
    parser.strict()
    for spelling in ("--out_folder", "--out-folder"):
        assert parser.parse_args([spelling, "there", "--strict"]).out_folder == "there"
    assert parser.parse_args([]).out_folder == "here"


def test_help_keeps_paragraphs_lists_and_tables_apart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "42")
    text = """One sentence that is longer than a line
is wide.

A list:
- its first item goes on
  in a second line
- another

name    meaning
    indented
"""
    with pytest.raises(SystemExit):
        Parser(prog="x", description=text).parse_args(["--help"])
    said = capsys.readouterr().out.split("\n\n", 1)[1]
    assert said.startswith(
        "One sentence that is longer than a line\nis wide.\n\nA list:\n- its first item goes on in a second\nline\n"
        "- another\n\nname    meaning\n    indented\n"
    )


def test_paths_are_expanded(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("USERPROFILE", "/home/me")
    monkeypatch.setenv("SCRATCH", "/big")
    monkeypatch.delenv("UNSET", raising=False)
    parser = Parser()
    parser.add_argument("folder", type=Path)
    parser.option("out_folder", type=Path)
    given = parser.parse_args(["~/a", "--out-folder=$SCRATCH/b"])
    assert (given.folder, given.out_folder) == (Path("/home/me/a"), Path("/big/b"))
    with pytest.raises(SystemExit):
        parser.parse_args(["$UNSET/a"])
    assert "argument folder: '$UNSET/a': the environment variable UNSET is not set" in capsys.readouterr().err


def _convert(data_path: str | Path, *, size: int | None = None, part: int = 3, strict: bool = False) -> Report:
    """Convert.

    Args:
        data_path: where the data are,
            or were.
        size: T.
    """
    return Report(notes=[f"{data_path!r} {size} {part} {strict}"])


def test_options_are_those_of_a_function(capsys: pytest.CaptureFixture[str]) -> None:
    main = main_of(_convert, "About")
    assert str(main(["--data-path", "a"])) == f"{Path('a')!r} None 3 False"
    assert str(main_of(partial(_convert, part=4), "")(["--data_path=a", "--size", "2", "--strict"])).endswith(
        "2 4 True"
    )
    for words, said in (
        (["--help"], "where the data are, or were"),
        ([], "required: --data_path"),
        (["--size=a"], "int"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        printed = capsys.readouterr()
        assert said in " ".join((printed.out + printed.err).split())


def test_a_report_says_what_was_written_and_what_was_not(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report({Path("a.npy"): (2, 3)}, ["b: broken"], ["three are long"])
    run(lambda _: report)
    assert capsys.readouterr().out == "wrote a.npy  (2, 3)\nskipped 1:\n  b: broken\nthree are long\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("no such thing"), "error: no such thing"),
        (FileNotFoundError("x is absent"), "error: x is absent"),
        (MemoryError(), "error: memory ran out"),
        (BrokenProcessPool(), "error: memory ran out"),
        (KeyboardInterrupt(), "130"),
    ],
)
def test_errors_end_a_script_without_a_traceback(error: BaseException, code: str) -> None:
    def main(_: Sequence[str] | None) -> Report:
        raise error

    with pytest.raises(SystemExit) as ended:
        run(main)
    assert str(ended.value.code).startswith(code)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows kills without asking")
def test_a_polite_kill_leaves_no_temporary_file(tmp_path: Path) -> None:
    def main(_: Sequence[str] | None) -> Report:
        with staged() as staging:
            staging.array(tmp_path / "a.npy", 1, (2,))
            assert len(list(tmp_path.iterdir())) == 1
            os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("it went on")

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        run(main)
    assert ended.value.code == 143
    assert list(tmp_path.iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before
