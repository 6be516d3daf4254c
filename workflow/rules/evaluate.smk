# The metrics of a run.
rule metrics:
    input:
        paths(METRICS),


rule evaluate:
    input:
        split=SPLIT,
        config=rules.train.output.config,
        history=rules.train.output.history,
        weights=rules.train.output.weights,
        report=rules.train.output.report,
    output:
        METRICS,
    log:
        f"logs/evaluate/{RUN}.log",
    benchmark:
        f"benchmarks/evaluate/{RUN}.tsv"
    threads: 1
    resources:
        gpu=1,
    params:
        key=lambda wildcards: KEYS.evaluate(run_of(wildcards)),
        run=lambda wildcards, output: f"runs/{run_of(wildcards).id}",
    shell:
        "python -m daso evaluate --run {params.run} --store data/store/{wildcards.dataset} --split {input.split} "
        "--out {output} &> {log}"
