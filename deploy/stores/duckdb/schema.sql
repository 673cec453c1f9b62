-- The incident lines in DuckDB (tested with 2.0): a view over files of the agent, as they are or packed with gzip.
-- Set the files first, for example: SET VARIABLE files = 'incidents/*/incidents.jsonl*';
--
-- All columns have a type, so DuckDB guesses none: neither a file without any cause nor one with an odd line changes
-- the view. What is not an incident (a torn last line, the agent's log) is skipped. A member of the line that is not
-- listed is left out; to ask for it, add it.

CREATE OR REPLACE VIEW lines AS
SELECT * FROM read_json(
    getvariable('files'),
    format = 'newline_delimited',
    ignore_errors = true,
    columns = {
        schema: 'VARCHAR', id: 'VARCHAR', timestamp: 'TIMESTAMPTZ', occurred_at: 'TIMESTAMPTZ', severity: 'VARCHAR',
        type: 'VARCHAR', message: 'VARCHAR', fingerprint: 'VARCHAR',
        cause: 'STRUCT(error_type VARCHAR, message VARCHAR, context VARCHAR, location VARCHAR, source VARCHAR,
                       line VARCHAR)',
        cluster: 'VARCHAR', namespace: 'VARCHAR', workload: 'VARCHAR', pod_name: 'VARCHAR', pod_uid: 'VARCHAR',
        node_name: 'VARCHAR', container: 'VARCHAR', container_id: 'VARCHAR', image: 'VARCHAR', exit_code: 'INTEGER',
        signal: 'INTEGER', reason: 'VARCHAR',
        containers: 'STRUCT(name VARCHAR, kind VARCHAR, image VARCHAR, image_id VARCHAR, state VARCHAR,
                            restart_count BIGINT, exit_code INTEGER, signal INTEGER, exit_class VARCHAR,
                            reason VARCHAR, started_at TIMESTAMPTZ, finished_at TIMESTAMPTZ, message VARCHAR,
                            resources STRUCT(memory_limit_bytes BIGINT, cpu_limit_millicores BIGINT,
                                             memory_request_bytes BIGINT, cpu_request_millicores BIGINT))[]',
        metadata: 'STRUCT(revision VARCHAR, labels MAP(VARCHAR, VARCHAR), qos_class VARCHAR, confidence VARCHAR,
                          evidence VARCHAR[],
                          restarts STRUCT(total BIGINT, unseen BIGINT, ended BIGINT, crash_loop BOOLEAN))',
        telemetry: 'STRUCT(container STRUCT(memory_limit_bytes BIGINT, memory_peak_bytes BIGINT,
                                            memory_bytes BIGINT[]),
                           logs STRUCT(lines STRUCT("at" TIMESTAMPTZ, stream VARCHAR, "text" VARCHAR)[]),
                           gaps VARCHAR[])'
    })
WHERE schema = 'blackbox.incident/v1';

-- A line may be in two files: after a restart of an agent, or from two agents. It has the same id then, so the
-- questions count ids.
CREATE OR REPLACE VIEW incidents AS
SELECT *,
    -- The limit of the control group, else the one in the pod's definition.
    coalesce(telemetry.container.memory_limit_bytes,
        list_filter(containers, lambda c: c.name = container)[1].resources.memory_limit_bytes) AS memory_limit_bytes,
    -- The kernel's own peak, else the highest sample: some kernels keep no peak.
    coalesce(telemetry.container.memory_peak_bytes, list_max(telemetry.container.memory_bytes)) AS memory_peak_bytes
FROM lines;
