# Train one run in one job. It resumes from scratch/, which is not an output: Snakemake deletes outputs before a job.
rule runs:
    input:
        paths_of(TRAINED, with_upstream(PARAMS, RUNS)),


rule train:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.trained(run_of(wildcards)),
                store=store_paths,
                read=input_paths_of,
            )
        ),
    output:
        config=f"{paths.run_folder(RUN)}/{paths.CONFIG_FILE}",
        history=HISTORY,
        predictions=PREDICTIONS,
        weights=f"{paths.run_folder(RUN)}/{paths.WEIGHTS_FILE}",
        result=TRAINED,
    log:
        f"logs/train/{RUN}.log",
    benchmark:
        f"benchmarks/train/{RUN}.tsv"
    # On a cluster, runs that share a job run one after the other, and a job requests the minutes that they are expected
    # to need.
    group:
        group_of
    threads: 1
    resources:
        gpu=GPUS,
        one_at_a_time=1,
        runtime=lambda wildcards, attempt: WALL_TIMES.minutes(
            run_of(wildcards), attempt
        ),
    params:
        key=lambda wildcards: KEYS.train(run_of(wildcards)),
        config=train_json,
        run=lambda wildcards, output: run_of(wildcards).id,
        read=lambda wildcards, output: " ".join(
            f"--{name} {path}" for name, path in input_files_of(wildcards).items()
        ),
    # Slurm ends a job by SIGTERM to all its processes, and by SIGKILL once the shell has exited. With the trap the
    # shell waits until the training has saved its checkpoint.
    shell:
        "trap : TERM; printf '%s\\n' {params.config:q} > {output.config} && "
        "python -m daso train --managed --config {output.config} --store data/store/{wildcards.dataset} "
        "{params.read} --out runs/{params.run} --scratch scratch/{params.run} "
        "--journal journal/{params.run}.json &> {log}"
