# Render the report of a suite. `snakemake --report` holds the outputs that are marked by report().
CAPTIONS = {
    "index.html": "Tables and figures of the suite.",
    "cells.csv": "Every cell: mean and standard deviation over seeds, published number and verdict.",
}


rule report:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.reported(wildcards.suite),
                results=suite_results,
            )
        ),
    output:
        [
            (
                report(
                    f"reports/{{suite}}/{name}",
                    category="{suite}",
                    labels={"content": CAPTIONS[name]},
                )
                if name in CAPTIONS
                else f"reports/{{suite}}/{name}"
            )
            for name in REPORT_FILES
        ],
        key="reports/{suite}/key",
    log:
        "logs/report/{suite}.log",
    benchmark:
        "benchmarks/report/{suite}.tsv"
    params:
        key=lambda wildcards: KEYS.report(wildcards.suite),
    shell:
        "python -m daso report --suite {wildcards.suite} --out reports/{wildcards.suite} --key {params.key} &> {log}"
