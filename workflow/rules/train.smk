# One run, one job. It resumes from scratch/, which is no output: outputs are deleted before a job starts.
rule runs:
    input:
        paths_of(TRAINED, with_upstream(PARAMS, RUNS)),


rule train:
    input:
        unpack(
            unless(
                lambda wildcards: CURRENT.trained(run_of(wildcards)),
                store=STORE,
                read=files_of,
            )
        ),
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
    # On a cluster: runs that share a job take turns in it, and a job gets the minutes that its runs should need.
    group:
        shares_a_job
    threads: 1
    resources:
        gpu=GPUS,
        turn=1,
        runtime=lambda wildcards, attempt: WALL_TIMES.minutes(
            run_of(wildcards), attempt
        ),
    params:
        key=lambda wildcards: KEYS.train(run_of(wildcards)),
        config=train_json,
        run=lambda wildcards, output: run_of(wildcards).id,
        read=lambda wildcards, output: " ".join(
            f"--{name} {path}" for name, path in read_by(wildcards).items()
        ),
    # The trap: Slurm ends a job by SIGTERM to all its processes, and what is left when the shell is gone gets SIGKILL. So
    # the shell waits until the training has saved itself.
    shell:
        "trap : TERM; printf '%s\\n' {params.config:q} > {output.config} && "
        "python -m daso train --managed --config {output.config} --store data/store/{wildcards.dataset} "
        "{params.read} --out runs/{params.run} --scratch scratch/{params.run} "
        "--journal journal/{params.run}.json &> {log}"
