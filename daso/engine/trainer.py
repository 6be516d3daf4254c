"""Training loop, Trainer.fit -> StepRunner.run_step -> Trainer.training_step, with evaluations and checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from daso.aliases import IntArray
from daso.engine import checkpoint
from daso.engine.compiled import Compiled
from daso.engine.environment import cudnn_choice, numerics_fingerprint
from daso.engine.evaluate import embed, predict
from daso.engine.loader import Loader
from daso.engine.monitor import Monitor
from daso.engine.optimizer import StateDecay, make_optimizer, rate_table
from daso.engine.resident import Pool, Resident
from daso.engine.step_runner import StepRunner
from daso.engine.stopwatch import RunTime, Stopwatch
from daso.errors import CheckpointError, DivergedError, StoppedError
from daso.methods.base import Learner
from daso.models.network import Models
from daso.models.teacher import MovingAverage
from daso.ops.confusion import confusion, recall, top1
from daso.ops.schedules import at, teacher_decay
from daso.records import Batch

HistoryRow = dict[str, Any]


class Trainer:
    """Training of one run on a device; `state()` returns everything that a checkpoint must hold."""

    def __init__(
        self,
        config: Mapping[str, Any],
        data: Resident,
        learner: Learner,
        models: Models,
        device: torch.device,
        mode: str,
        extra_columns: Sequence[Callable[[Trainer], HistoryRow]] = (),  # further columns of an evaluation
        weights_sha256: str | None = None,  # digest of the file of pretrained weights
        optimizer: Mapping[str, Any] | None = None,  # options in place of the configuration's
    ) -> None:
        self.extra_columns, self.weights_sha256 = extra_columns, weights_sha256
        self.config, self.data, self.learner, self.models, self.requested_mode = config, data, learner, models, mode
        protocol, optim = config["protocol"], optimizer or config["optimizer"]
        self.steps: int = protocol["steps"]
        self.precision = models.student.precision
        self.stopwatch = Stopwatch(device)
        encoder = models.student.encoder
        self.loader = Loader(data, config, learner.views, device, stopwatch=self.stopwatch, encoder=encoder)
        if learner.blank:
            learner.blank_input = self.loader.blank(learner.blank.colour)
        self.rates = rate_table(self.steps, optim).to(device)
        self.decays = teacher_decay(self.steps, protocol["teacher"]["decay"]).to(device)
        self.rate = self.rates[0].clone()
        trainable = {name: weight for name, weight in models.student.named_parameters() if weight.requires_grad}
        self.optimizer = make_optimizer(trainable, self.rate, optim, encoder.layer_groups)
        self.average = MovingAverage(models.teacher, models.student)
        self.state_decay = StateDecay(models.student, optim["state_decay"]) if "state_decay" in optim else None
        classes = config["dataset"]["num_classes"]
        self.monitor = Monitor(data.unlabeled.labels, classes, data.unlabeled.subsets)
        counts = torch.tensor(data.labeled.counts(classes, drawn=True)).double()
        self.log_prior = (counts / counts.sum()).log().float().cpu()
        compiled = Compiled(models, learner) if "compiled" in mode else None
        self.runner = StepRunner(self.training_step, self.written_tensors, self.loader, self.stopwatch, mode, compiled)
        self.cudnn = cudnn_choice(device)  # None on a CPU
        self.t, self.time, self.history = 0, RunTime(), list[HistoryRow]()
        self.replicas = 1  # runs trained together in this process, recorded with the speed

    @property
    def mode(self) -> str:
        """Mode in which steps run: the requested one, or a simpler one after a failed capture or compilation."""
        return self.runner.mode

    @property
    def numerics_fingerprint(self) -> str:
        """Describe the settings that decide the last bits of the results, besides configuration and code."""
        device = self.loader.device
        mode = f"{self.mode}, cuDNN tuned" if self.cudnn == "tuned" else self.mode
        return numerics_fingerprint(device, self.precision, mode)

    def training_step(self, batch: Batch) -> None:
        """Update student, EMA model and the method's state in place, without host-device synchronization."""
        losses, step = self.learner.step(batch, self.models)
        total = torch.stack(list(losses.values())).sum()
        self.stopwatch.lap("forward")
        self.optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        self.stopwatch.lap("backward")
        self.rate.copy_(at(self.rates, batch.t))
        self.optimizer.step()
        self.average.update(at(self.decays, batch.t))
        if self.state_decay:
            self.state_decay.apply(self.rate)
        pseudo_labels = self.learner.pseudo_labels(step)
        self.learner.commit(step)
        self.monitor.add(losses, step, pseudo_labels)
        self.stopwatch.lap("update")

    def advance(self, end: int) -> None:
        """Train up to step `end` without evaluating or saving; on CUDA the last steps may still be running."""
        for _ in self.advance_by_chunks(end):
            pass

    def advance_by_chunks(self, end: int) -> Generator[int, None, None]:
        """Train as `advance` does, and yield the step after each chunk, so that several runs can alternate."""
        self.runner.begin(self.loader.chunks(self.t, end))
        while self.t < end:
            chunk_ended = self.runner.run_step(self.learner.set_phase(self.t))
            self.t += 1
            if chunk_ended:
                yield self.t

    def fit(
        self, *, scratch: Path, on_step: Callable[[int], None], on_evaluation: Callable[[HistoryRow], None]
    ) -> Generator[int, None, None]:
        """Train to the last step, with evaluations and checkpoints; yield the step after each chunk.

        The checkpoint is written to the file `scratch`, also when the run is stopped or the generator is closed.
        """
        protocol = self.config["protocol"]
        self.time.start()
        self.runner.begin(self.loader.chunks(self.t, self.steps))
        try:
            while self.t < self.steps:
                chunk_ended = self.runner.run_step(self.learner.set_phase(self.t))
                self.t += 1
                if self.t % protocol["evaluation"]["every"] == 0 or self.t == self.steps:
                    with self.stopwatch.measure_host("evaluation"):
                        self.history.append(self.evaluate())
                    on_evaluation(self.history[-1])
                if self.t % protocol["checkpoint_every"] == 0 or self.t == self.steps:
                    self.save(scratch)
                on_step(self.t)
                if chunk_ended:
                    yield self.t
        except (StoppedError, GeneratorExit):
            self.save(scratch)
            raise

    def save(self, scratch: Path) -> None:
        """Write the checkpoint atomically."""
        self.time.update()
        checkpoint.save(scratch, self.state())

    def evaluate(self) -> HistoryRow:
        """Return one row of the history: the window's means, then accuracies on validation and test images.

        Raises DivergedError if a loss is not finite.
        """
        row: HistoryRow = {"step": self.t} | self.monitor.drain()
        for name, value in row.items():
            if name.startswith("loss_") and not math.isfinite(value):
                raise DivergedError(f"{self.config['run']}: {name} is {value} at step {self.t}; lower optimizer.lr")
        if len(self.data.validation):
            row["val_top1"] = top1(self._confusion(self.data.validation, self.predict(self.data.validation)[1]))
        unadjusted, adjusted = self.predict(self.data.test)
        counts = self._confusion(self.data.test, adjusted)
        recalls = recall(counts)
        row["test_top1"] = top1(counts)
        row["test_balanced"] = float(np.nanmean(recalls))
        row["test_top1_la"] = top1(self._confusion(self.data.test, unadjusted - self.log_prior))
        for columns in self.extra_columns:
            row |= columns(self)
        return row | {f"test_recall_{k}": None if np.isnan(value) else float(value) for k, value in enumerate(recalls)}

    def predict(self, pool: Pool) -> tuple[Tensor, Tensor]:
        """Return logits (n, K) of the evaluation model, unadjusted and adjusted by the add-ons, on the CPU."""
        return predict(self.learner, self.models, pool, self.loader.prepare_for_evaluation)

    def embed(self, pool: Pool) -> Tensor:
        """Return features (n, D) of the evaluation model, on the CPU."""
        return embed(self.learner, self.models, pool, self.loader.prepare_for_evaluation)

    @staticmethod
    def _confusion(pool: Pool, logits: Tensor) -> IntArray:
        return confusion(pool.labels.cpu().numpy(), logits.argmax(-1).numpy(), logits.shape[1])

    def state(self) -> dict[str, Any]:
        """Return the content of a checkpoint: everything that the rest of the run depends on."""
        return {
            "key": self.config["key"],
            "t": self.t,
            "elapsed": self.time.wall,
            "processor": self.time.processor,
            "stages": self.stopwatch.read(),
            "made_with": self.numerics_fingerprint,
            "mode": {"chosen": self.requested_mode, "ran": self.mode},
            "cudnn": self.cudnn,
            **self.weights(),
            **self.optimizer.state,
            "monitor": self.monitor.state(),
            "record": self.monitor.record(),
            "history": self.history,
        }

    def restore(self, path: Path) -> None:
        """Resume from a checkpoint of `fit`; raises CheckpointError if it belongs to a different configuration."""
        state = checkpoint.load_checkpoint(path, self.config["key"])
        if missing := self.state().keys() - state.keys():
            raise CheckpointError(
                f"{path}: {', '.join(sorted(missing))} missing; resume from a checkpoint in scratch/ instead"
            )
        if state["mode"]["chosen"] == self.requested_mode:  # a mode that has failed is not tried again
            self.runner.switch_mode(state["mode"]["ran"])
        if state["made_with"] != self.numerics_fingerprint:
            logging.warning("%s: made with %s, continued with %s", path, state["made_with"], self.numerics_fingerprint)
        if state["cudnn"] == "tuned" and self.cudnn:  # a run that was tuned in any step is recorded as tuned
            self.cudnn = "tuned"
        if cudnn_choice(self.loader.device) == "tuned":
            logging.warning(
                "%s: cuDNN is tuned again, so the rest of the run may differ in the last bits; resume without tuning",
                path,
            )
        for name, module in self._modules_by_name().items():
            module.load_state_dict(state[name])
        for kind, buffers in self.optimizer.state.items():
            for name, buffer in buffers.items():
                buffer.copy_(state[kind][name])
        self.monitor.restore(state["monitor"], state["record"])
        self.stopwatch.seconds = state["stages"]
        self.t, self.history = state["t"], state["history"]
        self.time = RunTime(state["elapsed"], state["processor"])

    def weights(self) -> dict[str, Any]:
        """Return the state dicts of networks and method: enough to predict, not to resume."""
        return {name: module.state_dict() for name, module in self._modules_by_name().items()}

    def written_tensors(self) -> dict[str, Tensor]:
        """Return every tensor that a step writes, by a unique name."""
        groups = {**self.weights(), **self.optimizer.state, "monitor": self.monitor.state()}
        return {f"{group}.{name}": tensor for group, tensors in groups.items() for name, tensor in tensors.items()}

    def _modules_by_name(self) -> dict[str, nn.Module]:
        return {"student": self.models.student, "teacher": self.models.teacher, "learner": self.learner}
