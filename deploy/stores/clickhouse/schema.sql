-- The incident lines in ClickHouse: 25.3 or later, for the type JSON; tested with 26.9. README.md says how they get in.
--
-- A line may arrive twice: after a lost acknowledgement, after a restart of an agent, from two agents. It has the same
-- id then. Merges drop the repeats that have the same hour and fingerprint, some time later. The questions do not rely
-- on this: they count with uniqExact(id), which is right at any moment and needs no FINAL.
--
-- A null in the line becomes an empty string in a column that is not Nullable.

CREATE DATABASE IF NOT EXISTS blackbox;

CREATE TABLE IF NOT EXISTS blackbox.incidents
(
    schema       LowCardinality(String),
    id           FixedString(32),
    timestamp    DateTime64(6, 'UTC'),
    occurred_at  DateTime64(6, 'UTC'),
    severity     LowCardinality(String),
    type         LowCardinality(String),
    message      String CODEC(ZSTD(3)),
    fingerprint  LowCardinality(String),
    cause        Tuple(error_type String, message String, context String, location String, source String, line String)
                 CODEC(ZSTD(3)),
    cluster      LowCardinality(String),
    namespace    LowCardinality(String),
    workload     LowCardinality(String),
    pod_name     String CODEC(ZSTD(1)),
    -- Not a UUID: that of a static pod is a hash.
    pod_uid      String CODEC(ZSTD(1)),
    node_name    LowCardinality(String),
    container    LowCardinality(String),
    container_id String CODEC(ZSTD(1)),
    image        LowCardinality(String),
    -- 0 means something here, so these two keep their null.
    exit_code    Nullable(Int32),
    signal       Nullable(Int32),
    reason       LowCardinality(String),
    containers   Array(Tuple(
        name String, kind String, image String, image_id String, state String, restart_count Int64,
        exit_code Nullable(Int32), signal Nullable(Int32), exit_class String, reason String,
        started_at Nullable(DateTime64(6, 'UTC')), finished_at Nullable(DateTime64(6, 'UTC')), message String,
        resources Tuple(
            memory_limit_bytes Nullable(Int64), cpu_limit_millicores Nullable(Int64),
            memory_request_bytes Nullable(Int64), cpu_request_millicores Nullable(Int64)))) CODEC(ZSTD(3)),
    -- The paths that are asked for have a type and are columns of their own. Others get a column up to the bound, and
    -- share one above it. The labels' keys are free, so they are one map.
    metadata     JSON(
        max_dynamic_paths = 32,
        revision LowCardinality(String),
        pod_created_at Nullable(DateTime64(6, 'UTC')),
        labels Map(LowCardinality(String), String),
        restarts.total Nullable(Int64),
        restarts.crash_loop Bool) CODEC(ZSTD(3)),
    -- Has free keys as well: those of the numbers that pods post.
    telemetry    JSON(
        max_dynamic_paths = 0,
        container.memory_limit_bytes Nullable(Int64),
        container.memory_peak_bytes Nullable(Int64),
        container.memory_bytes Array(Nullable(Int64))) CODEC(ZSTD(3)),

    -- The limit of the control group, else the one in the pod's definition.
    memory_limit_bytes Nullable(Int64) MATERIALIZED coalesce(
        telemetry.container.memory_limit_bytes,
        arrayFirst(c -> c.name = container, containers).resources.memory_limit_bytes),
    -- The kernel's own peak, else the highest sample: some kernels keep no peak.
    memory_peak_bytes Nullable(Int64) MATERIALIZED coalesce(
        telemetry.container.memory_peak_bytes, arrayMax(telemetry.container.memory_bytes))
)
ENGINE = ReplacingMergeTree
-- A partition is what the retention drops at once.
PARTITION BY toMonday(occurred_at)
-- Most questions are about the last hours. Within an hour, equal crashes stand together, so they compress well.
ORDER BY (toStartOfHour(occurred_at), fingerprint, id)
-- To drop what is older than three months, add this here, or run ALTER TABLE blackbox.incidents MODIFY TTL ...:
-- TTL toDateTime(occurred_at) + INTERVAL 90 DAY
-- SETTINGS ttl_only_drop_parts = 1
;

-- When each fingerprint was first seen, and with which image. Outlives the lines: with these alone, an old crash would
-- look new once its first line has been dropped. A line that arrives twice changes nothing here.
CREATE TABLE IF NOT EXISTS blackbox.first_seen
(
    fingerprint LowCardinality(String),
    namespace   LowCardinality(String),
    workload    LowCardinality(String),
    container   LowCardinality(String),
    type        LowCardinality(String),
    first_at    SimpleAggregateFunction(min, DateTime64(6, 'UTC')),
    first_image AggregateFunction(argMin, String, DateTime64(6, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY (fingerprint, namespace, workload, container, type);

CREATE MATERIALIZED VIEW IF NOT EXISTS blackbox.first_seen_of_incidents TO blackbox.first_seen AS
SELECT fingerprint, namespace, workload, container, type,
    min(occurred_at) AS first_at, argMinState(toString(image), occurred_at) AS first_image
FROM blackbox.incidents
GROUP BY fingerprint, namespace, workload, container, type;
