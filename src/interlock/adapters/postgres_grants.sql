-- The queries that plan how to take columns away from a role, by name. $1 is the role's name.

-- name: role
SELECT r.rolsuper AS superuser,
    EXISTS (SELECT FROM pg_roles a WHERE a.rolname = 'pg_read_all_data' AND pg_has_role(r.oid, a.oid, 'MEMBER')) AS reads_all
FROM pg_roles r
WHERE r.rolname = $1;

-- The tables $2 (schemas) and $3 (names), what inherits from them or is a part of them, and the views over any of these.
-- PostgreSQL does not note which columns a view reads when it reads whole rows: every view counts. $4 are names of columns, one
-- for each table; those that a relation has of a table's are hidden in it, and all of a view is.
-- name: relations
WITH RECURSIVE asked (oid, hidden) AS (
    SELECT c.oid, array_agg(u.hidden)
    FROM unnest($2::text[], $3::text[], $4::text[]) u (schema, name, hidden)
    JOIN pg_namespace n ON n.nspname = u.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = u.name AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
    GROUP BY c.oid),
tables (oid, hidden) AS (
    SELECT oid, hidden FROM asked
    UNION
    SELECT i.inhrelid, t.hidden FROM tables t JOIN pg_inherits i ON i.inhparent = t.oid),
reads (view, source) AS (
    SELECT r.ev_class, d.refobjid
    FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> d.refobjid
    JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass),
views (oid) AS (
    SELECT r.view FROM tables t JOIN reads r ON r.source = t.oid
    UNION
    SELECT r.view FROM views v JOIN reads r ON r.source = v.oid),
hidden (oid, names) AS (
    SELECT t.oid, array_agg(DISTINCT h) FROM tables t, unnest(t.hidden) h
    WHERE t.oid NOT IN (SELECT oid FROM views) GROUP BY t.oid)
SELECT c.oid, n.nspname, c.relname, c.relkind::text, pg_get_userbyid(c.relowner) AS owner,
    ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND (h.names IS NULL OR a.attname = ANY (h.names)) AND has_column_privilege($1, c.oid, a.attnum, 'SELECT')
        ORDER BY a.attnum) AS readable_hidden,
    ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attname <> ALL (h.names) AND has_column_privilege($1, c.oid, a.attnum, 'SELECT')
        ORDER BY a.attnum) AS readable_others,
    ARRAY(SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum) AS columns,
    ARRAY(SELECT DISTINCT coalesce(g.rolname, '')
        FROM (SELECT x.* FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) x
            UNION ALL SELECT x.* FROM pg_attribute a, aclexplode(a.attacl) x
            WHERE a.attrelid = c.oid AND (h.names IS NULL OR a.attname = ANY (h.names))) p
        LEFT JOIN pg_roles g ON g.oid = p.grantee
        WHERE p.privilege_type = 'SELECT' AND coalesce(g.rolname, '') <> $1
            AND (p.grantee = 0 OR pg_has_role($1, p.grantee, 'MEMBER'))) AS through
FROM (SELECT oid FROM tables UNION SELECT oid FROM views) o
JOIN pg_class c ON c.oid = o.oid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN hidden h ON h.oid = o.oid
ORDER BY h.names IS NULL, n.nspname, c.relname;
