"""Schema of a resolved configuration of a run, which repeats parts of the files of params/."""

from typing import NotRequired, TypedDict

from daso.config.params_schemas import Channels, Component, Images, Optimizer, RunId, Training
from daso.data.dataset_schemas import ExpandedConfig, HeldOutConfig, UpstreamKey
from daso.schema import NonNegativeInt


class RunImages(Images):
    """Dataset of a run."""

    name: str
    mean: NotRequired[Channels]  # with `std`; not for networks whose weights state it
    std: NotRequired[Channels]


class RunTraining(Training):
    """Protocol of a run."""

    name: str


class RunMethod(TypedDict):
    """Method of a run, with all options set."""

    name: str
    unlabeled_ratio: NonNegativeInt
    learner: Component
    addons: list[Component]


class EstimateConfig(UpstreamKey):
    """Class sizes that an upstream run estimates, and the option that receives them."""

    into: str


class FeaturesConfig(TypedDict):
    """Features of the images, on which a run trains."""

    key: str


class RunPlan(TypedDict):
    """Results of upstream runs that a run loads, and features of its images."""

    features: NotRequired[FeaturesConfig]
    split: NotRequired[HeldOutConfig | ExpandedConfig]
    encoder: NotRequired[UpstreamKey]
    estimate: NotRequired[EstimateConfig]


class RunConfig(TypedDict):
    """Resolved configuration of a run."""

    run: RunId
    key: RunId
    seed: NonNegativeInt
    draw_seed: NonNegativeInt
    split_config_sha256: str
    setting: Component
    dataset: RunImages
    protocol: RunTraining
    method: RunMethod
    optimizer: Optimizer
    plan: RunPlan
