//! What tables are made of: columns, constraints and indexes, each definition with what it needs.

use crate::catalog::readable;

/// A text, or nothing where it isn't UTF-8 in a database without an encoding.
pub(super) fn said(text: &str) -> String {
    format!(
        "case when {readable} = ({text})::text then ({text})::text end",
        readable = readable(&format!("({text})"))
    )
}

/// A type, or that of an array's elements.
pub(super) fn element(oid: &str) -> String {
    format!(
        "(
           select case when e.typcategory = 'A' and e.typelem <> 0 then e.typelem else e.oid end
           from pg_type e
           where e.oid = {oid}
         )::bigint"
    )
}

/// A definition with what it needs. Functions and operators stand in the tree by number, also those that come with the server:
/// an older one may not have them. Everything else that isn't the server's own is a dependency.
pub(super) fn piece(
    (text, tree): (&str, &str),
    (class, oid): (&str, &str),
    but: &str,
    least: &str,
    more: &str,
) -> String {
    let found = |sort: &str, words: &str| {
        format!(
            r#"select '{sort}', m[1]::bigint
               from regexp_matches({tree}, ':(?:{words}) (\d+)', 'g') as m"#
        )
    };
    format!(
        r#"json_build_object(
             'text', {text}, 'version',
             greatest(
               {least}, case
               when {tree} ~ '\{{JSONEXPR ' then 17
               when {tree} ~ '\{{JSON(ISPREDICATE|CONSTRUCTOREXPR) ' then 16
               else 0
               end
             ),
             'needs',
             (
               select coalesce(json_agg(json_build_array(needs.sort, needs.oid)), '[]')
               from (
                 {functions}
                 union {operators}
                 union {collations}
                 union
                 select 'type', {element}
                 from pg_depend dep
                 where dep.classid = '{class}'::regclass
                   and dep.objid = {oid}
                   and dep.refclassid = 'pg_type'::regclass
                   and dep.deptype = 'n'
                 union
                 select 'relation', dep.refobjid::bigint
                 from pg_depend dep
                 where dep.classid = '{class}'::regclass
                   and dep.objid = {oid}
                   and dep.refclassid = 'pg_class'::regclass
                   and dep.refobjid <> {but}
                   and dep.deptype = 'n' {more}
               ) as needs(sort, oid)
               where needs.oid <> 0
             )
           )"#,
        text = said(text),
        functions = found("function", "funcid|opfuncid"),
        operators = found("operator", "opno"),
        collations = found("collation", "collOid"),
        element = element("dep.refobjid"),
    )
}

pub(super) fn tables_sql() -> String {
    format!(
        "select c.oid::bigint, {schema} as schema, {relation} as relation,
           c.relkind::text as kind, c.relpersistence::text as persistence,
           array(
             select {parent}
             from pg_inherits i
             join pg_class p on p.oid = i.inhparent
             where i.inhrelid = c.oid and not c.relispartition
             order by i.inhseqno
           ) as inherits,
           {comment} as comment
         from pg_class c
         join pg_namespace n on n.oid = c.relnamespace
         where c.oid = any ($1)
         order by n.nspname, c.relname",
        schema = readable("n.nspname"),
        relation = readable("c.relname"),
        parent = readable("p.relname"),
        comment = said("obj_description(c.oid, 'pg_class')"),
    )
}

pub(super) fn columns_sql() -> String {
    format!(
        "select a.attrelid::bigint as table, a.attnum as number, {name} as name,
           format_type(a.atttypid, a.atttypmod) as written,
           {kind} as kind, case
             when a.attcollation <> t.typcollation then a.attcollation
             else 0
           end::bigint as collation,
           a.attnotnull and v.unproven is null as not_null,
           v.unproven is not null as unproven, case
             when d.oid is not null then {default}
           end as default,
           a.attgenerated::text as generated, a.attidentity::text as identity,
           coalesce(
             (
               select s.objid
               from pg_depend s
               join pg_class q on q.oid = s.objid and q.relkind = 'S'
               where s.classid = 'pg_class'::regclass
                 and s.refclassid = 'pg_class'::regclass
                 and s.refobjid = a.attrelid
                 and s.refobjsubid = a.attnum
                 and s.deptype = 'i'
                 and a.attidentity <> ''
             ),
             0
           )::bigint as sequence,
           {comment} as comment
         from pg_attribute a
         join pg_type t on t.oid = a.atttypid
         left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
         left join lateral (
           select true as unproven
           from pg_constraint k
           where k.conrelid = a.attrelid
             and k.contype = 'n'
             and k.conkey = array[a.attnum]
             and not k.convalidated
           limit 1
         ) v on true
         where a.attrelid = any ($1) and a.attnum > 0 and not a.attisdropped
         order by a.attrelid, a.attnum",
        name = said("a.attname::text"),
        kind = element("a.atttypid"),
        default = piece(
            ("pg_get_expr(d.adbin, d.adrelid)", "d.adbin::text"),
            ("pg_attrdef", "d.oid"),
            "d.adrelid",
            "0",
            ""
        ),
        comment = said("col_description(a.attrelid, a.attnum)"),
    )
}

