-- One value that is another one when the schema or the rows of a sample database have changed. Temporary objects do not count.

SELECT md5(concat_ws(';',
    (SELECT string_agg(concat_ws(',', oid, relname, relnamespace, relkind, relrowsecurity), ' ' ORDER BY oid)
        FROM pg_class WHERE oid >= 16384 AND relpersistence <> 't'),
    (SELECT string_agg(concat_ws(',', attrelid, attnum, attname, atttypid, attnotnull), ' ' ORDER BY attrelid, attnum)
        FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE c.oid >= 16384 AND relpersistence <> 't'),
    (SELECT string_agg(concat_ws(',', p.oid, proname, pronamespace, prosrc), ' ' ORDER BY p.oid)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace WHERE p.oid >= 16384 AND nspname !~ '^pg_temp'),
    (SELECT string_agg(ev_action::text, ' ' ORDER BY r.oid)
        FROM pg_rewrite r JOIN pg_class c ON c.oid = ev_class WHERE c.oid >= 16384 AND relpersistence <> 't'),
    (SELECT string_agg(pg_get_expr(adbin, adrelid), ' ' ORDER BY d.oid)
        FROM pg_attrdef d JOIN pg_class c ON c.oid = adrelid WHERE relpersistence <> 't'),
    (SELECT string_agg(concat_ws(',', oid, conname), ' ' ORDER BY oid)
        FROM pg_constraint WHERE connamespace IN (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_temp')),
    (SELECT string_agg(nspname, ' ' ORDER BY oid) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'),
    (SELECT string_agg(concat_ws(',', inhrelid, inhparent), ' ' ORDER BY inhrelid) FROM pg_inherits),
    (SELECT string_agg(enumlabel, ' ' ORDER BY oid) FROM pg_enum),
    (SELECT string_agg(setconfig::text, ' ') FROM pg_db_role_setting),
    (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_operator), (SELECT count(*) FROM pg_cast),
    (SELECT count(*) FROM pg_type WHERE typtype IN ('d', 'e')), (SELECT count(*) FROM pg_policy),
    (SELECT count(*) FROM pg_event_trigger), (SELECT count(*) FROM pg_statistic_ext), (SELECT count(*) FROM pg_collation),
    (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_description WHERE objoid >= 16384),
    (SELECT string_agg(concat(u, u.ctid), ' ' ORDER BY id) FROM public.users u),
    (SELECT string_agg(l::text, ' ' ORDER BY id) FROM public.logins l),
    (SELECT string_agg(p::text, ' ' ORDER BY id) FROM public.people p),
    (SELECT string_agg(e::text, ' ' ORDER BY id) FROM public.events e),
    (SELECT string_agg(s::text, ' ' ORDER BY id) FROM vault.secrets s),
    (SELECT string_agg(w::text, ' ') FROM public."Weird Table" w),
    (SELECT string_agg(o::text, ' ') FROM "Odd Schema".users o),
    (SELECT string_agg(h::text, ' ' ORDER BY id) FROM hr.users h),
    (SELECT count(*) FROM public.orders), (SELECT count(*) FROM public.audit), (SELECT count(*) FROM public.scratch),
    (SELECT count(*) FROM public.products), (SELECT count(*) FROM public.guesses), (SELECT count(*) FROM public.tattling)
))
