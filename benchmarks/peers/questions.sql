-- The questions of `benchmarks.questions` in DuckDB's SQL, over views of a dataset's Parquet files. A line
-- `-- question: NAME` begins each. $OLD and $NEW are filled in.

-- question: nothing
SELECT snapshot FROM snapshots;

-- question: coverage
SELECT stack, target, count(DISTINCT (snapshot, hash)) AS value
FROM specs WHERE stack IS DISTINCT FROM 'root' GROUP BY ALL;

-- question: coverage_packages
SELECT stack, snapshot, count(DISTINCT package) AS value
FROM specs WHERE stack IS DISTINCT FROM 'root' GROUP BY ALL;

-- question: usable
WITH mine AS (
    SELECT package, version, bool_or(own.is_native) AS is_native, count(DISTINCT (snapshot, hash)) AS num_specs
    FROM specs
    JOIN requirements USING (snapshot, requirement)
    JOIN targets AS below ON below.target = requirements.target AND below.runs_on = 'zen4'
    JOIN targets AS own ON own.target = specs.target AND own.runs_on = 'zen4'
    WHERE requirements.platform = 'linux' AND requirements.missing IS NULL AND requirements.externals IS NULL
        AND CASE reuse_rules
            WHEN '0.21' THEN requirements.os = 'ubuntu22.04'
            WHEN '0.23' THEN names_libc AND requirements.libc = 'glibc' AND libc_version_key <= 'v0002.0035.'
            ELSE coalesce(requirements.libc = 'glibc' AND libc_version_key <= 'v0002.0035.', NOT is_assumed)
                AND requirements.spec_format >= 5 AND excluded IS NULL
        END
    GROUP BY ALL
)
SELECT package, version,
    CASE WHEN is_native THEN 'native' WHEN num_specs > 0 THEN 'usable' ELSE 'missing' END AS cell,
    coalesce(num_specs, 0) AS num_specs
FROM (SELECT DISTINCT package, version FROM specs) LEFT JOIN mine USING (package, version);

-- question: gaps
WITH cells AS (SELECT DISTINCT stack, package FROM specs WHERE stack IS DISTINCT FROM 'root')
SELECT stack, package, num_columns
FROM (
    FROM (SELECT DISTINCT stack FROM cells), (SELECT package, count(*) AS num_columns FROM cells GROUP BY ALL)
) ANTI JOIN cells USING (stack, package);

-- question: compare
WITH hashes AS (
    SELECT stack, package, version, hash, bool_or(snapshot = '$OLD') AS was, bool_or(snapshot = '$NEW') AS has
    FROM specs WHERE snapshot IN ('$OLD', '$NEW') AND stack IS DISTINCT FROM 'root' GROUP BY ALL
),
versions AS (
    SELECT stack, package, version, bool_or(was) AS was, bool_or(has) AS has, bool_and(was = has) AS same
    FROM hashes GROUP BY ALL
),
packages AS (
    SELECT stack, package, bool_or(was) AS was, bool_or(has) AS has, bool_and(was = has) AS versions_stay,
        bool_and(same) AS same
    FROM versions GROUP BY ALL
)
SELECT stack, count(*) FILTER (was) AS old_packages, count(*) FILTER (has) AS new_packages,
    count(*) FILTER (was AND NOT has) AS removed, count(*) FILTER (has AND NOT was) AS added,
    count(*) FILTER (was AND has AND NOT versions_stay) AS updated,
    count(*) FILTER (was AND has AND versions_stay AND NOT same) AS rebuilt,
    count(*) FILTER (was AND has AND versions_stay AND same) AS unchanged
FROM packages GROUP BY ALL;

-- question: history
WITH names AS (
    SELECT snapshot, lag(snapshot) OVER (ORDER BY snapshot) AS previous
    FROM (SELECT DISTINCT snapshot FROM specs WHERE snapshot LIKE 'develop-%')
),
mine AS (SELECT DISTINCT stack, snapshot, hash FROM specs WHERE stack IS DISTINCT FROM 'root'),
moved AS (
    SELECT stack, names.snapshot, hash FROM mine JOIN names ON mine.snapshot = names.previous
),
cells AS (
    SELECT stack, snapshot, count(mine.hash) AS specs,
        count(*) FILTER (mine.hash IS NOT NULL AND moved.hash IS NOT NULL) AS kept,
        count(*) FILTER (mine.hash IS NULL) AS gone
    FROM mine FULL JOIN moved USING (stack, snapshot, hash) GROUP BY ALL
),
packages AS (
    SELECT stack, snapshot, count(DISTINCT package) AS packages
    FROM specs WHERE stack IS DISTINCT FROM 'root' GROUP BY ALL
)
SELECT stack, snapshot, coalesce(packages, 0) AS packages, specs,
    CASE WHEN previous IS NOT NULL THEN kept END AS kept,
    CASE WHEN previous IS NOT NULL THEN specs - kept END AS new,
    CASE WHEN previous IS NOT NULL THEN gone END AS gone
