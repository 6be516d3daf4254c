# Fit weight decay, logit adjustment and temperature to the labeled images of a split, for runs that train on features
# under a protocol with `fit`.
rule fits:
    input:
        rules.features.input,
        paths_of(FIT, [run for run in RUNS if "fit" in PARAMS.protocols[run.protocol]]),


rule fit:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.fitted(fit_of(wildcards)),
                store=STORE,
                split=SPLIT,
                features=FEATURES,
            )
        ),
    output:
        fit=FIT,
        arrays=FIT.replace(".json", ".npz"),
        key=FIT.replace(".json", ".key"),
    log:
        "logs/fit/{dataset}/{setting}/{protocol}/s{seed}.log",
    benchmark:
        "benchmarks/fit/{dataset}/{setting}/{protocol}/s{seed}.tsv"
    params:
        key=lambda wildcards: KEYS.fit(fit_of(wildcards)),
        config=fit_json,
        split=lambda wildcards: SPLIT.format(**dict(wildcards.items())),
        features=lambda wildcards: FEATURES.format(**dict(wildcards.items())),
    shell:
        "printf '%s\\n' {params.config:q} | python -m daso fit --config - --store data/store/{wildcards.dataset} "
        "--split {params.split} --features {params.features} --out {output.fit} &> {log} "
        "&& echo {params.key} > {output.key}"
