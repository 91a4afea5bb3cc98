-- What makes a sample database hostile: built-in names and operators that sometimes mean something else.

CREATE FUNCTION length(mood) RETURNS integer LANGUAGE sql STABLE AS 'SELECT pin FROM public.users WHERE id = 1';
CREATE FUNCTION upper(user_ref) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM public.users WHERE id = $1.id';
CREATE FUNCTION same_text(text, mood) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RAISE NOTICE 'compared %', $1; RETURN false; END $$;
CREATE FUNCTION same_code(varchar, varchar) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RAISE NOTICE 'compared %', $1; RETURN $1::text OPERATOR(pg_catalog.=) $2::text; END $$;
CREATE FUNCTION tell(integer, mood) RETURNS text LANGUAGE sql STABLE AS 'SELECT email FROM public.users WHERE id = $1';
CREATE OPERATOR = (LEFTARG = text, RIGHTARG = mood, FUNCTION = same_text);
CREATE OPERATOR = (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = same_code);
CREATE OPERATOR + (LEFTARG = integer, RIGHTARG = mood, FUNCTION = tell);
