# Compare the published numbers of different sources.
rule contradictions:
    input:
        unpack(inputs_if_stale(lambda wildcards: CURRENT.contradictions())),
    output:
        expand("reports/contradictions/{name}", name=CONTRADICTIONS_FILES),
        key="reports/contradictions/key",
    log:
        "logs/contradictions.log",
    params:
        key=lambda wildcards: KEYS.contradictions(),
    shell:
        "python -m daso contradictions --out reports/contradictions --key {params.key} &> {log}"


# Render the report of a suite. `snakemake --report` holds the outputs that are marked by report().
rule report:
    input:
        unpack(
            inputs_if_stale(
                lambda wildcards: CURRENT.reported(wildcards.suite),
                results=suite_results,
            )
        ),
    output:
        report(
            "reports/{suite}/index.html",
            category="{suite}",
            labels={"content": "Tables and figures of the suite"},
        ),
        report(
            "reports/{suite}/cells.csv",
            category="{suite}",
            labels={"content": "Cells: our number, published number, verdict"},
        ),
        [
            f"reports/{{suite}}/{name}"
            for name in REPORT_FILES
            if name not in ("index.html", "cells.csv")
        ],
        tables=directory(f"reports/{{suite}}/{REPORT_TABLES}"),
        key="reports/{suite}/key",
    log:
        "logs/report/{suite}.log",
    benchmark:
        "benchmarks/report/{suite}.tsv"
    params:
        key=lambda wildcards: KEYS.report(wildcards.suite),
    shell:
        "python -m daso report --suite {wildcards.suite} --out reports/{wildcards.suite} --key {params.key} &> {log}"