FROM cells LEFT JOIN packages USING (stack, snapshot) LEFT JOIN names USING (snapshot);

-- question: lifespans
WITH names AS (
    SELECT snapshot, CASE WHEN snapshot LIKE 'develop-%' THEN 'dated' ELSE 'rolling' END AS kind,
        row_number() OVER (PARTITION BY kind ORDER BY snapshot) AS place
    FROM (SELECT DISTINCT snapshot FROM specs)
)
SELECT package, version, target, kind, arg_min(snapshot, place) AS first_seen, arg_max(snapshot, place) AS last_seen,
    count(*) AS snapshots, max(place) - min(place) + 1 - count(*) AS missed
FROM (SELECT DISTINCT package, version, target, snapshot FROM specs) JOIN names USING (snapshot) GROUP BY ALL;

-- question: overlap
WITH hashes AS (SELECT DISTINCT stack, hash FROM specs WHERE stack IS DISTINCT FROM 'root'),
packages AS (SELECT DISTINCT stack, package FROM specs WHERE stack IS DISTINCT FROM 'root'),
sizes AS (SELECT stack, count(*) AS hashes FROM hashes GROUP BY ALL),
widths AS (SELECT stack, count(*) AS packages FROM packages GROUP BY ALL),
common_hashes AS (
    SELECT a.stack, b.stack AS other_stack, count(*) AS common
    FROM hashes a JOIN hashes b ON a.hash = b.hash AND a.stack < b.stack GROUP BY ALL
),
common_packages AS (
    SELECT a.stack, b.stack AS other_stack, count(*) AS common
    FROM packages a JOIN packages b ON a.package = b.package AND a.stack < b.stack GROUP BY ALL
)
SELECT a.stack, b.stack AS other_stack, a.hashes, b.hashes AS other_hashes,
    coalesce(h.common, 0) AS common_hashes,
    coalesce(h.common, 0) / (a.hashes + b.hashes - coalesce(h.common, 0)) AS jaccard_hashes,
    wa.packages, wb.packages AS other_packages, coalesce(p.common, 0) AS common_packages,
    coalesce(p.common, 0) / (wa.packages + wb.packages - coalesce(p.common, 0)) AS jaccard_packages
FROM sizes a JOIN sizes b ON a.stack < b.stack
JOIN widths wa ON wa.stack = a.stack JOIN widths wb ON wb.stack = b.stack
LEFT JOIN common_hashes h ON (h.stack, h.other_stack) = (a.stack, b.stack)
LEFT JOIN common_packages p ON (p.stack, p.other_stack) = (a.stack, b.stack);

-- question: overlap_sets
WITH hashes AS (
    SELECT list_sort(list(DISTINCT stack)) AS members, count(*) AS num
    FROM specs WHERE stack IS DISTINCT FROM 'root' GROUP BY hash
),
packages AS (
    SELECT list_sort(list(DISTINCT stack)) AS members
    FROM specs WHERE stack IS DISTINCT FROM 'root' GROUP BY package
)
SELECT len(members) AS members, coalesce(hashes, 0) AS hashes, coalesce(packages, 0) AS packages
FROM (SELECT members, count(*) AS hashes FROM hashes GROUP BY ALL)
FULL JOIN (SELECT members, count(*) AS packages FROM packages GROUP BY ALL) USING (members);

-- question: duplicates
SELECT snapshot, package, version, platform, os, target, compiler, variants, flags, namespace, count(*) AS hashes,
    count(*) - 1 AS excess,
    CASE WHEN count(size_bytes) = count(*) THEN sum(size_bytes) - max(size_bytes) END::BIGINT AS excess_bytes
FROM (
    SELECT DISTINCT snapshot, package, version, platform, os, target, compiler, variants, flags, namespace, hash, size_bytes
    FROM specs
)
GROUP BY ALL HAVING count(*) > 1;

