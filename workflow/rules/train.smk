# One run, one job. It resumes from scratch/, which is no output: outputs are deleted before a job starts.
rule runs:
    input:
        paths(TRAINED),


rule train:
    input:
        unpack(read_by),
        store=STORE,
    output:
        config=f"runs/{RUN}/config.json",
        history=f"runs/{RUN}/history.csv",
        predictions=f"runs/{RUN}/predictions.npz",
        weights=f"runs/{RUN}/final.pt",
        report=TRAINED,
    log:
        f"logs/train/{RUN}.log",
    benchmark:
        f"benchmarks/train/{RUN}.tsv"
    threads: 1
    # Short runs that wait for no other may share a job of a cluster, and take turns there.
    group: "short"
    resources:
        gpu=1,
        turn=1,
    params:
        key=lambda wildcards: KEYS.train(run_of(wildcards)),
        config=train_json,
        run=lambda wildcards, output: run_of(wildcards).id,
        read=lambda wildcards, output: " ".join(
            f"--{name} {path}" for name, path in read_by(wildcards).items()
        ),
    shell:
        "printf '%s\\n' {params.config:q} > {output.config} && "
        "python -m daso train --config {output.config} --store data/store/{wildcards.dataset} "
        "{params.read} --out runs/{params.run} --scratch scratch/{params.run} &> {log}"
