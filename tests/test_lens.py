"""The lens: gates against torch's own networks, answers, attention and gradients by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import torch
from torch import nn

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.cells import Recurrent, create_cell
from reelscribe.decoders.lens import arriving, attention, input_gradients, reach, trace
from reelscribe.decoders.scaling import Standardise

Reelscribe = Callable[..., CompletedProcess[str]]
T, D, H, K = 9, 5, 4, 3


def recurrent(name: str, *, layers: int = 1, bidirectional: bool = False) -> Recurrent:
    torch.manual_seed(1)
    cell = create_cell(name, dim=D, hidden=H, layers=layers, bidirectional=bidirectional).eval()
    assert isinstance(cell, Recurrent)
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.8)  # Biases too, and gates that open and shut.
    return cell


def numbers(cell: Recurrent, name: str) -> torch.Tensor:
    """The values of one of torch's parameters, to be written to."""
    return dict(cell.net.named_parameters())[name].data


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_several_clips_at_once_are_traced_as_each_by_itself(name: str) -> None:
    cell = recurrent(name, layers=2, bidirectional=True)
    feats_TBD = torch.randn(T, 3, D)
    for n in range(3):
        for one, alone in zip(trace(cell, feats_TBD), trace(cell, feats_TBD[:, n]), strict=True):
            torch.testing.assert_close(one.state_TH[:, n], alone.state_TH)
            for gate, values_TH in alone.gates.items():
                torch.testing.assert_close(one.gates[gate][:, n], values_TH)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_the_gates_reproduce_torchs_output(name: str, layers: int, bidirectional: bool) -> None:
    cell = recurrent(name, layers=layers, bidirectional=bidirectional)
    feats_TD = torch.randn(T, D)
    theirs_TH = cell(feats_TD[None], torch.tensor([T]))[0]
    traces = trace(cell, feats_TD)
    assert len(traces) == layers * (1 + bidirectional)
    last = [one for one in traces if one.layer == layers - 1]
    ours_TH = torch.cat([one.state_TH for one in last], dim=1)
    torch.testing.assert_close(ours_TH, theirs_TH, atol=1e-5, rtol=0)
    for one in traces:
        assert (
            set(one.gates)
            == {
                "rnn": set(),
                "gru": {"reset", "update"},
                "lstm": {"input", "forget", "output"},
            }[name]
        )
        assert all(((gate > 0) & (gate < 1)).all() for gate in one.gates.values())


def test_the_cell_state_is_torchs() -> None:
    cell = recurrent("lstm")
    feats_TD = torch.randn(T, D)
    (one,) = trace(cell, feats_TD)
    assert one.cell_TH is not None
    for t in range(T):
        _, (_, memory) = cell.net(feats_TD[None, : t + 1])
        torch.testing.assert_close(one.cell_TH[t], memory[0, 0], atol=1e-5, rtol=0)


def test_an_open_forget_gate_keeps_and_a_shut_one_forgets() -> None:
    cell = recurrent("lstm")
    for parameter in cell.parameters():
        nn.init.zeros_(parameter)
    bias = numbers(cell, "bias_ih_l0")  # input, forget, candidate, output
    bias[H : 2 * H] = 20.0
    bias[2 * H : 3 * H] = 20.0
    (one,) = trace(cell, torch.zeros(4, D))
    assert one.cell_TH is not None
    # Every step adds 0.5 (the input gate) of tanh(20) = 1, and nothing is forgotten.
    torch.testing.assert_close(one.cell_TH[:, 0], torch.tensor([0.5, 1.0, 1.5, 2.0]))
    bias[H : 2 * H] = -20.0
    (one,) = trace(cell, torch.zeros(4, D))
    assert one.cell_TH is not None
    torch.testing.assert_close(one.cell_TH[:, 0], torch.full((4,), 0.5))


def test_features_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected features \(T, 5\), got \(3, 7\)"):
        trace(recurrent("gru"), torch.zeros(3, 7))


def head(cell: str = "lstm", pool: str = "attention") -> ActionHead:
    torch.manual_seed(2)
    return ActionHead(dim=D, classes=K, cell=cell, hidden=H, pool=pool).eval()


def test_the_last_answer_is_the_answer() -> None:
    feats_TD = torch.randn(T, D)
    made = head()
    answers_TK = arriving(made, feats_TD)
    assert answers_TK.shape == (T, K)
    torch.testing.assert_close(answers_TK.sum(1), torch.ones(T))
    for t in (0, 4, T - 1):
        alone_BK = made(feats_TD[None, : t + 1], torch.tensor([t + 1])).softmax(1)
        torch.testing.assert_close(answers_TK[t], alone_BK[0], atol=1e-6, rtol=0)


def test_a_long_clip_is_asked_about_a_few_prefixes_at_a_time() -> None:
    """All at once, a clip of T frames would take T times its memory: 46 GB for 3,000 frames."""
    made, feats_TD, asked = head(), torch.randn(70, D), []
    made.register_forward_pre_hook(lambda _, given: asked.append(tuple(given[0].shape)))
    assert arriving(made, feats_TD).shape == (70, K)
    assert asked == [(32, 32, D), (32, 64, D), (6, 70, D)]


