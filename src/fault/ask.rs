//! Asking one of the two databases: whatever goes wrong is that side's fault.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::{Fault, Side};
use crate::config::Endpoint;
use crate::wire::control::{self, Control};

impl Side {
    /// Connects an ordinary client to this side.
    ///
    /// # Errors
    /// As [`control::connect`].
    pub async fn connect(self, endpoint: &Endpoint) -> Result<Control, Fault> {
        control::connect(endpoint).await.map_err(Fault::at(self))
    }

    /// Asks this side, over its client.
    ///
    /// # Errors
    /// When the connection or the server fails.
    pub async fn query(
        self,
        client: &Client,
        sql: &str,
        params: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>, Fault> {
        let rows = client.query_typed(sql, params).await;
        rows.map_err(Fault::at(self))
    }
}
