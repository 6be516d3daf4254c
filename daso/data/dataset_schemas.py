"""Schemas of the sources and settings in params/datasets, which the configurations of stores and splits contain."""

from typing import Annotated, Literal, NotRequired, TypedDict

from daso.constraints import Interval, Length, Pattern, Unique
from daso.schema import NonNegativeInt, PositiveInt, PositiveShare, PositiveShareBelowOne, ShareBelowOne

NumClasses = Annotated[int, Interval(ge=2, le=10_000)]
ImageSize = Annotated[int, Interval(ge=4, le=10_000)]
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]
Gamma = Annotated[float, Interval(ge=1)]  # imbalance: images of the first class / images of the last one
ClassOrder = Literal["native", "seed", "size"]
# How an image becomes a square: cut out of the center, padded with grey, or resized without its aspect ratio.
Fit = Literal["crop", "pad", "squash"]
Sha256 = Annotated[str, Pattern("[0-9a-f]{64}", "; copy the 64 digits that sha256sum prints")]
Subsets = dict[str, PositiveInt]  # unlabeled images of each subset, in the order of the store


class Digits(TypedDict):
    """The handwritten digits of scikit-learn."""

    kind: Literal["digits"]


class Archive(TypedDict):
    """A dataset that its authors publish as one archive."""

    kind: Literal["cifar10", "cifar100", "stl10"]
    urls: Annotated[list[str], Length(1)]
    md5: Annotated[str, Pattern("[0-9a-f]{32}", "; copy the 32 digits that md5sum prints")]
    override: NotRequired[str]


class ImageFolder(TypedDict):
    """Images in a folder or zip of one folder for each class."""

    kind: Literal["image_folder"]
    path: Annotated[str, Length(1)]
    override: NotRequired[str]
    skip_unreadable: NotRequired[bool]
    near_copies: NotRequired[PositiveShare]  # smallest correlation of two near copies, see `near_copies`
    super_class_folders: NotRequired[
        bool
    ]  # class folders lie in folders of super-classes: train/<super-class>/<class>/


class SplitList(TypedDict):
    """Number of lines and digest of a list."""

    images: PositiveInt
    sha256: Sha256


class SplitLists(TypedDict):
    """Lists of Semi-Aves; u_train is u_train_in followed by u_train_out."""

    l_train: SplitList
    val: SplitList
    l_train_val: SplitList
    u_train_in: SplitList
    u_train_out: SplitList
    u_train: SplitList
    test: SplitList


class OracleList(TypedDict):
    """Digest of the list of the true labels of a subset, and the first and the last label that its images can have."""

    sha256: Sha256
    labels: Annotated[list[NonNegativeInt], Length(2, 2)]


class ImageArchive(TypedDict):
    """Archive that is downloaded from the first URL that serves it."""

    urls: Annotated[list[str], Length(1)]
    sha256: Sha256 | None  # null if it is not published; then it is recorded at first use, and required later


class ImageArchives(TypedDict):
    """Archives of the image folders, or pages from which a person downloads them."""

    trainval_images: NotRequired[str | ImageArchive]
    u_train_in: NotRequired[str | ImageArchive]
    u_train_out: NotRequired[str | ImageArchive]
    test: NotRequired[str | ImageArchive]


class SemiAves(TypedDict):
    """Images and lists of Semi-Aves in a folder, as unpacked folders or as archives."""

    kind: Literal["semi_aves"]
    path: Annotated[str, Length(1)]
    override: NotRequired[str]
    strict: NotRequired[bool]
    longest_side: PositiveInt
    lists: SplitLists
    lists_url: NotRequired[str]
    oracle_lists: NotRequired[dict[str, OracleList]]  # of each subset
    annotations_sha256: NotRequired[Sha256]
    archives: NotRequired[ImageArchives]
    classes: NotRequired[Annotated[list[str], Unique()]]  # names; by default the labels


Source = Digits | Archive | ImageFolder | SemiAves


class OutsideClasses(TypedDict):
    """Classes without labels and test images, and the share of their images among the unlabeled ones."""

    classes: Annotated[list[NonNegativeInt], Length(1), Unique()]
    share: ShareBelowOne


class OutsideDataset(TypedDict):
    """Dataset that shows none of the target classes, and the share of its images among the unlabeled ones."""

    dataset: str
    share: PositiveShareBelowOne


