# Correct the predictions of finished runs after training. One job corrects all runs of a suite: it takes as long to start
# as to correct some of them. Their files are no outputs, which Snakemake would delete before the job.
rule corrections:
    input:
        CORRECTED.format(suite=SUITE),


rule correct:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: not uncorrected(wildcards), read=files_to_correct
            )
        ),
    output:
        CORRECTED,
    log:
        "logs/correct/{suite}.log",
    benchmark:
        "benchmarks/correct/{suite}.tsv"
    threads: 1
    # On a cluster, the job requests ten minutes and a minute for each run.
    resources:
        gpu=GPUS,
        runtime=lambda wildcards, attempt: attempt * (10 + len(to_correct(wildcards))),
    params:
        runs=lambda wildcards: canonical_json(
            {run.id: KEYS.corrections(run) for run in to_correct(wildcards)}
        ),
        folder=lambda wildcards, output: os.path.dirname(output[0]),
    shell:
        "printf '%s\\n' {params.runs:q} | python -m daso corrections --keys - --out {params.folder} &> {log} "
        "&& touch {output}"
