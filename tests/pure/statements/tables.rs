//! An office with tables of all kinds: a plain one; one with everything that a mapping can have; one without a key; one whose
//! rows refer to each other and whose key has several columns, one of which may be NULL.

use std::sync::Arc;

use tandem::model::{
    Arriving, Cell, Column, Key, Knot, Lookup, Name, Named, Owner, Parent, Reach, ReverseTable,
    Row, Source, Table, Tables, Tenant, TenantColumn, Tuple, Via,
};

fn name(relation: &str) -> Name {
    Name {
        schema: "public".to_owned(),
        relation: relation.to_owned(),
    }
}

fn arriving(columns: &[(&str, &str)]) -> Vec<Arriving> {
    let columns = columns.iter().map(|(name, base_type)| Arriving {
        name: (*name).to_owned(),
        base_type: (*base_type).to_owned(),
    });
    columns.collect()
}

/// A column that is written as it arrives.
fn column(name: &str, base_type: &str, from: usize) -> Column {
    Column {
        name: name.to_owned(),
        from: Source::Arriving(from),
        base_type: base_type.to_owned(),
        compare_type: base_type.to_owned(),
        narrower: None,
        reads: Default::default(),
        parents: Vec::new(),
        exact: true,
        not_null: false,
        cloud_owned: false,
    }
}

fn owner() -> Option<Owner> {
    Some(Owner {
        column: "source".to_owned(),
        base_type: "bpchar".to_owned(),
        desktop: "D".to_owned(),
        mobile: "M".to_owned(),
    })
}

fn tenant() -> Tenant {
    let org = TenantColumn {
        cloud: "org_id".to_owned(),
        base_type: "numeric".to_owned(),
        value: "1".to_owned(),
        desktop: None,
    };
    Tenant {
        columns: vec![org],
        via: None,
    }
}

fn table(name_: &str, columns: Vec<Column>, arriving: Vec<Arriving>) -> Table {
    Table {
        name: name_.to_owned(),
        desktop: name(name_),
        desktop_oid: 16_384,
        cloud: name(name_),
        arriving,
        columns,
        indexed: true,
        stream: true,
        max_shrink: 0.2,
        fingerprint: "f".to_owned(),
        ..Table::default()
    }
}

/// A key, a text, and nothing else.
fn clients() -> Table {
    let id = Column {
        not_null: true,
        ..column("id", "integer", 0)
    };
    Table {
        key: Key::Columns(vec![0]),
        is_looked_up: true,
        ..table(
            "clients",
            vec![id, column("name", "text", 1)],
            arriving(&[("id", "integer"), ("name", "text")]),
        )
    }
}

/// A tenant, phones' rows, a constant, a conversion, a look-up, a narrower column, one that is the cloud's own, one that
/// waits for its parent, a child that a delete would reach.
fn visits() -> Table {
    let columns = vec![
        Column {
            from: Source::Constant("1".to_owned()),
            not_null: true,
            ..column("org_id", "numeric", 0)
        },
        Column {
            not_null: true,
            ..column("visit_no", "integer", 0)
        },
        Column {
            narrower: Some("character varying(20)".to_owned()),
            ..column("note", "text", 1)
        },
        Column {
            from: Source::Converted {
                sql: "timefrom::time".to_owned(),
                uses: vec![2],
            },
            exact: false,
            ..column("timefrom", "time without time zone", 2)
        },
        Column {
            cloud_owned: true,
            ..column("done", "boolean", 3)
        },
        Column {
            from: Source::LookedUp(0),
            ..column("client_name", "text", 0)
        },
        Column {
            parents: vec![Parent {
                table: name("clients"),
                on: vec![("client_id".to_owned(), "id".to_owned())],
            }],
            ..column("client_id", "integer", 4)
        },
    ];
    let sent = [
        ("visit_no", "integer"),
        ("note", "text"),
        ("timefrom", "timestamp without time zone"),
        ("done", "boolean"),
        ("client", "integer"),
    ];
    let lookup = Lookup {
        parent: name("clients"),
        on: vec![(
            "client_id".to_owned(),
            "id".to_owned(),
            "integer".to_owned(),
        )],
        take: "name".to_owned(),
        owner: None,
        tenant: Tenant::default(),
    };
    let reach = Reach {
        child: name("photos"),
        on: vec![("visit_no".to_owned(), "visit_no".to_owned())],
        on_delete: true,
        on_update: true,
    };
    Table {
        cloud: name("visit"),
        key: Key::Columns(vec![0, 1]),
        owner: owner(),
        desktop_owner: Some("source".to_owned()),
        tenant: tenant(),
        lookups: vec![lookup],
        reaches: vec![reach],
        returns: true,
        changes_mobile: true,
        both_ways: true,
        ..table("visits", columns, arriving(&sent))
    }
}

/// No key: equal rows are counted.
fn prices() -> Table {
    let price = Column {
        compare_type: "numeric(10,2)".to_owned(),
        exact: false,
        ..column("price", "numeric", 1)
    };
    Table {
        key: Key::Multiset,
        owner: owner(),
        indexed: false,
        ..table(
            "prices",
            vec![column("item", "text", 0), price],
            arriving(&[("item", "text"), ("price", "numeric")]),
        )
    }
}