Outside = OutsideClasses | OutsideDataset
Shape = Literal["middle", "head-tail", "gaussian", "inverse-gaussian", "arbitrary"]  # see `class_sizes.unlabeled_tail`
Selection = Literal["first"]  # by the order of the images instead of the seed


class Splits(TypedDict):
    """Options of a setting with `n1` that decide which images are labeled and unlabeled, beside their numbers."""

    selection: NotRequired[Selection]
    unlabeled_includes_labeled: NotRequired[bool]


SPLIT_OPTIONS = tuple(Splits.__annotations__)


class Tails(TypedDict):
    """Long tails of labeled and unlabeled images (Oh et al. 2022), or another `shape` of the unlabeled classes."""

    n1: PositiveInt
    m1: NonNegativeInt
    gamma_l: Gamma
    gamma_u: Gamma  # with a Gaussian shape refused by `config.dataset_checks`
    reversed: NotRequired[bool]
    shape: NotRequired[Shape]
    selection: NotRequired[Selection]
    unlabeled_includes_labeled: NotRequired[bool]
    holdout: NotRequired[NonNegativeInt]
    outside: NotRequired[Outside]


class Gaussian(TypedDict):
    """One long tail of labeled images; unlabeled classes of sizes by a Gaussian or its inverse (Tian et al. 2026)."""

    n1: PositiveInt
    m1: NonNegativeInt
    gamma_l: Gamma
    shape: Literal["gaussian", "inverse-gaussian"]
    selection: NotRequired[Selection]
    unlabeled_includes_labeled: NotRequired[bool]
    holdout: NotRequired[NonNegativeInt]
    outside: NotRequired[Outside]


class Others(TypedDict):
    """A long tail of labeled images; all images without a label, or all that are not held out, are unlabeled."""

    n1: PositiveInt
    m1: Literal["all", "train"]
    gamma_l: Gamma
    selection: NotRequired[Selection]
    unlabeled_includes_labeled: NotRequired[bool]
    holdout: NotRequired[NonNegativeInt]
    outside: NotRequired[Outside]


class Share(TypedDict):
    """One long tail, of which a share is labeled (Wei et al. 2021)."""

    n: PositiveInt
    gamma: Gamma
    share: PositiveShareBelowOne
    holdout: NotRequired[NonNegativeInt]
    outside: NotRequired[Outside]


class Natural(TypedDict):
    """The class sizes of the dataset, of which a share is labeled."""

    labeled: PositiveShareBelowOne
    holdout: NotRequired[NonNegativeInt]
    outside: NotRequired[Outside]  # refused by `config.checks`


class Lists(TypedDict):
    """All labeled images, and all images without a label or those of some subsets of the dataset."""

    labeled: Literal["all"]
    unlabeled: Literal["all"] | Annotated[list[str], Unique()]  # an empty list: none
    holdout: NotRequired[NonNegativeInt]
    supervised: NotRequired[str]  # setting whose runs show methods without unlabeled images
    outside: NotRequired[Outside]  # refused by `config.checks`


Setting = Tails | Gaussian | Others | Share | Natural | Lists


class SplitConfig(TypedDict):
    """Resolved configuration of a split."""

    dataset: str
    seed: Seed
    num_classes: NumClasses
    holdout: NonNegativeInt
    class_order: ClassOrder
    test_share: NotRequired[PositiveShareBelowOne]
    setting: Setting


class ImageCounts(TypedDict):
    """Numbers of a source's images that are known before they are read."""

    train: PositiveInt
    unlabeled: NonNegativeInt
    test: PositiveInt
    smallest_class: PositiveInt


class DataConfig(TypedDict):
    """Resolved configuration of a store."""

    dataset: str
    source: Source
    images: NotRequired[ImageCounts]
    subsets: NotRequired[Subsets]
    num_classes: NumClasses
    image_size: ImageSize
    fit: NotRequired[Fit]
    test_share: NotRequired[PositiveShareBelowOne]  # of the labeled images of each class, held out by each split


class UpstreamKey(TypedDict):
    """Upstream run and its key."""

    of: str
    key: str


class ExpandedConfig(UpstreamKey):
    """Split to which pseudo-labels of an upstream run are added."""

    exponent: float


class HeldOutConfig(TypedDict):
    """Split from which labeled images of each class are held out."""

    held_out: PositiveInt
