"""Streams are fused by sample name, and what does not match is named."""

from __future__ import annotations

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from ensemble import main
from processor.results.fusion import fuse, search
from processor.results.scores import Scores, load_scores, save_scores

NAMES = tuple(f"s{i:03d}" for i in range(200))


def stream(seed: int, *, good: float = 1.0, names: tuple[str, ...] = NAMES, labelled: bool = True) -> Scores:
    """Scores that favour the true class by `good`, in an order of their own."""
    rng = np.random.default_rng(seed)
    labels = np.array([int(name[1:]) % 6 for name in names])
    scores = rng.normal(size=(len(names), 6)) + good * np.eye(6)[labels]
    order = rng.permutation(len(names))
    return Scores(tuple(names[i] for i in order), scores[order], labels[order] if labelled else None)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files `a.npz` and `b.npz`."""
    monkeypatch.chdir(tmp_path)
    save_scores("a.npz", stream(1))
    save_scores("b.npz", stream(2))
    return tmp_path


@pytest.mark.parametrize("alpha", [None, (1.0, 0.6, 2.0)])
def test_fuse_equals_a_loop_over_names(alpha: tuple[float, ...] | None) -> None:
    streams = [stream(seed) for seed in (1, 2, 3)]
    fused = fuse(streams, alpha)
    assert fused.names == streams[0].names
    assert fused.labels is not None
    for row, (name, label) in enumerate(zip(fused.names, fused.labels, strict=True)):
        expected = np.zeros(6)
        for each, weight in zip(streams, alpha or (1, 1, 1), strict=True):
            expected += weight * each.scores[each.names.index(name)].astype(np.float64)
        np.testing.assert_allclose(fused.scores[row], expected, rtol=1e-6)
        assert label == int(name[1:]) % 6


def test_fuse_takes_labels_from_whoever_knows_them() -> None:
    fused = fuse([stream(1, labelled=False), stream(2)])
    assert fused.labels is not None
    assert fused.labels.tolist() == [int(name[1:]) % 6 for name in fused.names]
    assert fuse([stream(1, labelled=False), stream(2, labelled=False)]).labels is None


def relabelled(scores: Scores, name: str, label: int) -> Scores:
    assert scores.labels is not None
    labels = scores.labels.copy()
    labels[scores.names.index(name)] = label
    return Scores(scores.names, scores.scores, labels)


@pytest.mark.parametrize(
    ("streams", "alpha", "complaint"),
    [
        ([stream(1), stream(2, names=NAMES[5:])], None, r"2 lacks 5 of .* in stream 1: s\d+, s\d+, s\d+ and 2 more"),
        ([stream(1, names=NAMES[2:]), stream(2)], None, r"stream 1 lacks 2 of the 200 .* stream 2: s00\d, s00\d$"),
        ([stream(1), Scores(NAMES, np.zeros((200, 7)))], None, "stream 1 has 6 classes, stream 2 7"),
        ([stream(1), stream(2)], (1.0,), "alpha: 1 weight for 2 streams"),
        ([stream(1), stream(2)], (1.0, np.nan), "must be finite numbers"),
        ([stream(1), relabelled(stream(2), "s008", 5)], None, "and stream 2 disagree .* 1 sample: s008 is 2 or 5"),
        ([], None, "there are no scores to fuse"),
    ],
)  # fmt: skip
def test_what_does_not_match_is_named(streams: list[Scores], alpha: tuple[float, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        fuse(streams, alpha)


def top1(scores: Scores) -> float:
    return float((scores.scores.argmax(axis=1) == scores.labels).mean())


def test_search_finds_the_best_of_the_grid() -> None:
    streams = [stream(1, good=0.8), stream(2, good=1.3), stream(3, good=0.0)]
    alpha = search(streams)
    assert alpha[0] == 1.0
    found = top1(fuse(streams, alpha))
    grid = [i / 10 for i in range(21)]
    assert all(top1(fuse(streams, (1.0, b, c))) <= found for b in grid[::2] for c in grid[::2])
    assert alpha[2] < 1 < alpha[1]  # noise counts for less, the better stream for more
    assert found > top1(fuse(streams))


def test_search_prefers_equal_weights_where_nothing_is_gained() -> None:
    perfect = stream(1, good=1000.0)
    assert search([perfect, perfect]) == (1.0, 1.0)
    assert search([perfect] * 6) == (1.0,) * 6
    assert search([perfect]) == (1.0,)
    with pytest.raises(ValueError, match="without labels"):
        search([stream(1, labelled=False)])


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code = main(words)
    printed = capsys.readouterr()
    assert code == 0, printed.err
    assert printed.err == ""
    return printed.out


def percent(scores: Scores) -> str:
    return f"{100 * top1(scores):.2f}"


@pytest.mark.usefixtures("files")
def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "a.npz", "b.npz", "--alpha", "1", "0.6").splitlines()
    assert lines[0] == "200 samples, 6 classes"
    assert lines[1].split() == ["alpha", "top-1", "%", "top-5", "%"]
    assert lines[2].split()[:3] == ["a.npz", "1", percent(stream(1))]
    assert lines[3].split()[:3] == ["b.npz", "0.6", percent(stream(2))]
    assert lines[4].split()[:2] == ["fused", percent(fuse([stream(1), stream(2)], (1, 0.6)))]
    assert len({len(line) for line in lines[1:]}) == 1  # aligned
    few = stream(1)
    assert few.labels is not None
    save_scores("few.npz", Scores(few.names, few.scores[:, :5], few.labels % 5))
    assert run(capsys, "few.npz").splitlines()[1].split() == ["alpha", "top-1", "%"]


@pytest.mark.usefixtures("files")
def test_fused_scores_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert "fused scores are in fused.npz" in run(capsys, "a.npz", "b.npz", "--out", "fused.npz")
    expected, again = fuse([stream(1), stream(2)]), load_scores("fused.npz")
    assert again.names == expected.names
    np.testing.assert_array_equal(again.scores, expected.scores)
    np.testing.assert_array_equal(again.labels, expected.labels)


@pytest.mark.usefixtures("files")
def test_labels_of_published_scores_come_from_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    plain = stream(1, labelled=False)
    Path("a.pkl").write_bytes(pickle.dumps(dict(zip(plain.names, plain.scores, strict=True))))
    assert main(["a.pkl"]) == 1
    assert capsys.readouterr().err == "ensemble.py: the score files know no labels; give them with --label\n"
    assert run(capsys, "a.pkl", "--out", "c.npz") == "fused scores are in c.npz\n"
    names = list(reversed(NAMES))
    Path("l.pkl").write_bytes(pickle.dumps((names, [int(name[1:]) % 6 for name in names])))
    assert percent(stream(1)) in run(capsys, "a.pkl", "--label", "l.pkl")
    Path("l.pkl").write_bytes(pickle.dumps((names, [int(name[1:]) % 5 for name in names])))
    assert main(["b.npz", "--label", "l.pkl"]) == 1
    assert re.match(r"ensemble.py: b.npz and l.pkl disagree about the labels of 1\d\d samples", capsys.readouterr().err)
    Path("l.pkl").write_bytes(pickle.dumps((names, [60] * 200)))
    assert main(["a.pkl", "--label", "l.pkl"]) == 1
    assert capsys.readouterr().err == "ensemble.py: l.pkl: labels from 60 to 60 do not fit 6 classes\n"
    Path("l.pkl").write_bytes(pickle.dumps((names[1:], [0] * 199)))
    assert main(["a.pkl", "--label", "l.pkl"]) == 1
    assert capsys.readouterr().err == "ensemble.py: l.pkl lacks 1 of the 200 samples in a.pkl: s199\n"


@pytest.mark.usefixtures("files")
def test_search_says_what_it_did(capsys: pytest.CaptureFixture[str]) -> None:
    validation = tuple(f"v{i:03d}" for i in range(150))
    streams = [stream(3, names=validation), stream(4, good=2.0, names=validation)]
    for name, each in zip(("va.npz", "vb.npz"), streams, strict=True):
        save_scores(name, each)
    alpha = search(streams)
    printed = run(capsys, "a.npz", "b.npz", "--search", "va.npz", "vb.npz")
    assert f"alpha 1 {alpha[1]:g} was tuned on va.npz, vb.npz\n  (150 samples" in printed
    assert "optimistic" not in printed
    assert percent(fuse([stream(1), stream(2)], alpha)) in printed.splitlines()[-1]
    printed = run(capsys, "a.npz", "b.npz", "--search", "a.npz", "b.npz")
    assert "200 of the 200 tested samples are among them: the fused figure is optimistic" in printed
    assert main(["a.npz", "b.npz", "--search", "va.npz"]) == 1
    assert "--search: 1 file for 2 streams" in capsys.readouterr().err


@pytest.mark.usefixtures("files")
def test_a_subset_is_reported_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("only.txt").write_text("s003\n\ns010\ns050\ns003\n", encoding="utf-8")
    lines = run(capsys, "a.npz", "b.npz", "--only", "only.txt").splitlines()
    assert lines[0] == "200 samples, 6 classes; 3 of them in only.txt"
    assert lines[1].endswith("top-1 % of 3")
    fused = fuse([stream(1), stream(2)])
    for line, each in zip(lines[2:], (stream(1), stream(2), fused), strict=True):
        assert line.split()[-1] == percent(each.take(["s003", "s010", "s050"]))
        assert percent(each) in line
    Path("only.txt").write_text("s003\nx\n", encoding="utf-8")
    assert main(["a.npz", "--only", "only.txt"]) == 1
    assert capsys.readouterr().err == "ensemble.py: a.npz lacks 1 of the 2 samples in only.txt: x\n"


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["a.npz", "absent.npz"], r"absent.npz: .+"),
        (["a.npz", "b.npz", "--alpha", "1"], "alpha: 1 weight for 2 streams; give one for each"),
        (["a.npz", "short.npz"], r"short.npz lacks 9 of the 200 samples in a.npz: .*"),
    ],
)
def test_errors_are_one_line(capsys: pytest.CaptureFixture[str], words: list[str], complaint: str) -> None:
    save_scores("short.npz", stream(5, names=NAMES[9:]))
    assert main([*words, "--out", "fused.npz"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(f"ensemble.py: {complaint}\n", printed.err)
    assert not Path("fused.npz").exists()


ORDERS = [
    "--alpha 1 0.6 a.npz b.npz", "a.npz --alpha 1 0.6 b.npz", "a.npz b.npz --alpha 1 0.6", "--alpha=1 0.6 a.npz b.npz",
    "--alpha 1 --out f.npz a.npz --alpha 0.6 b.npz", "a.npz --out f.npz b.npz --alpha 1 0.6",
    "--alpha 1 .6 -- a.npz b.npz", "--alpha 1 6e-1 --only only.txt a.npz b.npz",
]  # fmt: skip


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("words", ORDERS)
def test_weights_and_files_in_any_order(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("only.txt").write_text("s003\n", encoding="utf-8-sig")
    lines = run(capsys, *words.split()).splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["a.npz", "1"], ["b.npz", "0.6"]]
    assert lines[4].split()[:2] == ["fused", percent(fuse([stream(1), stream(2)], (1, 0.6)))]


@pytest.mark.usefixtures("files")
def test_weights_may_be_negative_and_files_may_be_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    save_scores("2", stream(2))
    lines = run(capsys, "--alpha", "1", "-1e-3", "a.npz", "./2").splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["a.npz", "1"], ["./2", "-0.001"]]
    assert run(capsys, "2", "a.npz", "--alpha", "-.5", "1").splitlines()[2].split()[:2] == ["2", "-0.5"]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    "words",
    ["--search va.npz vb.npz a.npz b.npz", "a.npz b.npz --search va.npz vb.npz",
     "--search va.npz vb.npz --label l.pkl a.npz b.npz", "--search va.npz vb.npz -- a.npz b.npz"],
)  # fmt: skip
def test_search_and_streams_in_any_order(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("va.npz", 3), ("vb.npz", 4)):
        save_scores(name, stream(seed))
    Path("l.pkl").write_bytes(pickle.dumps((list(NAMES), [int(name[1:]) % 6 for name in NAMES])))
    printed = run(capsys, *words.split())
    assert "was tuned on va.npz, vb.npz\n" in printed
    assert [line.split()[0] for line in printed.splitlines()[-3:]] == ["a.npz", "b.npz", "fused"]


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("", "name the folders of runs, or files of scores"),
        ("--alpha 1 1", r"name the folders of runs, .*; numbers after --alpha are weights, so that a file 1 is \./1"),
        ("--alpha 1 1 1 a.npz b.npz", "alpha: 3 weights for 2 streams; give one for each"),
        ("a.npz --alpha nan", r"alpha: \[nan\] must be finite numbers"),
        (
            "a.npz --search b.npz a.npz b.npz",
            "--search: 3 files for 1 stream; give one for each, in the same order, .*",
        ),
        ("--search a.npz b.npz a.npz", "--search: 3 files for 0 streams; .* all streams on one side of it"),
        ("a.npz --out fused", r"--out: fused does not end in \.npz; name it fused\.npz"),
        ("a.npz --out fused.pkl", r"--out: fused\.pkl does not end in \.npz; name it fused\.npz"),
        ("a.npz --out run", r"--out: run is a folder; name a file in it, such as run.fused\.npz"),
        ("a.npz --out link.npz", r"--out: link\.npz is a symbolic link; name what it stands for, .*b\.npz"),
        ("a.npz --out ./a.npz", r"--out: \./a\.npz is one of the files that are read; name another"),
        ("run --out run/test_score.npz", r"--out: run/test_score\.npz is one of the files that are read; name another"),
        ("b.npz --search a.npz --out a.npz", r"--out: a\.npz is one of the files that are read; name another"),
        ("a.npz --out a.npz/fused.npz", r"--out: a\.npz/fused\.npz cannot be written: .+"),
        ("a.npz --only utf16.txt", r"utf16\.txt is no text in UTF-8; --only takes one of sample names, one a line"),
        ("a.npz --only empty.txt", r"empty\.txt names no samples"),
        ("a.npz --only run", r"run: .+"),
        ("plain.npz --only only.txt --out f.npz", "the score files know no labels; give them with --label"),
    ],
)
def test_mistakes_are_one_sentence(words: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("link.npz").symlink_to("b.npz")
    save_scores("run/test_score.npz", stream(3))
    save_scores("plain.npz", stream(3, labelled=False))
    Path("utf16.txt").write_text("s003\n", encoding="utf-16")
    Path("empty.txt").write_text("\n")
    Path("only.txt").write_text("s003\n")
    before = {path: path.read_bytes() for path in Path().rglob("*.npz")}
    assert main(words.split()) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(f"ensemble.py: {complaint}\n", printed.err)
    assert {path: path.read_bytes() for path in Path().rglob("*.npz")} == before


@pytest.mark.usefixtures("files")
def test_a_stream_is_the_folder_of_a_run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for seed in (1, 2):
        save_scores(f"runs/{seed}/test_score.npz", stream(seed))
    lines = run(capsys, "--alpha", "1", "0.6", "runs/1", "runs/2/").splitlines()
    assert [line.split()[:2] for line in lines[2:4]] == [["runs/1", "1"], ["runs/2/", "0.6"]]
    assert lines[4].split()[1] == percent(fuse([stream(1), stream(2)], (1, 0.6)))
    assert "was tuned on runs/1\n" in run(capsys, "--search", "runs/1", "runs/2")
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("HOME", str(tmp_path / "runs"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "runs"))
    assert str(tmp_path / "runs") in run(capsys, "$RUNS/1", "~/2", "--out", "~/out/fused.npz")
    assert (tmp_path / "runs" / "out" / "fused.npz").is_file()
    assert not Path("~").exists()


@pytest.mark.usefixtures("files")
def test_a_folder_without_scores_says_how_to_make_them(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        save_scores(f"runs/{seed}/test_score.npz", stream(seed))
    Path("begun").mkdir()
    Path("begun/config.yaml").touch()
    Path("empty").mkdir()
    config = Path("begun") / "config.yaml"
    command = f"python main.py --config {config} --phase test"
    name = "name the folder of a run, whose training or --phase test writes it"
    for folder, remedy in {
        "begun": f"make it from the weights in there: {command}",
        "runs": f"runs/1, runs/2 do; {name}",
        "empty": name,
    }.items():
        assert main(["a.npz", folder]) == 1
        assert capsys.readouterr().err == f"ensemble.py: {folder} holds no test_score.npz; {remedy}\n"


def test_any_terminal_home_and_place(tmp_path: Path) -> None:
    """Names outside of the terminal's encoding, no home folder, and another working directory."""
    name = "läuft_跳_😀"
    save_scores(tmp_path / name / "test_score.npz", stream(1, names=("s000", "s001")))
    (tmp_path / f"{name}.txt").write_text("s001\n", encoding="utf-8")
    variables = {key: value for key, value in os.environ.items() if key not in ("HOME", "USERPROFILE")}
    for more, status in (([], 0), (["absent_跳"], 1)):
        done = subprocess.run(
            [sys.executable, str(ROOT / "ensemble.py"), name, *more, "--only", f"{name}.txt", "--out", f"{name}.npz"],
            cwd=tmp_path, env={**variables, "PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == status
        assert b"Traceback" not in done.stderr
        shown = (done.stdout + done.stderr).decode("cp1252")
        assert ("läuft_\\u8df3_\\U0001f600.npz" if status == 0 else "absent_\\u8df3: No such file") in shown
    assert load_scores(tmp_path / f"{name}.npz").names == stream(1, names=("s000", "s001")).names


def test_the_script_itself(files: Path) -> None:
    script = [sys.executable, str(ROOT / "ensemble.py")]
    done = subprocess.run([*script, "a.npz", "b.npz"], cwd=files, capture_output=True, text=True, check=True)
    assert "fused" in done.stdout
    assert subprocess.run([*script, "x.npz"], cwd=files, capture_output=True, check=False).returncode == 1
