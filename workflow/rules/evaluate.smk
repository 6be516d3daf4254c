# Compute the metrics of a run.
rule metrics:
    input:
        paths_of(METRICS),


rule evaluate:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.evaluated(run_of(wildcards)), result=TRAINED
            )
        ),
    output:
        metrics=METRICS,
        key=f"metrics/{RUN}.key",
    log:
        f"logs/evaluate/{RUN}.log",
    benchmark:
        f"benchmarks/evaluate/{RUN}.tsv"
    params:
        key=lambda wildcards: KEYS.evaluate(run_of(wildcards)),
        run=lambda wildcards, output: f"runs/{run_of(wildcards).id}",
        train_key=lambda wildcards, output: KEYS.train(run_of(wildcards)),
    shell:
        "python -m daso evaluate --run {params.run} --run-key {params.train_key} "
        "--store data/store/{wildcards.dataset} --out {output.metrics} &> {log} "
        "&& echo {params.key} > {output.key}"
