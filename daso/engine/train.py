"""The loop: batch, step, backward, optimiser, teacher, commit; evaluate, log, checkpoint."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daso.engine import checkpoint
from daso.engine.evaluate import predict
from daso.engine.loader import Loader, Pool, Resident
from daso.engine.monitor import Monitor
from daso.errors import CheckpointError, DivergedError, StoppedError
from daso.methods.base import Learner
from daso.models.network import Models
from daso.models.teacher import follow
from daso.ops.confusion import IntArray, confusion, recall, top1
from daso.ops.schedules import learning_rate, teacher_decay
from daso.records import Batch

Row = dict[str, Any]


class Trainer:
    """One run: everything it needs lies on the device, everything it must not forget is in `state()`."""

    def __init__(
        self, config: Mapping[str, Any], data: Resident, learner: Learner, models: Models, device: torch.device
    ) -> None:
        self.config, self.data, self.learner, self.models = config, data, learner, models
        protocol, self.optim = config["protocol"], config["optimizer"]
        self.steps: int = protocol["steps"]
        self.loader = Loader(data, config, learner.views, device)
        self.optimizer = torch.optim.SGD(
            models.student.parameters(),
            lr=self.optim["lr"],
            momentum=self.optim["momentum"],
            nesterov=self.optim["nesterov"],
            weight_decay=self.optim["weight_decay"],
            fused=True,
        )
        schedule = {name: self.optim[name] for name in ("lr", "warmup", "milestones", "factor")}
        self.rates: list[float] = learning_rate(self.steps, **schedule).tolist()
        self.decays = teacher_decay(self.steps, protocol["teacher"]["decay"]).to(device)
        classes = config["dataset"]["num_classes"]
        self.monitor = Monitor(data.unlabeled.labels, classes)
        counts = torch.bincount(data.labeled.labels, minlength=classes).double()
        self.log_prior = (counts / counts.sum()).log().float().cpu()
        # With anything else the last bits may differ.
        self.made_with = f"torch {torch.__version__} on {device.type}, {torch.get_num_threads()} threads"
        self.t, self.elapsed, self.since, self.history = 0, 0.0, 0.0, list[Row]()

    def step(self, batch: Batch) -> None:
        """One update of the student, then of all that follows it."""
        losses, step = self.learner.step(batch, self.models)
        total = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        for group in self.optimizer.param_groups:
            group["lr"] = self.rates[self.t]
        self.optimizer.step()
        follow(self.models.teacher, self.models.student, self.decays[self.t])
        self.learner.commit(step)
        self.monitor.add(losses, step)
        self.t += 1

    def fit(self, *, scratch: Path, on_step: Callable[[int], None], on_evaluation: Callable[[Row], None]) -> None:
        """Train to the end from wherever this run stands; the resume state goes to `scratch`."""
        protocol = self.config["protocol"]
        self.since = time.monotonic()
        for batch in self.loader.batches(self.t, self.steps):
            self.step(batch)
            if self.t % protocol["evaluation"]["every"] == 0 or self.t == self.steps:
                self.history.append(self.evaluate())
                on_evaluation(self.history[-1])
            if self.t % protocol["checkpoint_every"] == 0 or self.t == self.steps:
                self.save(scratch)
            try:
                on_step(self.t)
            except StoppedError:
                self.save(scratch)
                raise

    def save(self, scratch: Path) -> None:
        """Write the resume state."""
        now = time.monotonic()
        self.elapsed, self.since = self.elapsed + now - self.since, now
        checkpoint.save(scratch, self.state())

    def evaluate(self) -> Row:
        """One row of the history: the window's means, then accuracies on validation and test images.

        Raises DivergedError when a loss is no number any more.
        """
        row: Row = {"step": self.t} | self.monitor.drain()
        for name, value in row.items():
            if name.startswith("loss_") and not math.isfinite(value):
                raise DivergedError(f"{self.config['run']}: {name} is {value} at step {self.t}; lower optimizer.lr")
        if len(self.data.validation.labels):
            row["val_top1"] = top1(self._confusion(self.data.validation, self.predict(self.data.validation)[1]))
        plain, adjusted = self.predict(self.data.test)
        counts = self._confusion(self.data.test, adjusted)
        recalls = recall(counts)
        row["test_top1"] = top1(counts)
        row["test_balanced"] = float(np.nanmean(recalls))
        row["test_top1_la"] = top1(self._confusion(self.data.test, plain - self.log_prior))
        return row | {f"test_recall_{k}": None if np.isnan(value) else float(value) for k, value in enumerate(recalls)}

    def predict(self, pool: Pool) -> tuple[Tensor, Tensor]:
        """Logits (n, K) of the network that answers at test time, plain and adjusted, on the CPU."""
        return predict(self.learner, self.models, pool, self.loader.normalize)

    @staticmethod
    def _confusion(pool: Pool, logits: Tensor) -> IntArray:
        return confusion(pool.labels.cpu().numpy(), logits.argmax(-1).numpy(), logits.shape[1])

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on."""
        return {
            "key": self.config["key"],
            "t": self.t,
            "elapsed": self.elapsed,
            "made_with": self.made_with,
            **self.weights(),
            "optimizer": self.optimizer.state_dict(),
            "monitor": self.monitor.state(),
            "history": self.history,
        }

    def restore(self, path: Path) -> None:
        """Go on from a state that `fit` saved; raises CheckpointError when it is another configuration's."""
        state = checkpoint.load(path, self.config["key"])
        if lacking := self.state().keys() - state.keys():
            raise CheckpointError(
                f"{path}: holds no {', '.join(sorted(lacking))}; only a state in scratch/ can be resumed"
            )
        if state["made_with"] != self.made_with:
            logging.warning("%s: made with %s, goes on with %s", path, state["made_with"], self.made_with)
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.optimizer.load_state_dict(state["optimizer"])
        self.monitor.restore(state["monitor"])
        self.t, self.elapsed, self.history = state["t"], state["elapsed"], state["history"]

    def weights(self) -> dict[str, Any]:
        """Networks and method: enough to predict, not to go on."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def _parts(self) -> dict[str, nn.Module]:
        return {"student": self.models.student, "teacher": self.models.teacher, "learner": self.learner}
