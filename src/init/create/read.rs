//! Reads the desktop's catalog, and what the cloud has of it. The server's own functions write the definitions, with every
//! name that isn't its own in full.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::shape::{Column, Constraint, Ground, Index, Kind, Object, Structure, Table};
use crate::catalog::{begin_with_empty_search_path, readable};
use crate::fault::{Fault, Kind as Sort, Side};

type Given<'a> = (&'a (dyn ToSql + Sync), Type);

/// Values are written as every server reads them.
const PINNED: &str = "set local datestyle = iso; set local intervalstyle = postgres; set local timezone = 'UTC'; \
    set local extra_float_digits = 3; set local bytea_output = hex; set local standard_conforming_strings = on; set local quote_all_identifiers = off";

/// What makes up these tables of the desktop.
///
/// # Errors
/// When the desktop can't be asked.
pub(super) async fn structure(client: &Client, tables: &[u32]) -> Result<Structure, Fault> {
    let begun = begin_with_empty_search_path(client).await;
    begun.map_err(|error| Fault::wire(Side::Desktop, &error))?;
    let read = within(client, tables).await;
    let ended = client.batch_execute("rollback").await;
    let read = read?;
    ended.map_err(Fault::at(Side::Desktop))?;
    Ok(read)
}

async fn within(client: &Client, tables: &[u32]) -> Result<Structure, Fault> {
    let pinned = client.batch_execute(PINNED).await;
    pinned.map_err(Fault::at(Side::Desktop))?;
    let own: [Given<'_>; 1] = [(&tables, Type::OID_ARRAY)];
    let mut found: Vec<Table> = ask(client, Side::Desktop, &tables_sql(), &own).await?;
    let columns: Vec<Column> = ask(client, Side::Desktop, &columns_sql(), &own).await?;
    let constraints: Vec<Constraint> = ask(client, Side::Desktop, &constraints_sql(), &own).await?;
    let indexes: Vec<Index> = ask(client, Side::Desktop, &indexes_sql(), &own).await?;
    for table in &mut found {
        let oid = table.oid;
        let of = |of: &u32| *of == oid;
        table.columns = columns.iter().filter(|c| of(&c.table)).cloned().collect();
        table.constraints = { constraints.iter() }
            .filter(|c| of(&c.table))
            .cloned()
            .collect();
        table.indexes = indexes.iter().filter(|i| of(&i.table)).cloned().collect();
    }
    let mut structure = Structure {
        tables: found,
        ..Structure::default()
    };
    let needs = needs_of_tables(&structure.tables);
    let reached = of_sort(&needs, "type");
    let own: [Given<'_>; 1] = [(&reached, Type::OID_ARRAY)];
    structure.types = ask(client, Side::Desktop, &types_sql(), &own).await?;
    let needs: BTreeSet<_> = { needs.into_iter() }
        .chain(needs_of_types(&structure.types))
        .collect();
    let sequences = of_sort(&needs, "relation");
    let own: [Given<'_>; 1] = [(&sequences, Type::OID_ARRAY)];
    structure.sequences = ask(client, Side::Desktop, SEQUENCES, &own).await?;
    let collations = of_sort(&needs, "collation");
    let own: [Given<'_>; 1] = [(&collations, Type::OID_ARRAY)];
    structure.collations = ask(client, Side::Desktop, COLLATIONS, &own).await?;
    let (sorts, oids): (Vec<_>, Vec<_>) = needs.into_iter().unzip();
    let both: [Given<'_>; 2] = [(&sorts, Type::TEXT_ARRAY), (&oids, Type::OID_ARRAY)];
    let asked = objects_sql(
        "(o.sort, o.oid) in (select * from unnest($1::text[], $2::oid[]) as asked(sort, oid))",
    );
    let objects: Vec<Object> = ask(client, Side::Desktop, &asked, &both).await?;
    structure.objects = { objects.into_iter() }
        .map(|object| ((object.sort.clone(), object.oid), object))
        .collect();
    Ok(structure)
}

/// What the cloud has: names that are taken, and those of the desktop's objects that it knows.
///
/// # Errors
/// When the cloud can't be asked.
pub(super) async fn ground(client: &Client, desk: &Structure) -> Result<Ground, Fault> {
    let wrong = Fault::at::<tokio_postgres::Error>(Side::Cloud);
    let sql = "select current_setting('server_version_num')::int / 10000";
    let rows = client.query_typed(sql, &[]).await.map_err(&wrong)?;
    let version = rows.first().map_or(0, |row| row.get::<_, i32>(0));
    let sql = format!("select {} from pg_namespace n", readable("n.nspname"));
    let rows = client.query_typed(&sql, &[]).await.map_err(&wrong)?;
    let schemas = rows.iter().map(|row| row.get(0)).collect();
    let taken = format!(
        "select {schema}, {relation}, c.relkind::text from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname !~ '^pg_' \
         union all select {schema}, {kind}, 't' from pg_type t join pg_namespace n on n.oid = t.typnamespace \
         where n.nspname !~ '^pg_' and t.typrelid = 0 and t.typelem = 0",
        schema = readable("n.nspname"),
        relation = readable("c.relname"),
        kind = readable("t.typname"),
    );
    let rows = client.query_typed(&taken, &[]).await.map_err(&wrong)?;
    let taken = { rows.iter() }
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect();
    let names: Vec<_> = desk.objects.values().map(|object| &object.name).collect();
    let own: [Given<'_>; 1] = [(&names, Type::TEXT_ARRAY)];
    let sql = objects_sql("o.name = any ($1)");
    let objects: Vec<Object> = ask(client, Side::Cloud, &sql, &own).await?;
    let objects: BTreeMap<_, _> = { objects.into_iter() }
        .map(|object| (object.key, object.schema))
        .collect();
    Ok(Ground {
        version: version.unsigned_abs(),
        schemas,
        taken,
        objects,
    })
}

/// Rows of a query, as the server's JSON.
async fn ask<T: DeserializeOwned>(
    client: &Client,
    side: Side,
    sql: &str,
    given: &[Given<'_>],
) -> Result<Vec<T>, Fault> {
    let sql = format!("select to_json(one)::text from ({sql}) as one");
    let rows = side.query(client, &sql, given).await?;
    let read = |row: &tokio_postgres::Row| {
        serde_json::from_str(row.get(0)).map_err(|error| {
            Fault::new(
                Sort::Internal,
                format!("internal check failed: the {side}'s catalog can't be read"),
            )
            .cause(error)
        })
    };
    rows.iter().map(read).collect()
}

fn of_sort(needs: &BTreeSet<(String, u32)>, sort: &str) -> Vec<u32> {
    let of = needs.iter().filter(|(found, _)| found == sort);
    of.map(|(_, oid)| *oid).collect()
}

fn needs_of_tables(tables: &[Table]) -> BTreeSet<(String, u32)> {
    let mut needs = BTreeSet::new();
    let mut need = |sort: &str, oid: u32| {
        if oid != 0 {
            needs.insert((sort.to_owned(), oid));
        }
    };
    for table in tables {
        for column in &table.columns {
            need("type", column.kind);
            need("collation", column.collation);
            need("relation", column.sequence);
        }
        let pieces = { table.columns.iter() }.filter_map(|column| column.default.as_ref());
        let pieces = pieces.chain(table.constraints.iter().map(|one| &one.piece));
        for piece in pieces.chain(table.indexes.iter().map(|one| &one.piece)) {
            piece.needs.iter().for_each(|(sort, oid)| need(sort, *oid));
        }
    }
    needs
}

fn needs_of_types(types: &[Kind]) -> BTreeSet<(String, u32)> {
    let mut needs = BTreeSet::new();
    for kind in types {
        needs.insert(("type".to_owned(), kind.oid));
        let parts = kind.attributes.iter().map(|part| part.collation);
        let parts = parts.chain([kind.collation]).filter(|oid| *oid != 0);
        needs.extend(parts.map(|oid| ("collation".to_owned(), oid)));
        let pieces = kind.checks.iter().map(|check| &check.piece);
        for piece in pieces.chain(&kind.default) {
            needs.extend(piece.needs.iter().cloned());
        }
    }
    needs
}

/// A text, or nothing where it isn't UTF-8 in a database without an encoding.
fn said(text: &str) -> String {
    format!(
        "case when {} = ({text})::text then ({text})::text end",
        readable(&format!("({text})"))
    )
}

/// A type, or that of an array's elements.
fn element(oid: &str) -> String {
    format!(
        "(select case when e.typcategory = 'A' and e.typelem <> 0 then e.typelem else e.oid end from pg_type e where e.oid = {oid})::bigint"
    )
}

/// A definition with what it needs. Functions and operators stand in the tree by number, also those that come with the server:
/// an older one may not have them. Everything else that isn't the server's own is a dependency.
fn piece(
    (text, tree): (&str, &str),
    (class, oid): (&str, &str),
    but: &str,
    least: &str,
    more: &str,
) -> String {
    let found = |sort: &str, words: &str| {
        format!(
            "select '{sort}', m[1]::bigint from regexp_matches({tree}, ':(?:{words}) (\\d+)', 'g') as m"
        )
    };
    format!(
        "json_build_object('text', {text}, 'version', greatest({least}, case when {tree} ~ '\\{{JSONEXPR ' then 17 when {tree} ~ '\\{{JSON(ISPREDICATE|CONSTRUCTOREXPR) ' then 16 else 0 end), \
         'needs', (select coalesce(json_agg(json_build_array(needs.sort, needs.oid)), '[]') from ({functions} union {operators} union {collations} \
            union select 'type', {element} from pg_depend dep where dep.classid = '{class}'::regclass and dep.objid = {oid} and dep.refclassid = 'pg_type'::regclass and dep.deptype = 'n' \
            union select 'relation', dep.refobjid::bigint from pg_depend dep where dep.classid = '{class}'::regclass and dep.objid = {oid} \
                and dep.refclassid = 'pg_class'::regclass and dep.refobjid <> {but} and dep.deptype = 'n' {more}) as needs(sort, oid) where needs.oid <> 0))",
        text = said(text),
        functions = found("function", "funcid|opfuncid"),
        operators = found("operator", "opno"),
        collations = found("collation", "collOid"),
        element = element("dep.refobjid"),
    )
}

fn tables_sql() -> String {
    format!(
        "select c.oid::bigint, {schema} as schema, {relation} as relation, c.relkind::text as kind, c.relpersistence::text as persistence, \
            array(select {parent} from pg_inherits i join pg_class p on p.oid = i.inhparent where i.inhrelid = c.oid and not c.relispartition order by i.inhseqno) as inherits, \
            {comment} as comment \
         from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = any ($1) order by n.nspname, c.relname",
        schema = readable("n.nspname"),
        relation = readable("c.relname"),
        parent = readable("p.relname"),
        comment = said("obj_description(c.oid, 'pg_class')"),
    )
}

fn columns_sql() -> String {
    format!(
        "select a.attrelid::bigint as table, a.attnum as number, {name} as name, format_type(a.atttypid, a.atttypmod) as written, {kind} as kind, \
            case when a.attcollation <> t.typcollation then a.attcollation else 0 end::bigint as collation, \
            a.attnotnull and v.unproven is null as not_null, v.unproven is not null as unproven, \
            case when d.oid is not null then {default} end as default, a.attgenerated::text as generated, a.attidentity::text as identity, \
            coalesce((select s.objid from pg_depend s join pg_class q on q.oid = s.objid and q.relkind = 'S' where s.classid = 'pg_class'::regclass \
                and s.refclassid = 'pg_class'::regclass and s.refobjid = a.attrelid and s.refobjsubid = a.attnum and s.deptype = 'i' and a.attidentity <> ''), 0)::bigint as sequence, \
            {comment} as comment \
         from pg_attribute a join pg_type t on t.oid = a.atttypid left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum \
         left join lateral (select true as unproven from pg_constraint k where k.conrelid = a.attrelid and k.contype = 'n' and k.conkey = array[a.attnum] and not k.convalidated limit 1) v on true \
         where a.attrelid = any ($1) and a.attnum > 0 and not a.attisdropped order by a.attrelid, a.attnum",
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
        "union select 'opclass', unnest(i.indclass::oid[])::bigint where {when} \
         union select 'collation', unnest(i.indcollation::oid[])::bigint where {when} and pg_get_indexdef(i.indexrelid) ~ 'COLLATE' \
         union select 'access method', c.relam::bigint from pg_class c where c.oid = i.indexrelid and {when}"
    )
}

fn constraints_sql() -> String {
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
        "select k.conrelid::bigint as table, {name} as name, k.contype::text as sort, coalesce(k.conkey, '{{}}') as columns, \
            {whole} as piece, \
            k.convalidated or not coalesce((to_jsonb(k) ->> 'conenforced')::bool, true) as valid, k.confrelid::bigint as parent, \
            {parent} as parent_name, k.conindid::bigint as index, {comment} as comment \
         from pg_constraint k left join pg_index i on i.indexrelid = k.conindid left join pg_class p on p.oid = k.confrelid \
         where k.conrelid = any ($1) and k.contype in ('p', 'u', 'x', 'c', 'f') and k.conparentid = 0 \
         order by k.conrelid, position(k.contype::text in 'puxcf'), k.conname",
        name = said("k.conname::text"),
        parent = said("p.relname::text"),
        comment = said("obj_description(k.oid, 'pg_constraint')"),
    )
}

fn indexes_sql() -> String {
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
        "select i.indexrelid::bigint as oid, i.indrelid::bigint as table, {name} as name, {quoted} as written, \
            array(select distinct n.number from (select unnest(i.indkey::int2[]) union all select d.refobjsubid::int2 from pg_depend d \
                where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid) as n(number) where n.number > 0) as columns, \
            {whole} as piece, \
            {comment} as comment \
         from pg_index i join pg_class x on x.oid = i.indexrelid where i.indrelid = any ($1) and i.indisvalid and i.indislive \
            and not exists (select from pg_constraint k where k.conindid = i.indexrelid and k.conrelid = i.indrelid and k.contype in ('p', 'u', 'x')) \
         order by i.indrelid, x.relname",
        name = said("x.relname::text"),
        quoted = said("quote_ident(x.relname)"),
        comment = said("obj_description(i.indexrelid, 'pg_class')"),
    )
}

/// Types and what they are made of, as far as they aren't the server's own.
fn types_sql() -> String {
    let parts = format!(
        "select {base} where t.typbasetype <> 0 union all select {attribute} from pg_attribute a where a.attrelid = t.typrelid and a.attnum > 0 and not a.attisdropped \
         union all select {needed} from pg_constraint k join pg_depend d on d.classid = 'pg_constraint'::regclass and d.objid = k.oid and d.refclassid = 'pg_type'::regclass \
            where k.contypid = t.oid",
        base = element("t.typbasetype"),
        attribute = element("a.atttypid"),
        needed = element("d.refobjid"),
    );
    let check = piece(
        ("pg_get_constraintdef(k.oid)", "k.conbin::text"),
        ("pg_constraint", "k.oid"),
        "0",
        "0",
        "",
    );
    let default = piece(
        ("pg_get_expr(t.typdefaultbin, 0)", "t.typdefaultbin::text"),
        ("pg_type", "t.oid"),
        "0",
        "0",
        "",
    );
    format!(
        "with recursive reached(oid) as (select distinct unnest($1::oid[])::bigint union select part.oid from reached r join pg_type t on t.oid = r.oid \
            join pg_namespace n on n.oid = t.typnamespace and n.nspname <> 'pg_catalog', lateral ({parts}) as part(oid)) \
         select t.oid::bigint, {schema} as schema, {name} as name, t.typtype::text as sort, coalesce(c.relkind <> 'c', false) as row, \
            array(select {label} from pg_enum e where e.enumtypid = t.oid order by e.enumsortorder) as labels, \
            case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) else '' end as written, coalesce({base}, 0) as base, \
            case when t.typtype = 'd' and t.typcollation <> b.typcollation then t.typcollation else 0 end::bigint as collation, t.typnotnull as not_null, \
            case when t.typdefaultbin is not null then {default} end as default, \
            (select coalesce(json_agg(json_build_object('name', {checked}, 'piece', {check}, 'valid', k.convalidated) order by k.conname), '[]') \
                from pg_constraint k where k.contypid = t.oid and k.contype = 'c') as checks, \
            (select coalesce(json_agg(json_build_object('name', {attribute}, 'written', format_type(a.atttypid, a.atttypmod), 'kind', {of}, \
                'collation', case when a.attcollation <> y.typcollation then a.attcollation else 0 end::bigint) order by a.attnum), '[]') \
                from pg_attribute a join pg_type y on y.oid = a.atttypid where a.attrelid = t.typrelid and c.relkind = 'c' and a.attnum > 0 and not a.attisdropped) as attributes, \
            {comment} as comment \
         from reached r join pg_type t on t.oid = r.oid join pg_namespace n on n.oid = t.typnamespace left join pg_class c on c.oid = t.typrelid \
         left join pg_type b on b.oid = t.typbasetype where n.nspname <> 'pg_catalog' order by n.nspname, t.typname",
        schema = readable("n.nspname"),
        name = readable("t.typname"),
        label = said("e.enumlabel::text"),
        base = element("t.typbasetype"),
        checked = said("k.conname::text"),
        attribute = said("a.attname::text"),
        of = element("a.atttypid"),
        comment = said("obj_description(t.oid, 'pg_type')"),
    )
}

const SEQUENCES: &str = "select c.oid::bigint, n.nspname::text as schema, c.relname::text as name, format_type(s.seqtypid, null) as written, s.seqstart as start, \
        s.seqincrement as step, s.seqmin as min, s.seqmax as max, s.seqcache as cache, s.seqcycle as cycle, \
        (select json_build_array(d.refobjid::bigint, d.refobjsubid) from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid \
            and d.refclassid = 'pg_class'::regclass and d.deptype = 'a' limit 1) as owner \
     from pg_sequence s join pg_class c on c.oid = s.seqrelid join pg_namespace n on n.oid = c.relnamespace where c.oid = any ($1)";

const COLLATIONS: &str = "select c.oid::bigint, n.nspname::text as schema, c.collname::text as name, c.collprovider::text as provider, c.collisdeterministic as deterministic, \
        coalesce(to_jsonb(c) ->> 'colllocale', to_jsonb(c) ->> 'colliculocale', nullif(c.collcollate::text, '')) as locale, to_jsonb(c) ->> 'collicurules' as rules \
     from pg_collation c join pg_namespace n on n.oid = c.collnamespace where c.oid = any ($1) and n.nspname <> 'pg_catalog'";

/// Objects with a key that is the same on both sides.
fn objects_sql(which: &str) -> String {
    let extension = |class: &str, oid: &str| {
        format!(
            "(select e.extname::text from pg_depend d join pg_extension e on e.oid = d.refobjid where d.classid = '{class}'::regclass \
              and d.objid = {oid} and d.deptype = 'e' and d.refclassid = 'pg_extension'::regclass limit 1)"
        )
    };
    let (schema, of_type) = (
        readable("n.nspname"),
        extension(
            "pg_type",
            "case when t.typcategory = 'A' and t.typelem <> 0 then t.typelem else t.oid end",
        ),
    );
    let branch = |sort: &str, name: &str, class: &str, args: &str, from: &str| {
        format!(
            "select '{sort}' as sort, o.oid::bigint as oid, {schema} as schema, {} as name, {} as extension, {args} as args from {from}",
            readable(name),
            extension(class, "o.oid")
        )
    };
    let function = "(select coalesce(string_agg(h.spelled, ',' order by a.nth), '') from unnest(o.proargtypes::oid[]) with ordinality as a(oid, nth) join home h on h.oid = a.oid)";
    let operator = "(select coalesce(string_agg(h.spelled, ',' order by a.nth), '') from unnest(array[o.oprleft, o.oprright]) with ordinality as a(oid, nth) join home h on h.oid = a.oid)";
    let branches = [
        branch(
            "type",
            "o.typname",
            "pg_type",
            "o.typtype::text",
            "pg_type o join pg_namespace n on n.oid = o.typnamespace",
        ),
        branch(
            "function",
            "o.proname",
            "pg_proc",
            function,
            "pg_proc o join pg_namespace n on n.oid = o.pronamespace",
        ),
        branch(
            "operator",
            "o.oprname",
            "pg_operator",
            operator,
            "pg_operator o join pg_namespace n on n.oid = o.oprnamespace",
        ),
        branch(
            "collation",
            "o.collname",
            "pg_collation",
            "''",
            "pg_collation o join pg_namespace n on n.oid = o.collnamespace \
            where o.collencoding in (-1, (select encoding from pg_database where datname = current_database()))",
        ),
        branch(
            "opclass",
            "o.opcname",
            "pg_opclass",
            "(select m.amname::text from pg_am m where m.oid = o.opcmethod)",
            "pg_opclass o join pg_namespace n on n.oid = o.opcnamespace",
        ),
        branch(
            "access method",
            "o.amname",
            "pg_am",
            "''",
            "pg_am o join pg_namespace n on n.nspname = 'pg_catalog'",
        ),
    ];
    format!(
        "with home as materialized (select t.oid, concat(coalesce('of ' || {of_type}, {schema}), '.', {}) as spelled from pg_type t join pg_namespace n on n.oid = t.typnamespace) \
         select o.sort, o.oid, o.schema, o.name, o.extension, concat_ws(' ', o.sort, coalesce('of ' || o.extension, 'in ' || o.schema), o.name, o.args) as key \
         from ({}) as o where {which}",
        readable("t.typname"),
        branches.join(" union all ")
    )
}
