//! The whole text, from values.

use std::collections::{BTreeMap, BTreeSet};

use super::draft::{Wishes, draft};
use super::script::{opening, script};
use super::shape::{
    Column, Constraint, Ground, Index, Kind, Object, Piece, Sequence, Structure, Table,
};
use crate::model::Name;

fn piece(text: &str, needs: &[(&str, u32)]) -> Piece {
    Piece {
        text: Some(text.to_owned()),
        needs: needs
            .iter()
            .map(|(sort, oid)| ((*sort).to_owned(), *oid))
            .collect(),
        version: 0,
    }
}

fn column(number: i16, name: &str, written: &str, kind: u32) -> Column {
    Column {
        number,
        name: Some(name.to_owned()),
        written: written.to_owned(),
        kind,
        ..Column::default()
    }
}

fn constraint(sort: &str, name: &str, columns: &[i16], text: &str) -> Constraint {
    Constraint {
        name: Some(name.to_owned()),
        sort: sort.to_owned(),
        columns: columns.to_vec(),
        piece: piece(text, &[]),
        valid: true,
        ..Constraint::default()
    }
}

fn object(sort: &str, oid: u32, schema: &str, name: &str, extension: Option<&str>) -> Object {
    Object {
        sort: sort.to_owned(),
        oid,
        schema: schema.to_owned(),
        name: name.to_owned(),
        extension: extension.map(str::to_owned),
        key: format!("{sort} {} {name}", extension.unwrap_or(schema)),
    }
}

/// Two tables that refer to each other, an enum, a counter, something of an extension that is elsewhere in the cloud, and
/// a function that it lacks.
fn structure() -> Structure {
    let a = Table {
        oid: 1,
        schema: "shop".to_owned(),
        relation: "a".to_owned(),
        kind: "p".to_owned(),
        comment: Some("it's\none".to_owned()),
        columns: vec![
            Column {
                not_null: true,
                default: Some(piece(
                    "nextval('shop.a_id_seq'::regclass)",
                    &[("relation", 20)],
                )),
                ..column(1, "id", "integer", 10)
            },
            Column {
                default: Some(piece("public.slug('x'::text)", &[("function", 31)])),
                ..column(2, "mood", "shop.mood[]", 11)
            },
            column(3, "mail", "public.citext", 12),
        ],
        constraints: vec![
            Constraint {
                index: 41,
                ..constraint("p", "a_pkey", &[1], "PRIMARY KEY (id)")
            },
            Constraint {
                parent: 2,
                parent_name: Some("b".to_owned()),
                index: 42,
                ..constraint(
                    "f",
                    "to_b",
                    &[1],
                    "FOREIGN KEY (id) REFERENCES public.b(id)",
                )
            },
        ],
        indexes: vec![Index {
            oid: 43,
            name: Some("I".to_owned()),
            written: Some("\"I\"".to_owned()),
            columns: vec![3],
            piece: piece(
                "CREATE INDEX \"I\" ON ONLY shop.a USING btree (mail public.citext_ops)",
                &[],
            ),
            ..Index::default()
        }],
        ..Table::default()
    };
    let b = Table {
        oid: 2,
        schema: "public".to_owned(),
        relation: "b".to_owned(),
        kind: "r".to_owned(),
        columns: vec![Column {
            identity: "a".to_owned(),
            sequence: 21,
            not_null: true,
            ..column(1, "id", "integer", 10)
        }],
        constraints: vec![
            Constraint {
                index: 42,
                ..constraint("p", "b_pkey", &[1], "PRIMARY KEY (id)")
            },
            Constraint {
                parent: 1,
                parent_name: Some("a".to_owned()),
                index: 41,
                ..constraint("f", "to_a", &[1], "FOREIGN KEY (id) REFERENCES shop.a(id)")
            },
            Constraint {
                valid: false,
                ..constraint("c", "late\nDROP", &[1], "CHECK ((id > 0)) NOT VALID")
            },
        ],
        ..Table::default()
    };
    let counter = Sequence {
        oid: 20,
        schema: "shop".to_owned(),
        name: "a_id_seq".to_owned(),
        written: "integer".to_owned(),
        start: 5,
        step: 1,
        min: 1,
        max: i64::from(i32::MAX),
        cache: 1,
        owner: Some((1, 1)),
        ..Sequence::default()
    };
    let identity = Sequence {
        oid: 21,
        schema: "public".to_owned(),
        name: "b_id_seq".to_owned(),
        start: 1,
        owner: None,
        ..counter.clone()
    };
    let mood = Kind {
        oid: 11,
        schema: "shop".to_owned(),
        name: "mood".to_owned(),
        sort: "e".to_owned(),
        labels: vec![Some("it's".to_owned()), Some("so".to_owned())],
        ..Kind::default()
    };
    let objects = [
        object("type", 10, "pg_catalog", "int4", None),
        object("type", 11, "shop", "mood", None),
        object("type", 12, "public", "citext", Some("citext")),
        object("opclass", 13, "public", "citext_ops", Some("citext")),
        object("function", 31, "public", "slug", None),
    ];
    Structure {
        tables: vec![b, a],
        types: vec![mood],
        sequences: vec![counter, identity],
        collations: Vec::new(),
        objects: { objects.into_iter() }
            .map(|one| ((one.sort.clone(), one.oid), one))
            .collect(),
    }
}

fn ground() -> Ground {
    let found = ["type citext citext", "opclass citext citext_ops"];
    Ground {
        version: 17,
        schemas: BTreeSet::from(["public".to_owned(), "extensions".to_owned()]),
        taken: BTreeMap::new(),
        objects: { found.into_iter() }
            .map(|key| (key.to_owned(), "extensions".to_owned()))
            .collect(),
    }
}

#[test]
fn tables_come_before_what_joins_them_and_remarks_stay_comments() {
    let wishes = Wishes {
        owner: ("source".to_owned(), "M".to_owned()),
        homeward: BTreeSet::from([Name {
            schema: "public".to_owned(),
            relation: "b".to_owned(),
        }]),
        pairs: BTreeMap::new(),
    };
    let text = script(&draft(&structure(), &ground(), &wishes));
    let (_, statements) = text.split_once(&format!("{};\n\n", opening())).unwrap();
    assert_eq!(statements, include_str!("golden.sql"));
    let says = |line: &str| line.starts_with("-- ") || line.is_empty();
    assert!(text.split("BEGIN;").next().unwrap().lines().all(says));
}

#[test]
fn what_is_taken_stays_and_names_give_way() {
    let mut ground = ground();
    let taken = [
        ("public", "b", "v"),
        ("shop", "I", "S"),
        ("shop", "a_pkey", "i"),
    ];
    ground.taken = taken
        .map(|(schema, name, kind)| ((schema.to_owned(), name.to_owned()), kind.to_owned()))
        .into();
    let draft = draft(&structure(), &ground, &Wishes::default());
    let text = script(&draft);
    assert_eq!((draft.made.len(), draft.left), (1, 1));
    for wanted in [
        "-- b is not made: the cloud has something else that is called \"public\".\"b\"",
        "-- shop.a: foreign key to_b is left out: b is not made\n",
        "CREATE INDEX ON shop.a USING",
        "\n    PRIMARY KEY (id)\n",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert!(!text.contains("CREATE TABLE \"public\""), "{text}");
}
