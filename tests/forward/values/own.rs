//! Types that don't come with the server: those of extensions, and our own.

use tandem::plan::quote::literal;

use crate::support::office::{Office, exec, value};

/// Types of these come too, where the server has them.
const EXTENSIONS: &[&str] = &[
    "hstore", "citext", "ltree", "cube", "seg", "isn", "intarray", "lo",
];

/// Makes the same types on both sides.
pub async fn prepare(office: &Office) {
    for side in [&office.desktop, &office.cloud] {
        for extension in EXTENSIONS {
            let here = format!(
                "select count(*) from pg_available_extensions where name = {}",
                literal(extension)
            );
            if value(side, &here).await == "0" {
                println!("skipped: types of {extension}, which isn't available");
            } else {
                exec(side, &format!("create extension {extension} schema public")).await;
            }
        }
        // Types are written in full from here on: `int4` of another schema is another type.
        exec(side, &format!("create schema \"Other Schema\"; grant usage on schema \"Other Schema\" to public; {OWN}; set search_path = pg_catalog")).await;
    }
    exec(&office.desktop, "create schema bench").await;
}

/// Types of our own, with odd names and labels, that both sides have.
const OWN: &str = r#"
create type public.mood as enum ('fine', 'Not fine', '', 'it''s', 'a,b', '"q"', 'back\slash', 'naïve 日本', '😀', 'NULL', '{}', ' ');
create type "Other Schema".int4 as enum ('not', 'a number');
create type "Other Schema"."numeric" as (a int, "B ""b"" ü" text, c text[], d pg_catalog."numeric", m public.mood);
create type "Other Schema".bpchar as ("select" "Other Schema"."numeric", many "Other Schema"."numeric"[], r int4range, t timestamptz, b bytea, j jsonb, c char(5), q "char");
create domain public.nine as char(9);
create domain public.price as pg_catalog."numeric"(10, 3) check (value >= 0);
create domain public.five_bits as bit(5);
create domain public.millis as timestamptz(3);
create domain public.seven as varchar(7) not null default '';
create domain public.short_wait as interval day to second (2);
create domain public.words as text[];
create domain public.nested as "Other Schema".bpchar;
create domain public.of_domain as public.price;
create type "Other Schema".text_range as range (subtype = text, collation = "C");
create type public.float_range as range (subtype = float8);
create type public.price_range as range (subtype = public.price);
"#;
