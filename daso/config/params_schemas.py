"""Schemas of the files of params/."""

from typing import Annotated, Any, Literal, NotRequired, TypedDict, get_args

from daso.constraints import EPOCHS, Ascending, Interval, Length, Pattern, Unique
from daso.data.dataset_schemas import (
    ClassOrder,
    Fit,
    ImageCounts,
    ImageSize,
    NumClasses,
    Seed,
    Setting,
    Source,
    Splits,
    Subsets,
)
from daso.schema import (
    OTHER_KEYS_ALLOWED,
    NonNegative,
    NonNegativeInt,
    NonNegativeSteps,
    Positive,
    PositiveInt,
    PositiveShare,
    PositiveShareBelowOne,
    Probability,
    ShareBelowOne,
    Steps,
)

Names = Annotated[list[str], Length(1), Unique()]
SuperClasses = Annotated[dict[str, Names], Length(2)]  # name -> names of its classes
Channels = Annotated[list[float], Length(3, 3)]
Changes = dict[str, Any]  # component.option -> value
Count = Annotated[int, Interval(ge=1, le=10**9)]
RunId = Annotated[str, Pattern(r"\w[\w.-]*(/\w[\w.-]*)*")]  # a relative path without `..`
# Operations of `augment.randaugment`, which params/ must not import.
ColorOpName = Literal[
    "autocontrast", "brightness", "color", "contrast", "equalize", "identity", "posterize", "sharpness", "solarize"
]
GeometricOpName = Literal["rotate", "shear_x", "shear_y", "translate_x", "translate_y"]
OpName = Literal[ColorOpName, GeometricOpName]
RANDAUGMENT = sorted(get_args(OpName))  # `ops: randaugment`, the operations of Sohn et al. 2020


class Component(TypedDict):
    """A learner, add-on, plan or network; its other keys are its options."""

    name: str


ComponentWithOptions = Annotated[Component, OTHER_KEYS_ALLOWED]


class Crop(TypedDict):
    """Random resized crop: side of the views, share of the image's area, width over height."""

    size: Annotated[int, Interval(ge=4)]
    scale: Annotated[list[PositiveShare], Length(2, 2)]
    ratio: Annotated[list[Positive], Length(2, 2)]


class Augment(TypedDict):
    """Augmentation of a dataset's images, with either `pad` or `crop`."""

    flip: bool
    pad: NotRequired[NonNegativeInt]
    crop: NotRequired[Crop]
    test: NotRequired[Literal["crop", "resize"]]  # with `crop` alone; crop by default
    cutout: NonNegativeInt
    resize: NotRequired[Annotated[int, Interval(ge=4)]]  # with `pad` alone
    num_ops: NonNegativeInt
    op_probability: Probability
    ops: Literal["randaugment"] | Annotated[list[OpName], Unique()]


class Images(TypedDict):
    """Properties of a dataset that a run uses."""

    num_classes: NumClasses
    image_size: ImageSize
    augment: Augment
    groups: NotRequired[Literal["thirds"]]  # classes in many, medium and few; by default 30, 40 and 30 %


class Dataset(Images):
    """File of params/datasets."""

    title: str
    source: Source
    mean: NotRequired[Channels]  # with `std`; the weights of a pretrained network have their own
    std: NotRequired[Channels]
    redistribute: NotRequired[bool]  # true by default; if false, images stay on this machine
    images: NotRequired[ImageCounts]
    subsets: NotRequired[Subsets]
    fit: NotRequired[Fit]
    test_share: NotRequired[PositiveShareBelowOne]  # of the labeled images of each class, held out by each split
    download_bytes: NotRequired[PositiveInt]
    holdout: NonNegativeInt
    class_order: ClassOrder
    super_classes: NotRequired[SuperClasses]
    settings: Annotated[dict[str, Setting], Length(1)]


class DatasetVariant(TypedDict):
    """File of params/datasets that has the images and the augmentation of another dataset."""

    title: str
    of: str
    holdout: NonNegativeInt
    class_order: ClassOrder
    settings: Annotated[dict[str, Setting], Length(1)]


class Schedule(TypedDict):
    """Learning rate over time and by layer, and weight decay."""

    lr: Positive
    weight_decay: NonNegative
    decay_biases: NotRequired[bool]  # true by default; if false, biases and normalisation layers have no weight decay
    warmup: NonNegativeSteps
    staircase: NotRequired[Steps]  # steps of a level of the warm-up; without it the warm-up is linear
    milestones: Annotated[list[NonNegativeSteps], Unique()]
    factor: Positive
    anneal: NotRequired[Literal["constant", "cosine", "half_cosine"]]  # constant by default
    classifier_rate: NotRequired[Positive]  # factor of the rate of the classifier and all other heads
    layer_decay: NotRequired[PositiveShare]  # factor from a group of layers to the one before; 1 by default
    state_decay: NotRequired[NonNegative]  # of the student's state after each step, times the rate; 0 by default


