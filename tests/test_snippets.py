"""The snippets of the documents run: Python and YAML as they stand, commands as far as the program's own parsers."""

from __future__ import annotations

import argparse
import json
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from golden_weights import golden_weights
from torch.distributed.run import get_args_parser as torchrun_parser

from graph.custom import load_skeleton
from processor.config.schema import Config, load_config

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "checkpoints" / "README.md"]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BEFORE = re.compile(r"((time|\w+=\S+) +)*(?=(python3?|torchrun|st-tr|cp|pip) )")  # of a command's first word
FOLLOWED = ("docs/extending.md",)  # its blocks need each other; test_extending.py follows them
FOREIGN = ("pip", "pytest")  # modules of `python -m`
MADE = "make_example.py"  # a block of the document that names it
# phases with options of their own
TOOLS = {
    "explain": "processor.tools.explain",
    "predict": "processor.tools.predictions",
    "export": "processor.tools.export",
    "watch": "processor.tools.watch",
}
CONFIG = "config/ntu60_xsub/s-tr.yaml"  # where a command says FILE or ...


@dataclass(frozen=True)
class Snippet:
    """A piece of a document: `kind` is the fence's word, `inline` for code between words, or `help` of a YAML file."""

    place: str
    kind: str
    text: str
    after: str = ""  # what follows an inline one


def snippets() -> Iterator[Snippet]:
    for path in DOCUMENTS:
        text, name = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
        for block in FENCE.finditer(text) if name not in FOLLOWED else ():
            yield Snippet(f"{name}:{text[: block.start()].count(chr(10)) + 1}", block[1], block[2])
        prose = FENCE.sub(lambda block: "\n" * block[0].count("\n"), text)
        for code in re.finditer(r"`([^`]+)`", prose):
            place = f"{name}:{prose[: code.start()].count(chr(10)) + 1}"
            yield Snippet(place, "inline", " ".join(code[1].split()), prose[code.end() : code.end() + 40])
    for path in sorted((ROOT / "config").rglob("*.yaml")):
        help_text = yaml.safe_load(path.read_text(encoding="utf-8")).get("data_help") or ""
        yield Snippet(
            path.relative_to(ROOT).as_posix(), "help", re.sub(r" {2,}\(.*\)$", "", help_text, flags=re.MULTILINE)
        )


def commands() -> Iterator[tuple[str, list[str]]]:
    """Place and words of every command; `with the same flags` behind one takes those of the command before."""
    before: list[str] = []
    for snippet in snippets():
        if snippet.kind in ("", "sh", "bash", "inline", "help"):
            for line in re.split(r"\n|&&", snippet.text.replace("\\\n", " ")):
                if not (found := BEFORE.match(line.strip())):
                    continue
                words = shlex.split(line.strip()[found.end() :], comments=True)
                if snippet.after.split()[:4] == ["with", "the", "same", "flags"]:
                    words += before[2:]
                before = words
                yield snippet.place, words


BLOCKS = list(snippets())
COMMANDS = list(commands())


class ParsedError(BaseException):
    """A script's parser has taken its words; what comes after is not run."""


@pytest.fixture
def parsers(monkeypatch: pytest.MonkeyPatch) -> list[argparse.ArgumentParser]:
    """The parsers that scripts have used; each script ends there."""
    used: list[argparse.ArgumentParser] = []

    def ending(parse: Callable[..., Any]) -> Callable[..., None]:
        def parse_and_end(self: argparse.ArgumentParser, *args: Any) -> None:
            used.append(self)
            parse(self, *args)
            raise ParsedError

        return parse_and_end

    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(argparse.ArgumentParser, name, ending(getattr(argparse.ArgumentParser, name)))
    monkeypatch.chdir(ROOT)
    return used


