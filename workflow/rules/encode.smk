# Encode the images of a dataset by the frozen network of a protocol, for runs that train on features. The rows of
# features lie beside the manifest and are kept: only images are encoded that have not been before.
rule features:
    input:
        rules.data.input,  # Snakemake always runs a rule without inputs and outputs
        sorted({FEATURES.format(**run._asdict()) for run in RUNS if on_features(run)}),


rule encode:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.encoded(
                    wildcards.dataset, wildcards.protocol
                ),
                store=STORE,
            )
        ),
    output:
        manifest=FEATURES,
        key=f"{os.path.dirname(FEATURES)}/key",
    log:
        "logs/encode/{dataset}/{protocol}.log",
    benchmark:
        "benchmarks/encode/{dataset}/{protocol}.tsv"
    threads: workflow.resource_settings.cores or 1  # features do not depend on it
    resources:
        gpu=GPUS,
    params:
        key=lambda wildcards: KEYS.encode(wildcards.dataset, wildcards.protocol),
        config=encode_json,
    # On a busy machine, threads that wait actively for each other would take many times as long.
    shell:
        "printf '%s\\n' {params.config:q} | OMP_WAIT_POLICY=passive python -m daso encode --config - "
        "--store data/store/{wildcards.dataset} --out data/features/{wildcards.dataset}/{wildcards.protocol} &> {log} && echo {params.key} > {output.key}"
