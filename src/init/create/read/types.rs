//! What tables need besides: types, sequences, collations, and objects that have a key on both sides.

use super::tables::{element, piece, said};
use crate::catalog::readable;

/// Types and what they are made of, as far as they aren't the server's own.
pub(super) fn types_sql() -> String {
    format!(
        "with recursive reached(oid) as (
           select distinct unnest($1::oid[])::bigint
           union
           select part.oid
           from reached r
           join pg_type t on t.oid = r.oid
           join pg_namespace n on n.oid = t.typnamespace
             and n.nspname <> 'pg_catalog', lateral ({parts}) as part(oid)
         )
         select t.oid::bigint, {schema} as schema, {name} as name, t.typtype::text as sort,
           coalesce(c.relkind <> 'c', false) as row,
           array(
             select {label}
             from pg_enum e
             where e.enumtypid = t.oid
             order by e.enumsortorder
           ) as labels, case
             when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod)
             else ''
           end as written,
           coalesce({base}, 0) as base, case
             when t.typtype = 'd' and t.typcollation <> b.typcollation then t.typcollation
             else 0
           end::bigint as collation,
           t.typnotnull as not_null, case
             when t.typdefaultbin is not null then {default}
           end as default, {checks} as checks, {attributes} as attributes,
           {comment} as comment
         from reached r
         join pg_type t on t.oid = r.oid
         join pg_namespace n on n.oid = t.typnamespace
         left join pg_class c on c.oid = t.typrelid
         left join pg_type b on b.oid = t.typbasetype
         where n.nspname <> 'pg_catalog'
         order by n.nspname, t.typname",
        parts = parts_of_type(),
        schema = readable("n.nspname"),
        name = readable("t.typname"),
        label = said("e.enumlabel::text"),
        base = element("t.typbasetype"),
        default = piece(
            ("pg_get_expr(t.typdefaultbin, 0)", "t.typdefaultbin::text"),
            ("pg_type", "t.oid"),
            "0",
            "0",
            "",
        ),
        checks = checks_of_domain(),
        attributes = attributes_of_row(),
        comment = said("obj_description(t.oid, 'pg_type')"),
    )
}

/// The types that a type is made of, and those that a domain's conditions name.
fn parts_of_type() -> String {
    format!(
        "select {base}
         where t.typbasetype <> 0
         union all
         select {attribute}
         from pg_attribute a
         where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped
         union all
         select {needed}
         from pg_constraint k
         join pg_depend d on d.classid = 'pg_constraint'::regclass
           and d.objid = k.oid
           and d.refclassid = 'pg_type'::regclass
         where k.contypid = t.oid",
        base = element("t.typbasetype"),
        attribute = element("a.atttypid"),
        needed = element("d.refobjid"),
    )
}

/// A domain's conditions.
fn checks_of_domain() -> String {
    format!(
        "(
           select coalesce(
             json_agg(
               json_build_object(
                 'name', {checked}, 'piece', {check}, 'valid', k.convalidated
               ) order by k.conname
             ),
             '[]'
           )
           from pg_constraint k
           where k.contypid = t.oid and k.contype = 'c'
         )",
        checked = said("k.conname::text"),
        check = piece(
            ("pg_get_constraintdef(k.oid)", "k.conbin::text"),
            ("pg_constraint", "k.oid"),
            "0",
            "0",
            "",
        ),
    )
}

/// The attributes of a type that is a row.
fn attributes_of_row() -> String {
    format!(
        "(
           select coalesce(
             json_agg(
               json_build_object(
                 'name', {attribute}, 'written', format_type(a.atttypid, a.atttypmod), 'kind',
                 {of},
                 'collation', case
                   when a.attcollation <> y.typcollation then a.attcollation
                   else 0
                 end::bigint
               ) order by a.attnum
             ),
             '[]'
           )
           from pg_attribute a
           join pg_type y on y.oid = a.atttypid
           where a.attrelid = t.typrelid
             and c.relkind = 'c'
             and a.attnum > 0
             and not a.attisdropped
         )",
        attribute = said("a.attname::text"),
        of = element("a.atttypid"),
    )
}

pub(super) const SEQUENCES: &str =
    "select c.oid::bigint, n.nspname::text as schema, c.relname::text as name,
       format_type(s.seqtypid, null) as written, s.seqstart as start, s.seqincrement as step,
       s.seqmin as min, s.seqmax as max, s.seqcache as cache, s.seqcycle as cycle,
       (
         select json_build_array(d.refobjid::bigint, d.refobjsubid)
         from pg_depend d
         where d.classid = 'pg_class'::regclass
           and d.objid = c.oid
           and d.refclassid = 'pg_class'::regclass
           and d.deptype = 'a'
         limit 1
       ) as owner
     from pg_sequence s
     join pg_class c on c.oid = s.seqrelid
     join pg_namespace n on n.oid = c.relnamespace
     where c.oid = any ($1)";

