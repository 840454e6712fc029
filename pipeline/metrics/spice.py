"""SPICE 1.0, where the two jars that it needs and nobody ships are given.

Reads the jars that pycocoevalcap ships and, in a folder of the user's, Stanford CoreNLP 3.6.0 and
its models; writes its question and reads its answer in a temporary folder. Anderson et al. 2016,
https://arxiv.org/abs/1607.08822. One Java start a call, without SPICE's cache on the disk.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from reelscribe.pipeline.metrics.java import TIME_LIMIT, JavaError, jar, java
from reelscribe.pipeline.metrics.summands import Statistics, of_mean

NEEDED = ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar")
"""What the folder has to hold."""


def spice_statistics(
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    folder: Path,
    *,
    limit: float = TIME_LIMIT,
) -> Statistics:
    """Score tokenised captions, one a video, against the references of each video.

    Raises:
        JavaError: a jar is missing, SPICE failed or took too long, or gave a video no score.
    """
    lacking = [name for name in NEEDED if not (folder / name).is_file()]
    if lacking:
        raise JavaError(f"{folder} lacks {' and '.join(lacking)}; get Stanford CoreNLP 3.6.0")
    asked = [
        {"image_id": i, "test": text, "refs": list(refs)}
        for i, (text, refs) in enumerate(zip(hypotheses, references, strict=True))
    ]
    with tempfile.TemporaryDirectory() as scratch:
        question, answer = Path(scratch, "question.json"), Path(scratch, "answer.json")
        question.write_text(json.dumps(asked), encoding="utf-8")
        program = Path(jar("pycocoevalcap.spice.spice", "spice-1.0.jar"))
        path = os.pathsep.join([str(program), str(program.parent / "lib" / "*"), str(folder / "*")])
        command = [java(), "-Xmx8G", "-Dfile.encoding=UTF-8", "-cp", path]
        command += ["edu.anu.spice.SpiceScorer", str(question), "-out", str(answer)]
        _run([*command, "-subset", "-silent"], limit)
        if not answer.is_file():
            raise JavaError("SPICE ended without an answer")
        found = {
            row["image_id"]: row["scores"]["All"]["f"] for row in json.loads(answer.read_text())
        }
    scores = [found.get(i) for i in range(len(asked))]
    silent = sum(score is None for score in scores)
    if silent:
        raise JavaError(f"SPICE gave no score to {silent} of {len(scores)} videos")
    return of_mean("SPICE", np.array(scores, dtype=np.float64))


def _run(command: Sequence[str], limit: float) -> None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        raise JavaError(f"SPICE took more than {limit:g} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        # Of a Java trace the first line says what happened.
        raise JavaError(
            f"SPICE failed (exit code {done.returncode}): {said[0] if said else 'it said nothing'}"
        )
