# What lies between the runs of a plan: the split of a stage that enlarges or holds out labels, the findings of a survey.
rule derive:
    input:
        guesses_of,
        store=STORE,
        split=SPLIT,
    output:
        DERIVED,
    log:
        f"logs/derive/{RUN}.log",
    benchmark:
        f"benchmarks/derive/{RUN}.tsv"
    params:
        key=lambda wildcards: KEYS.derived(run_of(wildcards)),
        way=derive_json,
        run=lambda wildcards, output: " ".join(
            f"--run {Path(path).parent}" for path in guesses_of(wildcards)
        ),
    shell:
        "printf '%s\\n' {params.way:q} | python -m daso derive --config - --store data/store/{wildcards.dataset} "
        "--split {input.split} {params.run} --out {output} &> {log}"


rule estimate:
    input:
        config=rules.train.output.config,
        history=rules.train.output.history,
        report=rules.train.output.report,
    output:
        SURVEYED,
    log:
        f"logs/estimate/{RUN}.log",
    benchmark:
        f"benchmarks/estimate/{RUN}.tsv"
    params:
        key=lambda wildcards: KEYS.estimate(run_of(wildcards)),
        trained=lambda wildcards, output: KEYS.train(run_of(wildcards)),
        run=lambda wildcards, output: run_of(wildcards).id,
    shell:
        "python -m daso estimate --run runs/{params.run} --key {params.key} --trained {params.trained} --out {output} "
        "&> {log}"
