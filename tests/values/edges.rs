//! The edges of types, by the type's name in `pg_type`.
//!
//! A value is the text of a constant; one that begins with `=` is an expression. What stands here must be accepted
//! by every server that has the type, from the version on that stands beside it.

/// Type, the first version that takes them, values.
pub type Edge = (&'static str, u32, &'static [&'static str]);

/// Every type with edges worth naming; a type may come twice.
pub const EDGES: &[Edge] = &[
    ("bool", 14, &["t", "f"]),
    (
        "bytea",
        14,
        &[
            "",
            "\\x00",
            "=(select string_agg(set_byte('\\x00'::bytea, 0, i), '' order by i) from generate_series(0, 255) i)",
            "\\\\\\047",
        ],
    ),
    // The one type that is written in octal beyond ASCII.
    ("char", 14, &["a", "", " ", "\\", "'", "\\377"]),
    (
        "name",
        14,
        &["", " ", "Größe", "a\"b", "NULL", "=repeat('n', 63)::name"],
    ),
    ("int2", 14, &["-32768", "32767", "0"]),
    ("int4", 14, &["-2147483648", "2147483647", "0"]),
    (
        "int8",
        14,
        &["-9223372036854775808", "9223372036854775807", "0"],
    ),
    (
        "numeric",
        14,
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "-0",
            "0.000",
            "1.5000",
            "-1e-20",
            "123456789012345678901234567890.123456789012345678901234567890",
            "=('1' || repeat('0', 131071))::numeric",
            "=('-' || repeat('9', 131072) || '.' || repeat('9', 16383))::numeric",
            "=('0.' || repeat('0', 16382) || '1')::numeric",
        ],
    ),
    (
        "float4",
        14,
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "-0",
            "1e-45",
            "1.1754942e-38",
            "3.4028235e38",
            "0.1",
            "16777217",
            "1.00000012",
        ],
    ),
    (
        "float8",
        14,
        &[
            "NaN",
            "Infinity",
            "-Infinity",
            "-0",
            "4.9406564584124654e-324",
            "2.2250738585072009e-308",
            "1.7976931348623157e308",
            "0.1",
            "0.30000000000000004",
            "9007199254740993",
            "1e23",
        ],
    ),
    (
        "money",
        14,
        &[
            "-92233720368547758.08",
            "92233720368547758.07",
            "0",
            "-0.01",
        ],
    ),
    (
        "text",
        14,
        &[
            "",
            " ",
            "NULL",
            "null",
            "\\N",
            "\\.",
            "{}",
            "a'b\"c\\d",
            "\t\r\n\x08\x0b\x0c",
            "=(select string_agg(chr(i), '' order by i) from generate_series(1, 1000) i)",
            "naïve 日本 😀 e\u{301} \u{200f}\u{feff}",
            "$1 :a %s {1,2} --",
            "=repeat('long \"\\', 5000)",
        ],
    ),
    (
        "varchar",
        14,
        &["", "trailing  ", "😀", "=repeat('x', 3000)"],
    ),
    (
        "bpchar",
        14,
        &["", " ", "trailing   ", "  leading", "日本 "],
    ),
    (
        "date",
        14,
        &[
            "infinity",
            "-infinity",
            "4714-11-24 BC",
            "0001-12-31 BC",
            "0001-01-01",
            "5874897-12-31",
            "2024-02-29",
            "1999-12-31",
        ],
    ),
    (
        "time",
        14,
        &["00:00:00", "24:00:00", "23:59:59.999999", "12:34:56.7"],
    ),
    (
        "timetz",
        14,
        &[
            "24:00:00-15:59:59",
            "00:00:00+15:59:59",
            "12:34:56.789012+05:45",
            "23:59:59.999999-00:44:30",
        ],
    ),
    (
        "timestamp",
        14,
        &[
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00 BC",
            "0044-03-15 12:00:00.000001 BC",
            "294276-12-31 23:59:59.999999",
            "2024-02-29 23:59:59.999999",
            "2024-03-31 02:30:00",
        ],
    ),
    (
        "timestamptz",
        14,
        &[
            "infinity",
            "-infinity",
            "4714-11-24 00:00:00+00 BC",
            "0044-03-15 12:00:00.000001+00:19:32 BC",
            "294276-12-31 23:59:59.999999+00",
            "2024-10-27 00:30:00+00",
            "2024-10-27 01:30:00+00",
            "1890-01-01 00:00:00 America/St_Johns",
        ],
    ),
    (
        "interval",
        14,
        &[
            "0",
            "-1 year +2 days -03:04:05.000006",
            "1 mon -1 day +00:00:00.000001",
            "-00:00:01",
            "178000000 years",
            "-178000000 years -11 mons",
            "2147483647 days",
            "-2147483648 days",
            "2562047788:00:54.775807",
        ],
    ),
    ("interval", 17, &["infinity", "-infinity"]),
    (
        "uuid",
        14,
        &[
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        ],
    ),
    (
        "json",
        14,
        &[
            "{\"a\":  1, \"a\": 2, \"\\u00e9\\n\": [ ]}",
            "null",
            "\"\"",
            "  [1e400, -0, 1.50, \"\\\\u0000\"]\n",
            "\"😀\\ud83d\\ude00\"",
        ],
    ),
    (
        "jsonb",
        14,
        &[
            "{\"b\": [1, null, {\"\": {}}], \"a\": \"x\\\"y\\\\z\"}",
            "null",
            "1.500",
            "-0",
            "1e1000",
            "\"\\ud83d\\ude00\\t\"",
            "[]",
        ],
    ),
    (
        "jsonpath",
        14,
        &[
            "$",
            "strict $.\"a b\"[*] ? (@ > 1 && @.type() == \"x\\\"y\")",
            "$.datetime()",
        ],
    ),
    (
        "xml",
        14,
        &[
            "<a>1</a>",
            "<a b=\"ü&amp;'\">\n<![CDATA[<x>]]></a>",
            "",
            "only text, 😀",
            "<a/><b/>",
            "<!DOCTYPE a><a/>",
            "<?xml version=\"1.0\" standalone=\"yes\"?><a/>",
        ],
    ),
    (
        "inet",
        14,
        &[
            "0.0.0.0/0",
            "255.255.255.255",
            "10.0.0.1/8",
            "::",
            "2001:db8::1/64",
            "::ffff:1.2.3.4/128",
        ],
    ),
    (
        "cidr",
        14,
        &[
            "0.0.0.0/0",
            "10.0.0.0/8",
            "255.255.255.255/32",
            "2001:db8::/32",
            "::/0",
        ],
    ),
    (
        "macaddr",
        14,
        &[
            "00:00:00:00:00:00",
            "ff:ff:ff:ff:ff:ff",
            "08:00:2b:01:02:03",
        ],
    ),
    (
        "macaddr8",
        14,
        &["00:00:00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff:ff:ff"],
    ),
    // Without a length: `bit` alone is one bit wide where it is a column, and unlimited where it is a type.
    ("bit", 14, &["1", "0"]),
    (
        "varbit",
        14,
        &[
            "",
            "0",
            "1",
            "10101000000000000000000000000000000001",
            "=repeat('01', 4000)::varbit",
        ],
    ),
    (
        "tsvector",
        14,
        &[
            "",
            "'a b':1A,2B 'c''d':16383 '\\\\x'",
            "'größe' '日本':3C",
            "' '",
        ],
    ),
    (
        "tsquery",
        14,
        &[
            "",
            "'a b' & !('c''d':*AB | 'e')",
            "'x' <-> 'y' <3> 'z'",
            "'\\\\'",
        ],
    ),
    (
        "point",
        14,
        &[
            "(-0,0)",
            "(NaN,Infinity)",
            "(1e-300,-1e300)",
            "(0.1,0.30000000000000004)",
        ],
    ),
    (
        "lseg",
        14,
        &["[(0,0),(0,0)]", "[(-Infinity,1),(0.1,1e-300)]"],
    ),
    (
        "box",
        14,
        &["(1,1),(-0,-1)", "(Infinity,0.1),(-Infinity,0)"],
    ),
    (
        "path",
        14,
        &["[(0,0)]", "((0,0),(1,1),(2,0.1))", "[(NaN,0),(1e300,1)]"],
    ),
    ("line", 14, &["{1,0,0}", "{0.1,-0.2,1e300}"]),
    (
        "polygon",
        14,
        &["((0,0))", "((0,0),(0.1,0.2),(1e300,-1e-300))"],
    ),
    ("circle", 14, &["<(0,0),0>", "<(0.1,-0),Infinity>"]),
    (
        "int4range",
        14,
        &["empty", "(,)", "[1,10)", "(,-2147483648)", "[2147483647,)"],
    ),
    (
        "int8range",
        14,
        &["empty", "(,)", "[-9223372036854775808,9223372036854775807)"],
    ),
    (
        "numrange",
        14,
        &[
            "empty",
            "(,)",
            "(1.0,1.00]",
            "[-Infinity,NaN]",
            "[0.000,1.50)",
        ],
    ),
    (
        "daterange",
        14,
        &[
            "empty",
            "[-infinity,infinity]",
            "[4714-11-24 BC,2024-02-29)",
            "(,0001-01-01)",
        ],
    ),
    (
        "tsrange",
        14,
        &[
            "empty",
            "[\"0044-03-15 12:00:00 BC\",infinity)",
            "[2024-01-01,)",
            "(-infinity,infinity)",
        ],
    ),
    (
        "tstzrange",
        14,
        &[
            "empty",
            "(\"2024-10-27 00:30:00+00\",\"294276-12-31 23:59:59.999999+00\"]",
            "(,)",
        ],
    ),
    ("int4multirange", 14, &["{}", "{(,)}", "{(,-5),[1,2),[7,)}"]),
    (
        "nummultirange",
        14,
        &["{}", "{[1.0,1.00],(2,3.50)}", "{[-Infinity,0),(5,NaN]}"],
    ),
    (
        "datemultirange",
        14,
        &[
            "{}",
            "{[-infinity,\"0044-03-15 BC\"),[2024-02-29,infinity]}",
        ],
    ),
    ("pg_lsn", 14, &["0/0", "FFFFFFFF/FFFFFFFF", "16/B374D848"]),
    ("pg_snapshot", 14, &["10:20:10,14,15", "1:1:"]),
    ("txid_snapshot", 14, &["10:20:10,14,15", "1:1:"]),
    ("xid", 14, &["0", "4294967295"]),
    ("xid8", 14, &["0", "18446744073709551615"]),
    ("cid", 14, &["0", "4294967295"]),
    ("tid", 14, &["(0,0)", "(4294967295,65535)"]),
    ("oid", 14, &["0", "4294967295"]),
    ("oidvector", 14, &["", "0 1 4294967295"]),
    ("int2vector", 14, &["", "-32768 0 32767"]),
    (
        "regclass",
        14,
        &[
            "pg_class",
            "-",
            "4294967295",
            "\"Other Schema\".\"numeric\"",
        ],
    ),
    (
        "regtype",
        14,
        &[
            "integer",
            "timestamp with time zone",
            "-",
            "4294967295",
            "\"Other Schema\".int4",
            "public.mood",
            "\"char\"",
            "text[]",
        ],
    ),
    ("regproc", 14, &["now", "-", "4294967295"]),
    (
        "regprocedure",
        14,
        &["now()", "-", "substring(text,integer,integer)"],
    ),
    ("regoper", 14, &["||/", "0", "4294967295"]),
    (
        "regoperator",
        14,
        &["+(integer,integer)", "0", "-(NONE,bigint)"],
    ),
    ("regrole", 14, &["postgres", "-", "4294967295"]),
    ("regnamespace", 14, &["pg_catalog", "-", "\"Other Schema\""]),
    ("regcollation", 14, &["\"C\"", "-", "4294967295"]),
    ("regconfig", 14, &["english", "simple", "-"]),
    ("regdictionary", 14, &["simple", "-", "english_stem"]),
    (
        "aclitem",
        14,
        &[
            "='=r/postgres'::aclitem",
            "postgres=arwdDxt/postgres",
            "postgres=r*/postgres",
        ],
    ),
    ("refcursor", 14, &["", "<unnamed portal 1>"]),
    ("yes_or_no", 14, &["YES", "NO"]),
    (
        "hstore",
        14,
        &[
            "",
            "\"a b\"=>\"c\\\"d\\\\e\", \"NULL\"=>\"NULL\", \"x\"=>NULL, \"\"=>\"\"",
        ],
    ),
    (
        "citext",
        14,
        &["", "MiXed", "mixed", "GRÖSSE ß 😀", "a'b\"c\\d"],
    ),
    ("ltree", 14, &["", "a.b_1.C"]),
    ("lquery", 14, &["*.a{1,2}.b|c", "!x%@*"]),
    ("ltxtquery", 14, &["a & !b@* | c"]),
    ("cube", 14, &["(0)", "(1,2),(3,-4e300)", "(-0,0.1)"]),
    ("seg", 14, &["1.50", "~1.0 .. <2.00", "1 .. ", " .. 2"]),
    ("isbn13", 14, &["978-0-393-04002-9"]),
    ("query_int", 14, &["1&(2|!3)"]),
];

/// For a base type that nobody has named: one of these may be a value of it.
pub const GUESSES: &[&str] = &[
    "",
    "0",
    "1",
    "-1.5",
    "a",
    "{}",
    "(0,0)",
    "00",
    "2000-01-01",
    "0-306-40615-2",
    "036000291452",
    "M123456785",
    "9780393040029",
    "1234-5679",
    "4006381333931",
    "9771234567003",
    "9790060115615",
];

/// Types of our own, with odd names and labels, that both sides have.
pub const OWN: &str = r#"
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
