# Download and verify images; draw splits.
rule data:
    input:
        sorted({path for run in RUNS for path in store_paths(run)}),


rule splits:
    input:
        paths_of(SPLIT),


rule download:
    input:
        unpack(inputs_if_stale(lambda wildcards: CURRENT.store(wildcards.dataset))),
    output:
        manifest=STORE,  # written last; the images lie beside it
        key="data/store/{dataset}/key",
    log:
        "logs/download/{dataset}.log",
    benchmark:
        "benchmarks/download/{dataset}.tsv"
    params:
        key=lambda wildcards: KEYS.data(wildcards.dataset),
        config=data_json,
    shell:
        "printf '%s\\n' {params.config:q} | python -m daso download --config - "
        "--out data/store/{wildcards.dataset} &> {log} && echo {params.key} > {output.key}"


rule split:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.split(
                    wildcards.dataset, wildcards.setting, int(wildcards.seed)
                ),
                store=store_paths,
            )
        ),
    output:
        split=SPLIT,
        key="data/splits/{dataset}/{setting}/s{seed}.key",
    log:
        "logs/split/{dataset}/{setting}/s{seed}.log",
    benchmark:
        "benchmarks/split/{dataset}/{setting}/s{seed}.tsv"
    params:
        key=lambda wildcards: KEYS.split(
            wildcards.dataset, wildcards.setting, int(wildcards.seed)
        ),
        config=split_json,
    shell:
        "printf '%s\\n' {params.config:q} | python -m daso split --config - "
        "--store data/store/{wildcards.dataset} --out {output.split} &> {log} && echo {params.key} > {output.key}"