/// No key, and a column of the cloud's own, which comes home: equal rows may look different.
fn errands() -> Table {
    let done = Column {
        cloud_owned: true,
        ..column("done", "integer", 1)
    };
    Table {
        key: Key::Multiset,
        owner: owner(),
        indexed: false,
        returns: true,
        ..table(
            "errands",
            vec![column("what", "text", 0), done],
            arriving(&[("what", "text"), ("done", "integer")]),
        )
    }
}

/// Rows that refer to each other, under a key of two columns, one of which may be NULL, without an index; the tenant is
/// the parent's.
fn staff() -> Table {
    let columns = vec![
        Column {
            not_null: true,
            ..column("staff no", "integer", 0)
        },
        column("branch", "text", 1),
        column("boss", "integer", 2),
        column("client_id", "integer", 3),
    ];
    let via = Via {
        parent: name("clients"),
        on: vec![("client_id".to_owned(), "id".to_owned())],
        tenant: tenant(),
    };
    let sent = [
        ("staff no", "integer"),
        ("branch", "text"),
        ("boss", "integer"),
        ("client_id", "integer"),
    ];
    Table {
        key: Key::Columns(vec![0, 1]),
        owner: owner(),
        tenant: Tenant {
            columns: Vec::new(),
            via: Some(Box::new(via)),
        },
        indexed: false,
        refers_to_itself: true,
        knot: Some(Knot {
            circle: 0,
            loose: vec![2],
            stiff: Vec::new(),
            rooted: None,
        }),
        lets_keep_out: true,
        ..table("staff", columns, arriving(&sent))
    }
}

/// All of them, parents first.
pub fn tables() -> Arc<Tables> {
    Arc::new(Tables::new(vec![
        clients(),
        visits(),
        prices(),
        errands(),
        staff(),
    ]))
}

fn reverse(name_: &str, columns: Vec<Column>, sent: &[(&str, &str)]) -> ReverseTable {
    ReverseTable {
        name: name_.to_owned(),
        desktop: name(name_),
        partitioned: false,
        cloud: name(name_),
        confined: false,
        vanishes: false,
        arriving: arriving(sent),
        columns,
        names: vec![Named {
            arriving: 0,
            not_null: true,
        }],
        key: vec![0],
        indexed: true,
        counted: false,
        rows: true,
        owned: Vec::new(),
        owner: owner(),
        desktop_owner: Some(("source".to_owned(), "bpchar".to_owned())),
        tenant: tenant(),
        keeps_desktop: false,
        deletes: true,
        lets_keep_out: false,
        streams: true,
        charset: None,
        knot: None,
        fingerprint: "f".to_owned(),
    }
}

/// What comes home: phones' rows with a conversion; one column of the cloud's own; phones' rows without a key; rows that refer to
/// each other, whose deletes and conflicts leave the desktop as it is.
pub fn reverse_tables() -> Vec<ReverseTable> {
    let timefrom = Column {
        from: Source::Converted {
            sql: "date + timefrom".to_owned(),
            uses: vec![1, 2],
        },
        exact: false,
        ..column("timefrom", "timestamp without time zone", 2)
    };
    let note = Column {
        narrower: Some("character varying(50)".to_owned()),
        ..column("note", "text", 3)
    };
    let id = || Column {
        not_null: true,
        ..column("id", "integer", 0)
    };
    let diary_sent = [
        ("id", "integer"),
        ("date", "date"),
        ("timefrom", "time without time zone"),
        ("note", "text"),
        ("source", "bpchar"),
    ];
    let diary = reverse(
        "diary",
        vec![
            id(),
            column("date", "date", 1),
            timefrom,
            note,
            column("source", "bpchar", 4),
        ],
        &diary_sent,
    );
    let visit_no = Column {
        not_null: true,
        ..column("visit_no", "integer", 0)
    };
    let visits = ReverseTable {
        cloud: name("visit"),
        rows: false,
        owned: vec![1],
        ..reverse(
            "visits",
            vec![visit_no, column("done", "boolean", 1)],
            &[("visit_no", "integer"), ("done", "boolean")],
        )
    };
    let notes = ReverseTable {
        counted: true,
        indexed: false,
        names: vec![
            Named {
                arriving: 0,
                not_null: false,
            },
            Named {
                arriving: 1,
                not_null: false,
            },
        ],
        key: vec![0, 1],
        ..reverse(
            "notes",
            vec![column("about", "text", 0), column("said", "text", 1)],
            &[("about", "text"), ("said", "text")],
        )
    };
    let teams = ReverseTable {
        keeps_desktop: true,
        deletes: false,
        lets_keep_out: true,
        tenant: Tenant::default(),
        knot: Some(Knot {
            circle: 0,
            loose: vec![1],
            stiff: Vec::new(),
            rooted: None,
        }),
        ..reverse(
            "teams",
            vec![id(), column("lead", "integer", 1)],
            &[("id", "integer"), ("lead", "integer")],
        )
    };
    vec![diary, visits, notes, teams]
}

/// A row of a table: its columns' numbers as values.
pub fn row(table: &Table) -> Row {
    let values: Vec<String> = (1..=table.arriving.len())
        .map(|at| at.to_string())
        .collect();
    let tuple = Tuple::from_cells(values.iter().map(|value| Cell::Text(value.as_bytes())));
    Row {
        layout: Arc::new(table.own_layout()),
        tuple: tuple.clone(),
        old: Some(tuple),
        count: 2,
        messages: 3,
    }
}
