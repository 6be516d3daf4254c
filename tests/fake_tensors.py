"""Training steps with fake tensors, which have shapes and no values: any `.item()` is an error."""

from contextlib import contextmanager

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._pytree import tree_map


@contextmanager
def faked(run):
    """Make the state of a run fake; yield a function that returns the batch of its next step."""
    chunk = next(run.loader.chunks(0, 3))
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:

        def fake(leaf):
            return mode.from_tensor(leaf) if isinstance(leaf, torch.Tensor) else leaf

        for module in run.learner.modules():
            for name, buffer in module.named_buffers(recurse=False):
                module._buffers[name] = fake(buffer)
        for owner in (run, run.monitor, run.loader.inputs.normalize):
            vars(owner).update({name: fake(value) for name, value in vars(owner).items()})
        yield lambda: run.loader.batch(tree_map(fake, chunk), fake(run.runner.step_index))
