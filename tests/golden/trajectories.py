"""Take the recorded runs' steps with this project; README.md in this folder defines runs and quantities."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch._dynamo  # noqa: F401  # torch imports it in the first step of any optimizer
from torch import Tensor

from daso.augment.packed import pack
from daso.config.build import build
from daso.config.registry import ADDONS, LEARNERS, NETWORKS, import_component
from daso.engine.resident import Pool, Resident
from daso.engine.trainer import Trainer
from daso.records import Batch, Losses, Step

FOLDER = Path(__file__).parent
RUNS: dict[str, Any] = json.loads((FOLDER / "daso_methods.json").read_text())
INPUTS, RECORD = (dict(np.load(FOLDER / f"daso_{part}.npz", allow_pickle=False)) for part in ("inputs", "goldens"))
K, B, PIXELS = 10, 4, 16  # classes, labeled images of a step, pixels per side
Quantities = dict[str, np.ndarray]


@contextmanager
def float64() -> Iterator[None]:
    """Replace float32 by float64 in all computations of the block.

    A module imported in the block would keep float64 for the rest of the process; the end of the block asserts that no
    module was.
    """
    for registry in (ADDONS, LEARNERS, NETWORKS):
        for component in registry.values():
            import_component(component)
    default, single, to_single = torch.get_default_dtype(), torch.float32, torch.Tensor.float
    before = set(sys.modules)
    torch.set_default_dtype(torch.float64)
    torch.float32, torch.Tensor.float = torch.float64, torch.Tensor.double
    try:
        yield
    finally:
        torch.set_default_dtype(default)
        torch.float32, torch.Tensor.float = single, to_single
    late = [name for name in set(sys.modules) - before if name.split(".")[0] in ("daso", "torch")]
    assert not late, f"imported while float32 was float64: {late}; import it at the top of {__file__}"


class RecordedDraws:
    """Recorded random numbers of one step, in place of `daso.draw.Draw`."""

    def __init__(self, step: int, name: str = "") -> None:
        self.step, self.name = step, name

    def __call__(self, name: str) -> RecordedDraws:
        return RecordedDraws(self.step, f"{self.name}_{name}".lstrip("_"))

    def permutation(self, n: int) -> Tensor:
        return self.recorded(f"{self.name}_permutation_{n}", n)

    def integers(self, high: int, n: int) -> Tensor:
        return self.recorded(f"{self.name}_turns", n)

    def uniform(self, n: int) -> Tensor:
        return self.recorded(f"{self.name}_uniform", n)

    def recorded(self, key: str, n: int) -> Tensor:
        numbers = torch.from_numpy(INPUTS[key][self.step])
        assert numbers.shape == (n,)
        return numbers


def authors_quantities(name: str) -> Quantities:
    """Return the quantities that the authors' code computed in a run."""
    return {key.removeprefix(f"{name}/"): value for key, value in RECORD.items() if key.startswith(f"{name}/")}


def project_quantities(name: str) -> Quantities:
    """Take the steps of a run and return its quantities."""
    with float64():
        run = trainer(name)
        set_initial_state(run)
        return {**take_steps(run, RUNS[name]), **final_quantities(run)}


def trainer(name: str) -> Trainer:
    """Build a run; only the class sizes and the test images of its pools matter."""
    recipe = RUNS[name]
    size = len(enlarge(recipe, torch.empty(1, 3, PIXELS, PIXELS))[0, 0])
    config = {
        "run": name,
        "key": name,
        "dataset": {
            "name": "golden",
            "num_classes": K,
            "image_size": size,
            "mean": [127.5 / 255] * 3,
            "std": [64 / 255] * 3,
            "augment": {"flip": False, "pad": 0, "cutout": 0, "num_ops": 0, "op_probability": 0.0, "ops": []},
        },
        "protocol": {
            "steps": recipe["steps"],
            "batch_size": B,
            "precision": "fp32",
            "network": {"name": "wide_resnet", "depth": 28, "width": 2},
            "teacher": {"decay": 0.999, "bn": "authors"},
            "evaluation": {"every": recipe["steps"], "median_of": 1},
        },
        "method": {part: recipe[part] for part in ("unlabeled_ratio", "learner", "addons")},
        "optimizer": recipe["optimizer"],
        "plan": {},
        "draw_seed": 0,
    }

    def blank(counts: Iterable[int]) -> Pool:
        labels = torch.repeat_interleave(torch.arange(K), torch.tensor([*counts]))
        return Pool(torch.zeros(len(labels), size, size, dtype=torch.int32), labels)

    test = pack(enlarge(recipe, torch.from_numpy(INPUTS["eval_images"])))
    pools = (blank(INPUTS["labeled_counts"]), blank(INPUTS["unlabeled_counts"]), blank([0] * K))
    return build(config, Resident(*pools, Pool(test, torch.zeros(len(test), dtype=torch.long))), torch.device("cpu"))


def enlarge(recipe: dict[str, Any], images: Tensor) -> Tensor:
    """Repeat each pixel of (n, 3, H, W) 2 x 2 for ReMixMatch, whose released code needs at least 32 x 32 pixels."""
    times = 2 if recipe["learner"]["name"] == "remixmatch" else 1
    return images.repeat_interleave(times, -1).repeat_interleave(times, -2)


