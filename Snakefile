# The workflow from params/ to reports. `snakemake` builds the suite of params/pipeline.yaml, `snakemake --config
# suite=<name>` a different suite, and `snakemake <path>` a single output, such as reports/smoke/index.html.
from snakemake.utils import min_version

min_version("9.0")


include: "workflow/rules/common.smk"


# On a cluster, jobs that take seconds or need the network run where `snakemake` was called.
localrules:
    download,
    split,
    fit,
    derive,
    estimate,
    evaluate,
    report,
    contradictions,


rule all:
    input:
        paths_of(TRAINED, with_upstream(PARAMS, RUNS)),
        paths_of(METRICS),
        report_of(SUITE),


include: "workflow/rules/data.smk"
include: "workflow/rules/encode.smk"
include: "workflow/rules/fit.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/plan.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/correct.smk"
include: "workflow/rules/report.smk"
