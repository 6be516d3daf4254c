# Steps between the runs of a plan: derive the split of a stage, and estimate class sizes from a survey.
rule derive:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.derived(run_of(wildcards)),
                pseudo_labels=pseudo_labels_of,
                store=store_paths,
                split=SPLIT,
            )
        ),
    output:
        split=DERIVED,
        key=f"runs/{RUN}/split.key",
    log:
        f"logs/derive/{RUN}.log",
    benchmark:
        f"benchmarks/derive/{RUN}.tsv"
    params:
        key=lambda wildcards: KEYS.derived(run_of(wildcards)),
        options=derive_json,
        run=lambda wildcards, output: " ".join(
            f"--run {Path(path).parent}" for path in pseudo_labels_of(wildcards)
        ),
    shell:
        "printf '%s\\n' {params.options:q} | python -m daso derive --config - --store data/store/{wildcards.dataset} "
        "--split {input.split} {params.run} --out {output.split} &> {log} && echo {params.key} > {output.key}"


rule estimate:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.estimated(run_of(wildcards)), result=TRAINED
            )
        ),
    output:
        estimate=SURVEYED,
        key=f"runs/{RUN}/estimate.key",
    log:
        f"logs/estimate/{RUN}.log",
    benchmark:
        f"benchmarks/estimate/{RUN}.tsv"
    params:
        key=lambda wildcards: KEYS.estimate(run_of(wildcards)),
        trained=lambda wildcards, output: KEYS.train(run_of(wildcards)),
        run=lambda wildcards, output: run_of(wildcards).id,
    shell:
        "python -m daso estimate --run runs/{params.run} --key {params.key} --run-key {params.trained} --out {output.estimate} "
        "&> {log} && echo {params.key} > {output.key}"
