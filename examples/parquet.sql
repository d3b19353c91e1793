-- Five queries for DuckDB over `autoinstr report DIR --format parquet`, in the run directory:
--     duckdb < parquet.sql

-- The heaviest classes.
SELECT class, sum(calls) AS calls, sum(self_ns) / 1e6 AS self_ms
FROM 'parquet/modules/**/*.parquet'
WHERE class <> ''
GROUP BY class ORDER BY self_ms DESC LIMIT 10;

-- The modules that differ most between ranks.
SELECT path, max(mean_us) / min(mean_us) AS ratio, arg_max(rank, mean_us) AS slowest
FROM (SELECT path, rank, sum(total_ns) / sum(calls) / 1e3 AS mean_us
      FROM 'parquet/modules/**/*.parquet'
      WHERE class <> '' AND calls > 0 GROUP BY path, rank)
GROUP BY path ORDER BY ratio DESC LIMIT 10;

-- Decode steps by batch size.
SELECT decodes, count(*) AS steps, quantile_cont(duration_ns, 0.99) / 1e6 AS p99_ms
FROM 'parquet/steps/**/*.parquet'
WHERE phase = 'decode'
GROUP BY decodes ORDER BY decodes;

-- The requests with the longest time to first token.
SELECT id, prompt_tokens, ttft_ns / 1e6 AS ttft_ms, queue_ns / 1e6 AS queue_ms
FROM 'parquet/requests/**/*.parquet'
ORDER BY ttft_ns DESC NULLS LAST LIMIT 10;

-- What ran during the slowest step, in all processes.
WITH slowest AS (
    SELECT start_ns, start_ns + duration_ns AS end_ns
    FROM 'parquet/steps/**/*.parquet'
    WHERE duration_ns IS NOT NULL ORDER BY duration_ns DESC LIMIT 1)
SELECT role, message, count(*) AS calls, sum(duration_ns) / 1e6 AS ms
FROM 'parquet/ranges/**/*.parquet' AS r, slowest AS s
WHERE kind = 'range' AND r.start_ns >= s.start_ns AND r.start_ns < s.end_ns
GROUP BY role, message ORDER BY ms DESC LIMIT 10;
