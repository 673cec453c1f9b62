-- The fleet's questions. .ci/stores runs each one of them. To ask about one crash, set its fingerprint first, in
-- clickhouse-client: SET param_fingerprint = '4f1c2a9be07d3355';

-- most: whoever is on call asks it first: what crashed most in the last hour?
SELECT fingerprint, namespace, workload, container, type,
    uniqExact(id) AS incidents, uniqExact(pod_uid) AS pods, uniqExact(cluster, node_name) AS nodes,
    min(occurred_at) AS first_at, max(occurred_at) AS last_at, argMax(message, (occurred_at, id)) AS newest
FROM blackbox.incidents
WHERE occurred_at > now() - INTERVAL 1 HOUR
GROUP BY fingerprint, namespace, workload, container, type
ORDER BY incidents DESC, fingerprint
LIMIT 20;

-- image: whoever decides on a rollback asks it about a crash: which image began it? The first row did.
SELECT image, metadata.revision AS revision,
    min(occurred_at) AS first_at, max(occurred_at) AS last_at, uniqExact(id) AS incidents, uniqExact(pod_uid) AS pods
FROM blackbox.incidents
WHERE fingerprint = {fingerprint:String}
GROUP BY image, revision
ORDER BY first_at, image, revision;

-- nodes: whoever suspects hardware asks it about a crash: which nodes had it in the last day? A few of many nodes
-- speak for the node, all of them for the program.
SELECT cluster, node_name,
    uniqExact(id) AS incidents, uniqExact(pod_uid) AS pods, max(occurred_at) AS last_at
FROM blackbox.incidents
WHERE fingerprint = {fingerprint:String} AND occurred_at > now() - INTERVAL 1 DAY
GROUP BY cluster, node_name
ORDER BY incidents DESC, cluster, node_name
LIMIT 20;

-- loops: whoever takes over a shift asks it: which workloads were in a crash loop in the last hour?
SELECT cluster, namespace, workload, container,
    uniqExact(id) AS incidents, uniqExact(pod_uid) AS pods, max(metadata.restarts.total) AS restarts
FROM blackbox.incidents
WHERE occurred_at > now() - INTERVAL 1 HOUR AND metadata.restarts.crash_loop
GROUP BY cluster, namespace, workload, container
ORDER BY pods DESC, incidents DESC, cluster, namespace, workload, container
LIMIT 20;

-- first_seen: whoever releases asks it after a release: which crashes of the last day were never seen before?
SELECT fingerprint, namespace, workload, container, type,
    min(first_at) AS first_seen_at, argMinMerge(first_image) AS image
FROM blackbox.first_seen
GROUP BY fingerprint, namespace, workload, container, type
HAVING first_seen_at > now() - INTERVAL 1 DAY
ORDER BY first_seen_at DESC, fingerprint
LIMIT 20;

-- memory: whoever sets the limits asks it: which images ran out of memory in the last week, at which limit? A peak far
-- below the limit means that the node or the pod had no memory left.
SELECT image, memory_limit_bytes AS limit_bytes,
    uniqExact(id) AS incidents, uniqExact(pod_uid) AS pods, max(memory_peak_bytes) AS peak_bytes
FROM blackbox.incidents
WHERE type = 'oom' AND occurred_at > now() - INTERVAL 7 DAY
GROUP BY image, limit_bytes
ORDER BY incidents DESC, image, limit_bytes
LIMIT 20;