class SGDOptions(Schedule):
    """SGD and its learning rate."""

    algorithm: NotRequired[Literal["sgd"]]
    momentum: ShareBelowOne
    nesterov: bool


class AdamOptions(Schedule):
    """Adam or AdamW and its learning rate."""

    algorithm: Literal["adam", "adamw"]
    betas: Annotated[list[ShareBelowOne], Length(2, 2)]
    eps: Positive


OptimizerOptions = SGDOptions | AdamOptions


class Teacher(TypedDict):
    """The EMA model."""

    decay: ShareBelowOne
    bn: Literal["authors", "pure_average"]


class Evaluation(TypedDict):
    """Evaluations during training."""

    every: Steps
    median_of: PositiveInt
    model: NotRequired[Literal["ema"]]  # of every method; by default each method's own
    predictions: NotRequired[bool]  # false by default; if true, those of each test and unlabeled image are kept


class Training(TypedDict):
    """Properties of a protocol that a run uses."""

    steps: Annotated[Count, EPOCHS]
    batch_size: Count
    precision: Literal["fp32", "bf16", "auto"]
    network: ComponentWithOptions
    classifier_init: NotRequired[Literal["xavier_normal", "zeros", "torch"]]
    images_per_group: NotRequired[Count]  # in a forward pass in training mode; all images by default
    teacher: Teacher
    evaluation: Evaluation
    checkpoint_every: Steps


class FitGrid(TypedDict):
    """Values among which out-of-fold predictions of the labeled images choose, for a classifier on features."""

    weight_decay: Annotated[list[NonNegative], Length(1), Ascending()]
    tau: Annotated[list[Positive], Length(1), Ascending()]  # of logit adjustment
    folds: Annotated[int, Interval(ge=2)]
    least_labels: PositiveInt  # with fewer labels, weight decay and tau keep their defaults


Statistic = Literal["median", "mean", "last"]  # of the test accuracies of a run's last evaluations
PrintedMeasure = Literal[Statistic, "geometric_mean"]  # geometric mean of the recalls


class Protocol(Training):
    """File of params/protocols."""

    title: str
    comparable: bool
    note: NotRequired[str]
    statistic: NotRequired[Statistic]  # median by default
    splits: NotRequired[dict[str, Splits]]  # of the published numbers, by dataset; others are drawn by the seed
    published: NotRequired[Names]  # sources in reports/paper/sources.csv with this protocol; Oh et al. 2022 by default
    unlabeled_ratio: NotRequired[PositiveInt]
    optimizer: OptimizerOptions
    fit: NotRequired[FitGrid]
    where: NotRequired[dict[str, Changes]]  # pattern of <dataset>/<setting> -> unlabeled_ratio, optimizer.option
    overrides: NotRequired[Changes]


class PaperMethod(TypedDict):
    """Names of a method in the paper's tables."""

    base: str
    addons: str
    also: NotRequired[Names]


class Method(TypedDict):
    """File of params/methods. The options of its optimizer and in `where` are checked as changes are."""

    title: str
    paper: NotRequired[PaperMethod]
    unlabeled_ratio: NonNegativeInt
    learner: ComponentWithOptions
    addons: NotRequired[list[ComponentWithOptions]]
    plan: NotRequired[ComponentWithOptions]
    optimizer: NotRequired[Changes]
    where: NotRequired[dict[str, Changes]]


class Ablation(TypedDict):
    """File of params/methods that changes some options of a complete method."""

    title: str
    paper: NotRequired[PaperMethod]
    of: str
    change: Annotated[Changes, Length(1)]


class PaperTable(TypedDict):
    """Table of Oh et al. 2022 that is printed beside ours, and names of methods in this table alone."""

    table: Literal[1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 17]
    addons: NotRequired[dict[str, str]]


class SuiteTable(TypedDict):
    """Table of a suite: methods by settings."""

    name: str
    title: str
    paper: NotRequired[PaperTable]
    dataset: str
    settings: Names
    methods: Names  # an entry with `*` is a pattern, which `read_params` expands
    protocol: NotRequired[str]  # by default the suite's
    controls: NotRequired[Annotated[dict[str, str], Length(1)]]  # method with unlabeled images -> the same without them
    metrics: NotRequired[Annotated[list[PrintedMeasure], Length(1), Unique()]]  # by default the protocol's statistic


Analysis = Literal["confusion", "groups", "histogram", "motivation", "precision_recall", "similarity", "tsne"]


class Suite(TypedDict):
    """File of params/suites."""

    title: str
    note: NotRequired[str]
    protocol: str
    seeds: Annotated[list[Seed], Length(1), Unique()]
    analyses: NotRequired[Annotated[list[Analysis], Length(1), Unique()]]
    omit: NotRequired[Names]  # methods that no pattern selects
    tables: Annotated[list[SuiteTable], Length(1)]


class Pipeline(TypedDict):
    """params/pipeline.yaml: the suite that is built by default."""

    suite: str


SCHEMAS = {"dataset": Dataset, "protocol": Protocol, "method": Method | Ablation, "suite": Suite, "pipeline": Pipeline}
