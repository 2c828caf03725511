//! Tables that a catalog is asked about, all of them in one statement: a server plans it once, not once for each table.

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use crate::model::Name;
use crate::wire::WireError;

/// Names of tables, as parameters of [`Sought::of_each`].
pub(super) struct Sought<'a> {
    schemas: Vec<&'a str>,
    relations: Vec<&'a str>,
}

impl<'a> Sought<'a> {
    pub(super) fn new(names: &'a [Name]) -> Sought<'a> {
        Sought {
            schemas: names.iter().map(|name| name.schema.as_str()).collect(),
            relations: names.iter().map(|name| name.relation.as_str()).collect(),
        }
    }

    /// Answers of a query for each name, in the query's order. It reads `asked(nth, oid)`, tables that are there, and the last
    /// column of its answer is `nth`; where it has common table expressions of its own, they are `parts` and begin with a comma.
    pub(super) async fn of_each<T>(
        &self,
        client: &Client,
        (parts, query): (&str, &str),
        make: impl Fn(&Row) -> T,
    ) -> Result<Vec<Vec<T>>, WireError> {
        // The type `name`, which the indexes are of, would cut a name of more than 63 bytes, and then find it. Where none is cut,
        // the server knows how many tables to expect.
        let sql = format!(
            "with recursive asked as materialized (
               select w.nth, c.oid
               from unnest($1::text[], $2::text[]) with ordinality as w(schema, relation, nth)
               join pg_namespace n on n.nspname
                 = case when w.schema::name::text = w.schema then w.schema::name end
               join pg_class c on c.relnamespace = n.oid
                 and c.relname
                 = case when w.relation::name::text = w.relation then w.relation::name end
             ){parts}
             {query}"
        );
        let params = [
            (&self.schemas as _, Type::TEXT_ARRAY),
            (&self.relations as _, Type::TEXT_ARRAY),
        ];
        let rows = client.query_typed(&sql, &params).await?;
        let mut each: Vec<Vec<T>> = self.schemas.iter().map(|_| Vec::new()).collect();
        for row in &rows {
            let nth: i64 = row.get(row.len() - 1);
            let at = usize::try_from(nth - 1).unwrap_or(usize::MAX);
            if let Some(one) = each.get_mut(at) {
                one.push(make(row));
            }
        }
        Ok(each)
    }
}