def check(words: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives the words of a command to the parser that would read them.

    Raises:
        ValueError, OSError, SystemExit: they are not what it takes.
    """
    program, *rest = words
    if program in ("cp", "pip"):
        files = [word for option, word in pairwise(words) if option in ("cp", "-r")]
        if missing := [file for file in files if not (ROOT / file).is_file()]:
            raise FileNotFoundError(missing[0])
        return
    if program == "torchrun":
        given, unknown = torchrun_parser().parse_known_args(rest)
        if unknown:
            raise ValueError(f"torchrun takes no {unknown}")
        program, rest = given.training_script, given.training_script_args
    elif program.startswith("python"):
        program, *rest = rest
    if program == "-m":
        if rest[0] in FOREIGN:
            return
        program, *rest = rest[0].replace(".", "/") + ".py", *rest[1:]
    if program == MADE:
        return
    rest = [CONFIG if word in ("FILE", "...") and rest[i - 1] == "--config" else word for i, word in enumerate(rest)]
    rest = ["4" if word == "N" else word for word in rest]
    rest = [
        re.sub("^data/custom/(.*[.]yaml)$", r"config/ntu60_xsub/\1", word) for word in rest
    ]  # it is made by a script
    if program == "st-tr" and not rest[0].startswith("-"):
        script, *rest = rest
        program = {"ensemble": "ensemble.py", "compare": "processor/tools/compare.py"}.get(
            script, f"data_gen/{script}.py"
        )
        if rest == ["..."]:  # of which the scripts' own commands are shown elsewhere
            assert (ROOT / program).is_file()
            return
    tool = next((tool for word, tool in pairwise(rest) if word == "--phase" and tool in TOOLS), None)
    if program in ("main.py", "st-tr") and tool:
        _, unknown = import_module(TOOLS[tool]).parser().parse_known_args(rest)
        assert not unknown
        return
    if program in ("main.py", "st-tr"):
        if "--help" not in rest:
            load_config(rest)
        return
    monkeypatch.setattr(sys, "argv", [program, *rest])
    with pytest.raises(ParsedError):
        runpy.run_path(str(ROOT / program), run_name="__main__")


@pytest.mark.parametrize(("place", "words"), COMMANDS, ids=[f"{place} {words[1]}" for place, words in COMMANDS])
@pytest.mark.usefixtures("parsers")
def test_a_command_is_one_that_its_program_takes(place: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    check(words, monkeypatch)


def test_all_kinds_of_commands_are_found() -> None:
    found = {words[1] if words[1] != "-m" else words[2] for _, words in COMMANDS if words[0].startswith("python")}
    scripts = {f"data_gen/{path.name}" for path in (ROOT / "data_gen").glob("*_gendata.py")}
    assert found >= {"main.py", "ensemble.py", "data_gen.check", "data_gen/preprocess.py", *scripts}
    assert found >= {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.py")}
    assert {words[0] for _, words in COMMANDS} >= {"torchrun", "cp", "pip"}
    assert [words for place, words in COMMANDS if "config/nturgbd/_base.yaml" in place]


@pytest.mark.parametrize(
    "command",
    [
        "python main.py --config config/ntu60_xsub/str.yaml",
        "python main.py --config config/ntu60_xsub/s-tr.yaml --fase test",
        "python main.py --config config/ntu60_xsub/s-tr.yaml --model_args.window 3",
        "python main.py --config config/ntu60_xsub/s-tr.yaml --phase bench",
        "torchrun --nproc-per-node 2 main.py --config config/none.yaml",
        "torchrun --nproc-per-knot 2 main.py --config config/ntu60_xsub/s-tr.yaml",
        "python data_gen/preprocessing.py --data_path a --out_folder b",
        "python data_gen/ntu_gen_bones.py --data_folder data/ntu --bones",
        "python data_gen/pyskl_gendata.py --data_path raw",
        "python -m data_gen.checks data/ntu",
        "python ensemble.py a.npz b.npz --alfa 1 1",
        "pip install -r requirement.txt",
        "cp config/custom/skeleton.yaml mine.yaml",
    ],
)
@pytest.mark.usefixtures("parsers")
def test_a_wrong_command_is_seen(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((ValueError, OSError, SystemExit)):
        check(command.split(), monkeypatch)


def test_flags_that_are_named_alone_exist(
    parsers: list[argparse.ArgumentParser], monkeypatch: pytest.MonkeyPatch
) -> None:
    for script in {words[1] for _, words in COMMANDS if words[1].endswith(".py")} - {"main.py", MADE}:
        monkeypatch.setattr(sys, "argv", [script])
        with pytest.raises((ParsedError, SystemExit)):
            runpy.run_path(str(ROOT / script), run_name="__main__")
    known = {"--config", *(f"--{field.name}" for field in fields(Config))}
    parsers += [import_module(tool).parser() for tool in TOOLS.values()]
    known |= {flag for parser in parsers for flag in parser._option_string_actions}
    named = {
        (snippet.place, flag)
        for snippet in BLOCKS
        if snippet.kind == "inline" and snippet.text.startswith("--")
        for flag in re.findall(r"(?<!\S)--[\w-]+", snippet.text)
    }
    assert named
    assert not {(place, flag) for place, flag in named if flag not in known}


@pytest.mark.parametrize("snippet", [b for b in BLOCKS if b.kind == "python"], ids=lambda snippet: snippet.place)
def test_python_runs(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in re.findall(r"checkpoints/\w+_spatial\.pt", snippet.text):
        golden = json.loads((ROOT / "tests" / "golden" / "st_tr.json").read_text())["variants"]["s-tr"]["state"]
        (tmp_path / name).parent.mkdir(exist_ok=True)
        torch.save({key: torch.as_tensor(x) for key, x in golden_weights(golden).items()}, tmp_path / name)
    exec(compile(snippet.text, snippet.place, "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("snippet", [b for b in BLOCKS if b.kind == "yaml"], ids=lambda snippet: snippet.place)
def test_yaml_is_what_it_is_for(snippet: Snippet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    content, file = yaml.safe_load(snippet.text), tmp_path / "file.yaml"
    if "bones" in content:  # a skeleton, of which the snippet shows a part
        joints = [joint for joint in content["joints"] if joint != "..."]
        content |= {
            "joints": joints,
            "bones": [[joint, content["center"]] for joint in joints if joint != content["center"]],
        }
        file.write_text(yaml.safe_dump(content))
        assert load_skeleton(file).joints == tuple(joints)
    else:
        base = "" if "_base_" in content else f"_base_: {ROOT / 'config/custom/train.yaml'}\n"
        file.write_text(f"{base}{snippet.text}")
        assert load_config(["--config", str(file)])


@pytest.mark.parametrize("family", ["model", "model.st_tr"])
@pytest.mark.parametrize("graph", ["", ", graph='graph.ntu_rgb_d.Graph'"], ids=["none", "ntu"])
def test_the_example_of_seventeen_joints_runs(family: str, graph: str) -> None:
    names: dict[str, Any] = {"torch": torch}
    code = f"from {family} import Model\nmodel = Model(num_class=60, num_person=2, num_point=17{graph})"
    if graph:
        with pytest.warns(UserWarning, match=r"has 25 joints, num_point is 17: graph\.coco\.Graph is taken"):
            exec(code, names)
    else:
        exec(code, names)
    model = names["model"].eval()
    assert model.options.graph == "graph.coco.Graph"
    with torch.no_grad():
        assert model(torch.randn(8, 3, 64, 17, 2)).shape == (8, 60)
        assert model(torch.randn(2, 3, 64, 17)).shape == (2, 60)
