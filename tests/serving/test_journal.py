"""The journal: what was appended completely is read again, and nothing else."""

from pathlib import Path

import numpy as np

from champion.serving.journal import Journal

ABOUT = {"input": "a", "model": "b"}
BATCHES = [np.array([0.1, 0.2]), np.array([]), np.array([0.3, 0.4, 0.5])]


def contents(journal: Journal) -> list[list[float]]:
    found = []
    while (scores := journal.read()) is not None:
        found.append(scores.tolist())
    return found


def test_a_journal_that_was_cut_anywhere_goes_on_after_its_last_complete_batch(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    ends = []
    with Journal.open(path, ABOUT) as journal:
        for scores in BATCHES:
            ends.append(path.stat().st_size)
            journal.append(scores)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        # A batch is complete if the next one begins before the cut.
        complete = [
            scores.tolist() for scores, end in zip(BATCHES, [*ends[1:], len(whole)], strict=True) if end <= length
        ]
        with Journal.open(path, ABOUT) as journal:
            assert contents(journal) == complete
            assert journal.rows == sum(map(len, complete))
            journal.append(np.array([0.9]))
        with Journal.open(path, ABOUT) as journal:
            assert contents(journal) == [*complete, [0.9]]


def test_a_journal_about_something_else_is_emptied(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal.open(path, ABOUT) as journal:
        assert not journal.discarded
        journal.append(BATCHES[0])
    with Journal.open(path, ABOUT | {"model": "c"}) as journal:
        assert journal.discarded
        assert contents(journal) == []