def test_attention_is_what_the_pool_weighs_by() -> None:
    feats_TD = torch.randn(T, D)
    weights_T = attention(head(), feats_TD)
    assert weights_T is not None
    assert float(weights_T.sum()) == pytest.approx(1.0)
    assert attention(head(pool="mean"), feats_TD) is None


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm", "transformer", "none"])
def test_gradients_are_those_of_finite_differences(cell: str) -> None:
    made = head(cell).double()
    made.norm = Standardise(D).double()
    feats_TD = torch.randn(T, D, dtype=torch.float64)
    lengths_B = torch.tensor([T])

    @torch.no_grad()
    def loss(x: torch.Tensor) -> float:
        return float(nn.functional.cross_entropy(made(x[None], lengths_B), torch.tensor([1])))

    found_T = input_gradients(made, feats_TD, 1)
    for t in (0, 5):
        slope = []
        for d in range(D):
            up, down = feats_TD.clone(), feats_TD.clone()
            up[t, d] += 1e-5
            down[t, d] -= 1e-5
            slope.append((loss(up) - loss(down)) / 2e-5)
        assert float(found_T[t]) == pytest.approx(sum(s * s for s in slope) ** 0.5, rel=1e-4)


def test_what_an_rnn_forgets_a_remembering_lstm_keeps() -> None:
    """Vanishing gradients, by hand: an rnn of gain 0.5 halves them each step."""
    rnn = recurrent("rnn")
    for parameter in rnn.parameters():
        nn.init.zeros_(parameter)
    numbers(rnn, "weight_ih_l0")[0, 0] = 1.0
    numbers(rnn, "weight_hh_l0")[0, 0] = 0.5
    far_T = reach(rnn, torch.zeros(T, D))
    torch.testing.assert_close(far_T, 0.5 ** torch.arange(T - 1, -1, -1).float())
    lstm = recurrent("lstm")
    for parameter in lstm.parameters():
        nn.init.zeros_(parameter)
    numbers(lstm, "bias_ih_l0")[H : 2 * H] = 20.0
    numbers(lstm, "weight_ih_l0")[2 * H, 0] = 1.0
    kept_T = reach(lstm, torch.zeros(T, D))
    torch.testing.assert_close(kept_T, torch.full((T,), 0.25))  # Input and output gate: 0.5 each.


def ready(tmp_path: Path, reelscribe: Reelscribe) -> None:
    """Features in two classes, and a comparison of two cells on them."""
    rng = np.random.default_rng(0)
    for label in ("down", "up now"):
        (tmp_path / "in" / label).mkdir(parents=True)
        for n in range(8):
            np.save(tmp_path / "in" / label / f"{n}.npy", rng.normal(size=(6, 4)))
    (tmp_path / "a.yaml").write_text(
        "data: {dataset: folder}\nencoder: {precomputed: in}\noutput: run\n"
        "head: {task: action, hidden: 4}\ntraining: {epochs: 2}\n"
    )
    made = reelscribe("compare", "a.yaml", "--cells", "rnn,lstm", "--local")
    assert made.returncode == 0, made.stderr


def test_the_command_writes_all_of_it(tmp_path: Path, reelscribe: Reelscribe) -> None:
    ready(tmp_path, reelscribe)
    runs = ["run/compare/lstm-0", "--beside", "run/compare/rnn-0"]
    ended = reelscribe("lens", *runs, "in/up now/3.npy", "in/down/0.npy", "--local")
    assert ended.returncode == 0, ended.stderr
    one, other = json.loads((tmp_path / "lens" / "lens.json").read_text())["clips"]
    assert one["path"] == "in/up now/3"
    assert [(layer["backwards"], set(layer["gates"])) for layer in one["layers"]] == [
        (False, {"input", "forget", "output"}),
        (True, {"input", "forget", "output"}),
    ]
    assert set(one["gradients"]) == set(one["reach"]) == {"lstm", "rnn (rnn-0)"}
    assert [len(one[key]) for key in ("times", "attention")] == [6, 6]
    assert sum(one["attention"]) == pytest.approx(1, abs=1e-5)
    assert set(other["answers"]) == {"down", "up now"}
    page = (tmp_path / "lens" / "report" / "index.html").read_text()
    assert page.count('class="plot"') == 2 * 8
    asked = reelscribe("lens", *runs, "in/down/0.npy", "--label", "up now", "--json", "--local")
    assert json.loads(asked.stdout)[0]["label"] == "up now"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["in/down/0.npy", "--label", "up"], "no label 'up'; there are: down, up now"),
        (["in/down/77.npy"], "no clip could be looked at: no features named '77' in in"),
        (["in/down/0.npy", "--beside", "run"], "run holds no trained model"),
    ],
)
def test_what_cannot_be_looked_at_is_one_line(
    tmp_path: Path, reelscribe: Reelscribe, arguments: list[str], says: str
) -> None:
    ready(tmp_path, reelscribe)
    ended = reelscribe("lens", "run/compare/lstm-0", *arguments, "--local")
    assert ended.returncode == 2
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
