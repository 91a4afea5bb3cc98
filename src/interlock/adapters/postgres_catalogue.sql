-- The queries that read a PostgreSQL catalogue (13 to 18), by name. They need no privilege, expect pg_catalog as the
-- search_path, and return at most $1 rows. Relations and routines of pg_catalog, information_schema, pg_toast and of
-- temporary schemas are left out (the server reserves names that begin with pg_), but for four views that show other
-- people's values. A definition of more than 1,048,576 characters is left out, so that what it defines is opaque.

-- name: relations
WITH outside (oid) AS (
    SELECT p.oid FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    WHERE NOT EXISTS (SELECT FROM pg_depend x
        WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'e')),
used (class, object) AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN outside ON outside.oid = d.refobjid
    WHERE d.refclassid = 'pg_proc'::regclass),
coded (oid) AS (
    SELECT e.adrelid FROM pg_attrdef e JOIN used ON used.class = 'pg_attrdef'::regclass AND used.object = e.oid
    UNION SELECT k.conrelid FROM pg_constraint k
        JOIN used ON used.class = 'pg_constraint'::regclass AND used.object = k.oid
    UNION SELECT i.indrelid FROM pg_index i JOIN used ON used.class = 'pg_class'::regclass AND used.object = i.indexrelid
    UNION SELECT p.polrelid FROM pg_policy p JOIN used ON used.class = 'pg_policy'::regclass AND used.object = p.oid)
SELECT c.oid, n.nspname, c.relname, c.relkind::text,
    ARRAY(SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = c.oid ORDER BY i.inhseqno) AS parents,
    ARRAY(SELECT a.attname FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (k.conkey)
        WHERE k.conrelid = c.oid AND k.contype = 'p' ORDER BY a.attnum) AS key,
    CASE WHEN length(v.definition) <= 1048576 THEN v.definition END AS definition,
    EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
        OR c.oid IN (SELECT coded.oid FROM coded) AS triggers,
    EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') AS rules
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    OR n.nspname = 'pg_catalog' AND c.relname IN ('pg_stat_activity', 'pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs'))
LEFT JOIN LATERAL (SELECT pg_get_viewdef(c.oid)) v (definition) ON c.relkind IN ('v', 'm')
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
ORDER BY c.oid
LIMIT $1;

-- name: columns
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.attgenerated <> '' AS generated,
    CASE WHEN length(g.expression) <= 1048576 THEN g.expression END AS expression
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace AND (n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    OR n.nspname = 'pg_catalog' AND c.relname IN ('pg_stat_activity', 'pg_stats', 'pg_stats_ext', 'pg_stats_ext_exprs'))
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef e ON e.adrelid = a.attrelid AND e.adnum = a.attnum AND a.attgenerated <> ''
LEFT JOIN LATERAL (SELECT pg_get_expr(e.adbin, e.adrelid)) g (expression) ON e.oid IS NOT NULL
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
ORDER BY a.attrelid, a.attnum
LIMIT $1;

-- name: types
SELECT t.oid, n.nspname, t.typname, t.typcategory::text, t.typbasetype AS base
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
LIMIT $1;

-- name: foreign_keys
SELECT k.conrelid, k.confrelid,
    ARRAY(SELECT a.attname FROM unnest(k.conkey) WITH ORDINALITY u (number, place)
        JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place) AS columns,
    ARRAY(SELECT a.attname FROM unnest(k.confkey) WITH ORDINALITY u (number, place)
        JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.number ORDER BY u.place) AS targets,
    k.confdeltype NOT IN ('a', 'r') OR k.confupdtype NOT IN ('a', 'r') AS cascades
FROM pg_constraint k
WHERE k.contype = 'f'
ORDER BY k.conrelid, k.oid
LIMIT $1;

-- name: view_sources
SELECT DISTINCT r.ev_class AS view, d.refobjid AS source
FROM pg_rewrite r
JOIN pg_class c ON c.oid = r.ev_class AND c.relkind = 'v'
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
    AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
LIMIT $1;

-- name: tags
(SELECT objoid, objsubid, description AS text, false AS label FROM pg_description
    WHERE classoid = 'pg_class'::regclass AND strpos(description, 'interlock:tags=') > 0 AND length(description) <= 1048576
    UNION ALL
    SELECT objoid, objsubid, label, true FROM pg_seclabel
    WHERE classoid = 'pg_class'::regclass AND provider = 'interlock')
LIMIT $1;

-- name: routines
SELECT p.oid, n.nspname, p.proname, p.prokind::text, l.lanname, x.extname, p.pronargs,
    CASE WHEN length(b.body) <= 1048576 THEN b.body END AS body,
    ARRAY(SELECT DISTINCT s.oid FROM unnest(ARRAY[g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn,
            g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn]::oid[]) s (oid)
        WHERE s.oid <> 0 ORDER BY s.oid) AS supports
FROM pg_proc p
JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
JOIN pg_language l ON l.oid = p.prolang
LEFT JOIN pg_aggregate g ON g.aggfnoid = p.oid
LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
    AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
LEFT JOIN pg_extension x ON x.oid = d.refobjid
LEFT JOIN LATERAL (SELECT coalesce(pg_get_function_sqlbody(p.oid), p.prosrc)) b (body) ON l.lanname = 'sql'
ORDER BY p.oid
LIMIT $1;

-- name: operators
SELECT n.nspname, o.oprname, o.oprcode::oid AS routine
FROM pg_operator o
JOIN pg_namespace n ON n.oid = o.oprnamespace AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
WHERE o.oprcode <> 0
ORDER BY o.oid
LIMIT $1;

-- Functions of casts, functions of domains' checks, and functions of operators in such checks. What runs for a type also runs
-- for domains over it and for arrays of it.
-- name: type_code
WITH RECURSIVE outside (oid) AS (
    SELECT p.oid FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'),
checks (type, class, object) AS (
    SELECT k.contypid, d.refclassid, d.refobjid
    FROM pg_constraint k JOIN pg_depend d ON d.classid = 'pg_constraint'::regclass AND d.objid = k.oid
    WHERE k.contypid <> 0),
direct (type, source, routine) AS (
    SELECT casttarget, castsource, castfunc FROM pg_cast
    UNION SELECT type, 0, object FROM checks WHERE class = 'pg_proc'::regclass
    UNION SELECT h.type, 0, o.oprcode::oid FROM checks h
        JOIN pg_operator o ON h.class = 'pg_operator'::regclass AND o.oid = h.object),
code (type, source, routine) AS (
    SELECT direct.type, direct.source, outside.oid FROM direct JOIN outside ON outside.oid = direct.routine
    UNION
    SELECT t.oid, code.source, code.routine FROM code JOIN pg_type t
        ON (t.typtype = 'd' AND t.typbasetype = code.type) OR (t.typcategory = 'A' AND t.typelem = code.type))
SELECT n.nspname, t.typname, code.routine, coalesce(s.typname, '') AS source
FROM code JOIN pg_type t ON t.oid = code.type JOIN pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_type s ON s.oid = code.source
ORDER BY t.oid, code.source, code.routine
LIMIT $1;