@torch.no_grad()
def set_initial_state(run: Trainer) -> None:
    """Set both networks to the recorded initial weights, and DARP and mixup to their recorded tables."""
    random = np.random.RandomState(7)
    state = run.models.student.state_dict()
    for name, tensor in state.items():
        if name.startswith("encoder.") and not name.endswith("num_batches_tracked"):
            tensor.copy_(torch.from_numpy(initial_value(name, random.standard_normal(tuple(tensor.shape)))))
        elif not name.startswith("encoder."):
            tensor.copy_(torch.from_numpy(INPUTS[name.removeprefix("heads.").replace(".", "_")]))
    run.models.teacher.load_state_dict(state)
    for addon in run.learner.chain:
        if hasattr(addon, "raw"):
            addon.raw.copy_(torch.from_numpy(INPUTS["darp_table"]))
    if hasattr(run.learner, "mix"):
        run.learner.mix = torch.from_numpy(INPUTS["mixup_weight"])


def initial_value(name: str, normal: np.ndarray) -> np.ndarray:
    """Return the initial value of a tensor of the encoder, from standard normal numbers of its shape."""
    if normal.ndim == 4:
        return normal * np.sqrt(2 / np.prod(normal.shape[1:]))
    if name.endswith("running_var"):
        return 1 + 0.1 * np.abs(normal)
    return 0.1 * normal + name.endswith(".weight")


def take_steps(run: Trainer, recipe: dict[str, Any]) -> Quantities:
    """Take the recorded steps and return the quantities of each step."""
    rows: list[Quantities] = []
    run.monitor.add = lambda losses, step, pseudo_labels: rows.append(step_quantities(run, losses, step))  # type: ignore[method-assign]
    for i in range(recipe["taken"]):
        run.learner.set_phase(recipe["first_step"] + i)
        run.training_step(batch(run, recipe, i))
    return {name: np.stack([row[name] for row in rows]) for name in rows[-1]}


def batch(run: Trainer, recipe: dict[str, Any], i: int) -> Batch:
    """Return the recorded batch of the i-th step."""
    unlabeled = B * recipe["unlabeled_ratio"]

    def view(name: str, n: int) -> Tensor:
        return enlarge(recipe, (torch.from_numpy(INPUTS[name][i, :n]).double() - 127.5) / 64)

    return Batch(
        t=torch.tensor(recipe["first_step"] + i),
        x={name: view(f"x_{name}", B) for name in run.learner.views.x},
        y=torch.from_numpy(INPUTS["y"][i]),
        x_index=torch.from_numpy(INPUTS["x_index"][i]),
        u={name: view(f"u_{name}", unlabeled) for name in run.learner.views.u},
        u_index=torch.from_numpy(INPUTS["u_index"][i, :unlabeled]),
        draw=RecordedDraws(i),  # type: ignore[arg-type]
    )


def step_quantities(run: Trainer, losses: Losses, step: Step) -> Quantities:
    """Return losses, learning rate, gradient norm and pseudo-labels of the last step."""
    named = {name: loss.item() for name, loss in losses.items()}
    if "abc_labeled" in named:  # the record holds the sum of both losses
        named["abc"] = named.pop("abc_labeled") + named.pop("abc_unlabeled")
    gradients = [weight.grad for weight in run.models.student.parameters() if weight.grad is not None]
    row = {f"loss/{name}": np.array(loss) for name, loss in named.items()}
    row["lr"] = np.array(run.rate.item())
    row["grad_norm"] = np.array(torch.stack([gradient.norm() for gradient in gradients]).norm().item())
    if step.targets.numel():
        row["soft"] = step.targets.numpy()
        row["label"] = step.targets.argmax(-1).numpy()
    if step.mask.numel():
        row["mask"] = step.mask.numpy()
    return row


def final_quantities(run: Trainer) -> Quantities:
    """Return networks, momentum and method state after the last step, and the test logits."""
    quantities = {part: summaries(weights(getattr(run.models, part).state_dict())) for part in run.models._fields}
    quantities["momentum"] = summaries(run.optimizer.state["momentum"].values())
    quantities["eval_logits"] = run.predict(run.data.test)[0].numpy()
    for part in (run.learner, *run.learner.chain):
        quantities |= method_state(part)
    return quantities


def weights(state: dict[str, Tensor]) -> list[Tensor]:
    """Return the tensors of a network's state dict without the batch counters."""
    return [tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")]


def summaries(tensors: Iterable[Tensor]) -> np.ndarray:
    """Return sum, L2 norm and sum of v[i] cos(i) of each tensor: (n, 3)."""
    flat = [tensor.detach().reshape(-1) for tensor in tensors]
    return np.array([[v.sum(), v.norm(), (v * torch.arange(len(v)).double().cos()).sum()] for v in flat])


def method_state(part: Any) -> Quantities:
    """Return the state of a learner or an add-on, as far as it is recorded."""
    quantities: Quantities = {}
    if hasattr(part, "queue"):
        quantities["queue_size"] = part.queue.size.numpy()
        quantities["prototypes"] = (part.queue.sums / part.queue.size.clamp(min=1)[:, None]).numpy()
    if hasattr(part, "histogram"):
        quantities |= {"histogram": part.histogram.published.numpy(), "window": part.histogram.counts.numpy()}
    if hasattr(part, "refined"):
        quantities["refined"] = part.refined.numpy()
    if hasattr(part, "recent"):
        quantities["alignment_mean"] = (part.recent.rows.sum(0) / part.recent.seen).numpy()
        quantities["alignment_target"] = part.target.numpy()
    return quantities