-- question: versions
WITH mine AS (
    SELECT DISTINCT package, stack, version, list_transform(string_split(version, '.'), lambda part: part::INT) AS parts
    FROM specs WHERE stack IS DISTINCT FROM 'root'
),
newest AS (SELECT package, arg_max(version, parts) AS newest, max(parts) AS newest_parts FROM mine GROUP BY ALL)
SELECT package, stack, arg_max(version, parts) AS version, newest, max(parts) < newest_parts AS is_behind,
    count(*) AS num_versions
FROM mine JOIN newest USING (package) GROUP BY package, stack, newest, newest_parts;

-- question: match
WITH hits AS (SELECT DISTINCT hash FROM specs SEMI JOIN environment USING (hash)),
candidates AS (
    SELECT package, version, compiler, platform, os, target, variants, min(hash) AS near_hash
    FROM specs WHERE package IN (SELECT package FROM environment ANTI JOIN hits USING (hash)) GROUP BY ALL
),
pairs AS (
    SELECT e.hash, c.near_hash, (c.compiler, c.platform, c.os, c.target) AS system,
        [e.version IS DISTINCT FROM c.version, e.compiler IS DISTINCT FROM c.compiler,
         e.platform IS DISTINCT FROM c.platform, e.os IS DISTINCT FROM c.os,
         e.target IS DISTINCT FROM c.target, e.variants IS DISTINCT FROM c.variants] AS flags
    FROM (FROM environment ANTI JOIN hits USING (hash)) e JOIN candidates c USING (package)
),
closest AS (
    FROM pairs
    QUALIFY rank() OVER (PARTITION BY hash ORDER BY len(list_filter(flags, lambda one: one)), flags) = 1
),
systems AS (SELECT system::VARCHAR AS name, count(DISTINCT hash) AS others FROM closest GROUP BY ALL),
nearest AS (
    SELECT hash, arg_min(near_hash, {'others': -others, 'hash': near_hash}) AS near_hash
    FROM closest JOIN systems ON system::VARCHAR = name GROUP BY ALL
)
SELECT package, environment.hash,
    CASE WHEN near_hash IS NOT NULL THEN 'near' WHEN hits.hash IS NOT NULL THEN 'hit' ELSE 'miss' END AS status,
    near_hash
FROM environment LEFT JOIN hits USING (hash) LEFT JOIN nearest USING (hash);

-- question: hit_rates
WITH listed AS (
    SELECT DISTINCT snapshot, stack, hash, package FROM specs
    WHERE stack IS DISTINCT FROM 'root'
    AND (hash IN (SELECT hash FROM environment) OR package IN (SELECT package FROM environment))
),
hits AS (SELECT snapshot, stack, hash FROM listed SEMI JOIN environment USING (hash)),
alike AS (
    SELECT DISTINCT listed.snapshot, listed.stack, environment.hash FROM listed JOIN environment USING (package)
)
SELECT snapshot, stack, coalesce(num_hits, 0) AS hits, coalesce(num_near, 0) AS near
FROM (SELECT DISTINCT snapshot, stack FROM specs WHERE stack IS DISTINCT FROM 'root')
LEFT JOIN (SELECT snapshot, stack, count(*) AS num_hits FROM hits GROUP BY ALL) USING (snapshot, stack)
LEFT JOIN (
    SELECT snapshot, stack, count(*) AS num_near FROM alike ANTI JOIN hits USING (snapshot, stack, hash) GROUP BY ALL
) USING (snapshot, stack);

-- question: gaps_weighed
WITH RECURSIVE named AS (
    SELECT hash AS dependency_hash, package AS dependency_package FROM specs
    UNION SELECT dependency_hash, dependency_package FROM dependencies WHERE dependency_package IS NOT NULL
),
edges AS (
    SELECT DISTINCT hash, dependency_hash, named.dependency_package
    FROM dependencies LEFT JOIN named USING (dependency_hash)
),
direct AS (SELECT DISTINCT package, dependency_hash, dependency_package FROM specs JOIN edges USING (hash)),
below AS (
    FROM direct UNION
    SELECT package, edges.dependency_hash, edges.dependency_package
    FROM below JOIN edges ON below.dependency_hash = edges.hash
),
all_dependents AS (
    SELECT dependency_package AS package, count(DISTINCT package) AS num FROM below
    WHERE package <> dependency_package GROUP BY ALL
),
direct_dependents AS (
    SELECT dependency_package AS package, count(DISTINCT package) AS num FROM direct
    WHERE package <> dependency_package GROUP BY ALL
),
cells AS (SELECT DISTINCT target, package FROM specs)
SELECT target, package, num_columns, coalesce(d.num, 0) AS num_direct_dependents, coalesce(a.num, 0) AS num_dependents
FROM (
    FROM (SELECT DISTINCT target FROM cells), (SELECT package, count(*) AS num_columns FROM cells GROUP BY ALL)
) ANTI JOIN cells USING (target, package)
LEFT JOIN direct_dependents d USING (package) LEFT JOIN all_dependents a USING (package);

