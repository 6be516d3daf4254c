"""Schemas of resolved configurations of runs and fits, which repeat parts of the files of params/."""

from typing import Literal, NotRequired, TypedDict

from daso.config.params_schemas import (
    Channels,
    Component,
    FitGrid,
    Images,
    OptimizerOptions,
    RunId,
    SuperClasses,
    Training,
)
from daso.data.dataset_schemas import ExpandedConfig, HeldOutConfig, UpstreamKey
from daso.schema import NonNegativeInt


class RunImages(Images):
    """Dataset of a run."""

    name: str
    mean: NotRequired[Channels]  # with `std`; not for networks whose weights state it
    std: NotRequired[Channels]
    super_classes: NotRequired[SuperClasses]  # if a component of the method reads them


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


class FittedConfig(TypedDict):
    """Fit of a split, and the options that receive its values, "component.option" by value."""

    key: str
    into: dict[Literal["weight_decay", "tau"], str]


class RunPlan(TypedDict):
    """Results of upstream runs that a run loads, features of its images, and the fit of its split."""

    features: NotRequired[FeaturesConfig]
    fit: NotRequired[FittedConfig]
    split: NotRequired[HeldOutConfig | ExpandedConfig]
    encoder: NotRequired[UpstreamKey]
    network: NotRequired[UpstreamKey]
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
    optimizer: OptimizerOptions
    plan: RunPlan


class FitConfig(RunConfig):
    """Configuration of the fit of a split: that of the run whose recipe is fitted, and the grid."""

    fit: FitGrid
