"""Every cell in the table: shapes, padding, order, how it starts, what it refuses."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from reelscribe.decoders import CELLS
from reelscribe.decoders.attention import sinusoids
from reelscribe.decoders.cells import LSTM, Cell, create_cell

DIM, HIDDEN, FRAMES = 6, 8, 5


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small are slower on many threads, and much slower on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make(name: str, *, bidirectional: bool = True, layers: int = 1, dropout: float = 0.0) -> Cell:
    torch.manual_seed(0)
    cell = create_cell(
        name,
        dim=DIM,
        hidden=HIDDEN,
        layers=layers,
        bidirectional=bidirectional,
        dropout=dropout,
    )
    return cell.eval()


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_states_have_out_dim_and_are_zero_beyond_the_length(
    name: str, bidirectional: bool, layers: int
) -> None:
    cell = make(name, bidirectional=bidirectional, layers=layers, dropout=0.3).train()
    states_BTH = cell(torch.randn(3, FRAMES, DIM), torch.tensor([5, 2, 1]))
    assert states_BTH.shape == (3, FRAMES, cell.out_dim)
    assert (states_BTH[1, 2:] == 0).all()
    assert (states_BTH[2, 1:] == 0).all()
    assert (states_BTH[0] != 0).any(dim=1).all()


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("name", CELLS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_alone_and_in_a_batch_are_the_same(
    name: str, bidirectional: bool, data: st.DataObject
) -> None:
    lengths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=5))
    padding = data.draw(st.sampled_from([0.0, 100.0, float("nan"), float("inf")]))
    cell = make(name, bidirectional=bidirectional, layers=2)
    clips = [torch.randn(length, DIM) for length in lengths]
    feats_BTD = torch.full((len(clips), 8, DIM), padding)
    for row, clip_TD in enumerate(clips):
        feats_BTD[row, : len(clip_TD)] = clip_TD
    states_BTH = cell(feats_BTD, torch.tensor(lengths))
    for row, clip_TD in enumerate(clips):
        alone_BTH = cell(clip_TD[None], torch.tensor([len(clip_TD)]))
        torch.testing.assert_close(states_BTH[row, : len(clip_TD)], alone_BTH[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", [name for name in CELLS if name != "none"])
def test_one_direction_does_not_see_what_comes_later(name: str) -> None:
    feats_BTD = torch.randn(1, FRAMES, DIM)
    changed_BTD = feats_BTD.clone()
    changed_BTD[0, 3] += 1.0
    lengths_B = torch.tensor([FRAMES])
    for bidirectional in (False, True):
        cell = make(name, bidirectional=bidirectional)
        before_TH = cell(feats_BTD, lengths_B)[0]
        after_TH = cell(changed_BTD, lengths_B)[0]
        differs_T = (before_TH - after_TH).abs().amax(dim=1) > 1e-5
        assert differs_T.tolist() == [bidirectional] * 3 + [True, True]


def test_none_gives_the_frames_back() -> None:
    feats_BTD = torch.arange(12.0).reshape(1, 2, DIM)
    assert torch.equal(make("none")(feats_BTD, torch.tensor([2])), feats_BTD)
    assert not list(make("none").parameters())


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lstm_starts_with_its_forget_gate_open(bidirectional: bool) -> None:
    """Torch adds two biases a gate; together the forget gate's must be 1, not 2, all others 0."""
    cell = make("lstm", bidirectional=bidirectional, layers=2)
    assert isinstance(cell, LSTM)
    biases = dict(cell.net.named_parameters())
    pairs = [name for name in biases if name.startswith("bias_ih")]
    assert len(pairs) == (4 if bidirectional else 2)
    for name in pairs:
        both = biases[name] + biases[name.replace("ih", "hh")]
        # torch's order: input, forget, cell, output.
        expected = [0.0] * HIDDEN + [1.0] * HIDDEN + [0.0] * 2 * HIDDEN
        assert both.tolist() == expected