-- question: holes
WITH RECURSIVE cached AS (SELECT DISTINCT package, version, hash FROM specs),
needs AS (
    SELECT DISTINCT hash, dependency_hash FROM dependencies SEMI JOIN cached USING (hash)
    WHERE (is_link OR is_run) AND is_external IS NOT TRUE
),
reached AS (
    SELECT hash, dependency_hash AS missing, 1 AS distance FROM needs
    WHERE dependency_hash NOT IN (SELECT hash FROM cached)
    UNION
    SELECT needs.hash, missing, distance + 1 FROM reached JOIN needs ON needs.dependency_hash = reached.hash
)
SELECT package, version, hash, count(DISTINCT missing) AS missing, arg_min(missing, (distance, missing)) AS missing_hash
FROM reached JOIN cached USING (hash) GROUP BY ALL;

-- question: duplicates_differs
WITH distinct_specs AS (
    SELECT DISTINCT snapshot, package, version, platform, os, target, compiler, variants, flags, namespace, hash FROM specs
),
members AS (
    SELECT *, count(*) OVER same AS hashes, min(hash) OVER same AS first FROM distinct_specs
    WINDOW same AS (
        PARTITION BY snapshot, package, version, platform, os, target, compiler, variants, flags, namespace
    )
    QUALIFY hashes > 1
),
edges AS (
    SELECT DISTINCT snapshot, hash, dependency_hash, coalesce(dependency_package, dependency_hash) AS needed
    FROM dependencies
),
counts AS (
    SELECT snapshot, first, needed FROM members JOIN edges USING (snapshot, hash)
    GROUP BY snapshot, first, hashes, needed HAVING count(*) <> hashes * count(DISTINCT dependency_hash)
),
differing AS (SELECT snapshot, first, string_agg(needed, ',' ORDER BY needed) AS differs FROM counts GROUP BY ALL)
SELECT snapshot, package, version, platform, os, target, compiler, variants, flags, namespace, hashes,
    hashes - 1 AS excess, coalesce(differs, '') AS differs
FROM (SELECT DISTINCT ON (snapshot, first) * EXCLUDE hash FROM members) LEFT JOIN differing USING (snapshot, first);

-- question: find
SELECT DISTINCT snapshot, package, version, hash
FROM specs
WHERE package = 'libpackage-0004' AND version_key >= 'v0003.'
    AND target IN (SELECT runs_on FROM targets WHERE targets.target = 'x86_64_v3');

-- question: find_anywhere
SELECT DISTINCT snapshot, package, version, hash
FROM specs
WHERE version_key >= 'v0006.' AND contains(' ' || variants || ' ', ' build_system=cmake ')
    AND compiler_name = 'gcc' AND CAST(string_split(compiler_version, '.') AS INTEGER[]) >= [12]
    AND target IN (SELECT runs_on FROM targets WHERE targets.target = 'x86_64_v3');

-- question: find_below
WITH RECURSIVE direct AS (SELECT DISTINCT hash, is_link OR is_run AS passes FROM dependencies WHERE dependency_package = 'mpich'),
above AS (
    SELECT hash FROM direct WHERE passes
    UNION
    SELECT dependencies.hash FROM dependencies JOIN above ON dependency_hash = above.hash WHERE is_link OR is_run
)
SELECT DISTINCT snapshot, package, version, hash
FROM specs WHERE hash IN (SELECT hash FROM direct UNION SELECT hash FROM above);

-- question: dependents
WITH RECURSIVE direct AS (SELECT DISTINCT hash FROM dependencies WHERE dependency_package = 'zlib-ng'),
above AS (
    SELECT hash FROM direct
    UNION
    SELECT dependencies.hash FROM dependencies JOIN above ON dependency_hash = above.hash
)
SELECT package, os, count(DISTINCT specs.hash) FILTER (direct.hash IS NOT NULL) AS num_direct,
    count(DISTINCT specs.hash) FILTER (above.hash IS NOT NULL) AS num_specs, count(DISTINCT specs.hash) AS num_all
FROM specs LEFT JOIN direct ON specs.hash = direct.hash LEFT JOIN above ON specs.hash = above.hash
GROUP BY ALL HAVING num_specs > 0;
