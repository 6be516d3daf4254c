# The tables and figures of a suite.
def suite_metrics(wildcards):
    return paths(METRICS, runs(PARAMS, wildcards.suite))


rule report:
    input:
        suite_metrics,
    output:
        REPORT,
    log:
        "logs/report/{suite}.log",
    benchmark:
        "benchmarks/report/{suite}.tsv"
    params:
        key=lambda wildcards: KEYS.report(wildcards.suite),
    shell:
        "python -m daso report --suite {wildcards.suite} --out reports/{wildcards.suite} &> {log}"
