-- Converts the incident lines to one Parquet file, each incident once, and asks that file from then on. For millions of
-- lines: the files of the agent are read anew for each question.
COPY (
    SELECT * FROM incidents
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY timestamp) = 1
    ORDER BY occurred_at
) TO 'incidents.parquet' (FORMAT parquet, COMPRESSION zstd);

CREATE OR REPLACE VIEW incidents AS SELECT * FROM 'incidents.parquet';