pub(super) const COLLATIONS: &str =
    "select c.oid::bigint, n.nspname::text as schema, c.collname::text as name,
       c.collprovider::text as provider, c.collisdeterministic as deterministic,
       coalesce(
         to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale',
         nullif(c.collcollate::text, '')
       ) as locale,
       to_jsonb(c) ->> 'collicurules' as rules
     from pg_collation c
     join pg_namespace n on n.oid = c.collnamespace
     where c.oid = any ($1) and n.nspname <> 'pg_catalog'";

/// A sort of objects, and where the server has them.
struct Sort {
    word: &'static str,
    name: &'static str,
    class: &'static str,
    /// What tells objects of one name apart.
    args: &'static str,
    from: &'static str,
}

const SORTS: [Sort; 6] = [
    Sort {
        word: "type",
        name: "o.typname",
        class: "pg_type",
        args: "o.typtype::text",
        from: "pg_type o join pg_namespace n on n.oid = o.typnamespace",
    },
    Sort {
        word: "function",
        name: "o.proname",
        class: "pg_proc",
        args: "(
          select coalesce(string_agg(h.spelled, ',' order by a.nth), '')
          from unnest(o.proargtypes::oid[]) with ordinality as a(oid, nth)
          join home h on h.oid = a.oid
        )",
        from: "pg_proc o join pg_namespace n on n.oid = o.pronamespace",
    },
    Sort {
        word: "operator",
        name: "o.oprname",
        class: "pg_operator",
        args: "(
          select coalesce(string_agg(h.spelled, ',' order by a.nth), '')
          from unnest(array[o.oprleft, o.oprright]) with ordinality as a(oid, nth)
          join home h on h.oid = a.oid
        )",
        from: "pg_operator o join pg_namespace n on n.oid = o.oprnamespace",
    },
    Sort {
        word: "collation",
        name: "o.collname",
        class: "pg_collation",
        args: "''",
        from: "pg_collation o
             join pg_namespace n on n.oid = o.collnamespace
             where o.collencoding in (
               -1, (select encoding from pg_database where datname = current_database())
             )",
    },
    Sort {
        word: "opclass",
        name: "o.opcname",
        class: "pg_opclass",
        args: "(select m.amname::text from pg_am m where m.oid = o.opcmethod)",
        from: "pg_opclass o join pg_namespace n on n.oid = o.opcnamespace",
    },
    Sort {
        word: "access method",
        name: "o.amname",
        class: "pg_am",
        args: "''",
        from: "pg_am o join pg_namespace n on n.nspname = 'pg_catalog'",
    },
];

impl Sort {
    /// All objects of it, each as `o`.
    fn sql(&self) -> String {
        format!(
            "select '{word}' as sort, o.oid::bigint as oid, {schema} as schema,
               {readable} as name, {extension} as extension, {args} as args
             from {from}",
            word = self.word,
            schema = readable("n.nspname"),
            readable = readable(self.name),
            extension = extension(self.class, "o.oid"),
            args = self.args,
            from = self.from,
        )
    }
}

/// The extension that an object came with.
fn extension(class: &str, oid: &str) -> String {
    format!(
        "(
           select e.extname::text
           from pg_depend d
           join pg_extension e on e.oid = d.refobjid
           where d.classid = '{class}'::regclass
             and d.objid = {oid}
             and d.deptype = 'e'
             and d.refclassid = 'pg_extension'::regclass
           limit 1
         )"
    )
}

/// Objects with a key that is the same on both sides.
pub(super) fn objects_sql(which: &str) -> String {
    let branches: Vec<_> = SORTS.iter().map(Sort::sql).collect();
    format!(
        "with home as materialized (
           select t.oid,
             concat(coalesce('of ' || {of_type}, {schema}), '.', {readable}) as spelled
           from pg_type t
           join pg_namespace n on n.oid = t.typnamespace
         )
         select o.sort, o.oid, o.schema, o.name, o.extension,
           concat_ws(
             ' ', o.sort, coalesce('of ' || o.extension, 'in ' || o.schema), o.name, o.args
           ) as key from ({branches}) as o
         where {which}",
        of_type = extension(
            "pg_type",
            "case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end",
        ),
        schema = readable("n.nspname"),
        readable = readable("t.typname"),
        branches = branches.join(" union all ")
    )
}
