"""Dropout of whole sequences, and the heads that use it."""

from __future__ import annotations

import pytest
import torch

from reelscribe.decoders.action import ActionHead
from reelscribe.decoders.cells import create_cell
from reelscribe.decoders.dropout import SequenceDropout


def test_the_mask_stays_the_same_over_a_clip() -> None:
    torch.manual_seed(0)
    dropped_BTD = SequenceDropout(0.25)(torch.ones(40, 7, 50))
    assert dropped_BTD.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped_BTD == dropped_BTD[:, :1]).all(), "constant over time"
    assert (dropped_BTD[0, 0] != dropped_BTD[1, 0]).any(), "another one in the next clip"
    assert float((dropped_BTD[:, 0] == 0).float().mean()) == pytest.approx(0.25, abs=0.03)


def test_answers_are_of_the_whole_network() -> None:
    feats_BTD = torch.randn(2, 3, 4)
    assert SequenceDropout(0.5).eval()(feats_BTD) is feats_BTD


def test_an_action_head_drops_its_inputs_by_the_clip() -> None:
    plain = ActionHead(dim=4, classes=2, hidden=3)
    variational = ActionHead(dim=4, classes=2, hidden=3, variational=True)
    assert plain.drop_inputs is plain.dropout
    assert isinstance(variational.drop_inputs, SequenceDropout)
    # One head's weights fit the other: nothing that is learnt is different.
    variational.load_state_dict(plain.state_dict())


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_layers_that_stand_apart_answer_as_torchs_own_stack(name: str) -> None:
    shape = {"dim": 5, "hidden": 4, "layers": 2, "bidirectional": True}
    stack = create_cell(name, **shape, dropout=0.5)  # type: ignore[arg-type]
    apart = create_cell(name, **shape, dropout=0.5, variational=True)  # type: ignore[arg-type]
    torch.manual_seed(0)
    values = {}
    for key, value in stack.state_dict().items():
        values[key] = torch.randn(value.shape)
    stack.load_state_dict(values)
    apart.load_state_dict(
        {
            key if "_l0" in key else key.replace("net.", "above.0.").replace("_l1", "_l0"): value
            for key, value in values.items()
        }
    )
    feats_BTD, lengths_B = torch.randn(3, 6, 5), torch.tensor([6, 2, 4])
    torch.testing.assert_close(
        apart.eval()(feats_BTD, lengths_B), stack.eval()(feats_BTD, lengths_B)
    )


def test_between_layers_a_clip_has_one_mask() -> None:
    """The second layer's inputs are watched: what is dropped is dropped in all frames."""
    cell = create_cell("lstm", dim=5, hidden=8, layers=2, dropout=0.5, variational=True)
    masks = []
    cell.between.register_forward_hook(  # type: ignore[union-attr]
        lambda module, inputs, output: masks.append(output == 0)
    )
    torch.manual_seed(0)
    cell.train()(torch.randn(4, 6, 5), torch.full((4,), 6))
    (mask_BTH,) = masks
    assert mask_BTH.any()
    assert not mask_BTH.all()
    assert (mask_BTH == mask_BTH[:, :1]).all()