/// Operator classes, collations that are written, and the access method of an index.
fn of_index(when: &str) -> String {
    format!(
        "union
         select 'opclass', unnest(i.indclass::oid[])::bigint
         where {when}
         union
         select 'collation', unnest(i.indcollation::oid[])::bigint
         where {when} and pg_get_indexdef(i.indexrelid) ~ 'COLLATE'
         union
         select 'access method', c.relam::bigint
         from pg_class c
         where c.oid = i.indexrelid and {when}"
    )
}

pub(super) fn constraints_sql() -> String {
    // Newer columns of the catalog are asked for by their names, which older servers don't have.
    let news = "case when k.contype = 'f' and (to_jsonb(k) ->> 'confdelsetcols') is not null or coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) then 15 else 0 end";
    let newest = "coalesce((to_jsonb(k) ->> 'conperiod')::bool, false) or not coalesce((to_jsonb(k) ->> 'conenforced')::bool, true)";
    let tree = "concat(k.conbin::text, case when k.contype <> 'f' then concat(i.indexprs::text, i.indpred::text) end)";
    let whole = piece(
        ("pg_get_constraintdef(k.oid)", tree),
        ("pg_constraint", "k.oid"),
        // A foreign key's parent is looked at apart.
        "k.conrelid and k.contype <> 'f'",
        &format!("case when {newest} then 18 else {news} end"),
        &of_index("k.contype <> 'f'"),
    );
    format!(
        "select k.conrelid::bigint as table, {name} as name, k.contype::text as sort,
           coalesce(k.conkey, '{{}}') as columns, {whole} as piece,
           k.convalidated or not coalesce((to_jsonb(k) ->> 'conenforced')::bool, true) as valid,
           k.confrelid::bigint as parent, {parent} as parent_name, k.conindid::bigint as index,
           {comment} as comment
         from pg_constraint k
         left join pg_index i on i.indexrelid = k.conindid
         left join pg_class p on p.oid = k.confrelid
         where k.conrelid = any ($1)
           and k.contype in ('p', 'u', 'x', 'c', 'f')
           and k.conparentid = 0
         order by k.conrelid, position(k.contype::text in 'puxcf'), k.conname",
        name = said("k.conname::text"),
        parent = said("p.relname::text"),
        comment = said("obj_description(k.oid, 'pg_constraint')"),
    )
}

pub(super) fn indexes_sql() -> String {
    let whole = piece(
        (
            "pg_get_indexdef(i.indexrelid)",
            "concat(i.indexprs::text, i.indpred::text)",
        ),
        ("pg_class", "i.indexrelid"),
        "i.indrelid",
        "case when coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) then 15 else 0 end",
        &of_index("true"),
    );
    format!(
        "select i.indexrelid::bigint as oid, i.indrelid::bigint as table, {name} as name,
           {quoted} as written,
           array(
             select distinct n.number
             from (
               select unnest(i.indkey::int2[])
               union all
               select d.refobjsubid::int2
               from pg_depend d
               where d.classid = 'pg_class'::regclass
                 and d.objid = i.indexrelid
                 and d.refclassid = 'pg_class'::regclass
                 and d.refobjid = i.indrelid
             ) as n(number)
             where n.number > 0
           ) as columns,
           {whole} as piece, {comment} as comment
         from pg_index i
         join pg_class x on x.oid = i.indexrelid
         where i.indrelid = any ($1)
           and i.indisvalid
           and i.indislive
           and not exists (
             select
             from pg_constraint k
             where k.conindid = i.indexrelid
               and k.conrelid = i.indrelid
               and k.contype in ('p', 'u', 'x')
           )
         order by i.indrelid, x.relname",
        name = said("x.relname::text"),
        quoted = said("quote_ident(x.relname)"),
        comment = said("obj_description(i.indexrelid, 'pg_class')"),
    )
}
