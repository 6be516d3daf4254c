"""A run that is resumed from its checkpoint equals the whole run."""

import torch


def assert_resumed_equals_whole(make, checkpoint):
    """Compare six steps with three steps, a checkpoint, and three steps of a new run with other initial weights.

    `make` returns a new trainer of the run, `checkpoint` is the path to write.
    """
    whole, first, second = make(), make(), make()
    whole.advance(6)
    first.advance(3)
    first.save(checkpoint)
    with torch.no_grad():
        second.models.student.classifier.weight.normal_()
    second.restore(checkpoint)
    assert second.t == 3
    second.advance(6)
    one, two = whole.written_tensors(), second.written_tensors()
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    for module in ("student", "teacher", "learner"):
        one, two = whole.state()[module], second.state()[module]
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one), module
    assert whole.evaluate() == second.evaluate()