def test_one_step_of_the_lstm_by_hand() -> None:
    """Weights zero, so i = o = 1/2, f = sigmoid(1), g = tanh(1): c = f c + i g, h = o tanh(c)."""
    cell = make("lstm", bidirectional=False)
    assert isinstance(cell, LSTM)
    with torch.no_grad():
        for name, parameter in cell.net.named_parameters():
            if name.startswith("weight"):
                parameter.zero_()
        dict(cell.net.named_parameters())["bias_ih_l0"][2 * HIDDEN : 3 * HIDDEN] = 1.0
    states_BTH = cell(torch.randn(1, 2, DIM), torch.tensor([2]))
    one = 0.5 * torch.tensor(1.0).tanh()
    two = torch.tensor(1.0).sigmoid() * one + one
    expected_TH = (0.5 * torch.stack((one, two)).tanh())[:, None].expand(2, HIDDEN)
    torch.testing.assert_close(states_BTH[0], expected_TH)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_recurrent_weights_start_orthogonal_gate_by_gate(name: str) -> None:
    weights = dict(make(name).named_parameters())["net.weight_hh_l0_reverse"]
    for gate in torch.split(weights, HIDDEN):
        torch.testing.assert_close(gate @ gate.T, torch.eye(HIDDEN))


def test_positions_are_sines_and_cosines() -> None:
    positions_TH = sinusoids(3, 4)
    assert positions_TH[0].tolist() == [0.0, 0.0, 1.0, 1.0]
    angles = torch.tensor([2.0, 0.02])
    torch.testing.assert_close(positions_TH[2], torch.cat((angles.sin(), angles.cos())))
    assert sinusoids(3, 5).shape == (3, 5)


@pytest.mark.parametrize("name", CELLS)
def test_the_gradient_reaches_each_own_frame_and_no_padding(name: str) -> None:
    cell = make(name)
    feats_BTD = torch.randn(2, FRAMES, DIM, requires_grad=True)
    # Of a norm's outputs the plain sum is constant, so a weighted one.
    states_BTH = cell(feats_BTD, torch.tensor([5, 3]))
    (states_BTH * torch.randn_like(states_BTH)).sum().backward()
    assert feats_BTD.grad is not None
    touched_BT = (feats_BTD.grad != 0).any(dim=2)
    assert touched_BT.tolist() == [[True] * 5, [True] * 3 + [False] * 2]
    for parameter_name, parameter in cell.named_parameters():
        assert parameter.grad is not None, parameter_name


@pytest.mark.parametrize("name", CELLS)
def test_state_is_parameters_alone_and_travels(name: str) -> None:
    cell = make(name)
    feats_BTD, lengths_B = torch.randn(2, FRAMES, DIM), torch.tensor([5, 2])
    keys = set(cell.state_dict())
    before_BTH = cell(feats_BTD, lengths_B)
    assert set(cell.state_dict()) == keys == {key for key, _ in cell.named_parameters()}
    for other in (pickle.loads(pickle.dumps(cell)), copy.deepcopy(cell)):
        assert torch.equal(other(feats_BTD, lengths_B), before_BTH)


@pytest.mark.parametrize(
    ("feats_BTD", "lengths_B", "message"),
    [
        (torch.zeros(2, 5, DIM), torch.tensor([5, 0]), r"1 to 5 frames, got lengths \[5, 0\]"),
        (torch.zeros(2, 5, DIM), torch.tensor([6, 1]), r"1 to 5 frames, got lengths \[6, 1\]"),
        (torch.zeros(2, 5, DIM), torch.tensor([5]), r"2 whole numbers of frames.*\(1,\)"),
        (torch.zeros(2, 5, DIM), torch.tensor([5.0, 2.0]), "whole numbers.*float32"),
        (torch.zeros(2, 5, 7), torch.tensor([5, 2]), r"\(clips, frames, 6\), got \(2, 5, 7\)"),
        (torch.zeros(5, DIM), torch.tensor([5]), r"\(clips, frames, 6\), got \(5, 6\)"),
    ],
)
@pytest.mark.parametrize("name", CELLS)
def test_refuses_what_does_not_fit(
    name: str, feats_BTD: torch.Tensor, lengths_B: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        make(name)(feats_BTD, lengths_B)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"dim": 0}, "dim must be at least 1, got 0"),
        ({"hidden": 0}, "hidden must be at least 1, got 0"),
        ({"layers": 0}, "layers must be at least 1, got 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, got 1.0"),
        ({"dropout": -0.1}, "dropout must be at least 0 and below 1, got -0.1"),
    ],
)
@pytest.mark.parametrize("name", CELLS)
def test_refuses_sizes_without_sense(name: str, setting: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_cell(name, **{"dim": DIM, "hidden": HIDDEN, **setting})  # type: ignore[arg-type]


def test_an_unknown_cell_is_told_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no cell 'lsmt'; there are: lstm.*mean 'lstm'\?$"):
        create_cell("lsmt", dim=DIM, hidden=HIDDEN)
