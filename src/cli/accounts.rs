//! `xuncha account`: first passwords and API tokens.

use crate::error::{Fault, Result};
use crate::store::Store;
use crate::store::accounts::{self, random_password};

/// What to do with an account.
#[derive(Debug, clap::Subcommand)]
pub enum AccountCommand {
    /// Give a person a random first password, to be changed at first log-in; prints it
    Activate { phone: String },
    /// Make an API token for a person; prints it once
    Token {
        phone: String,
        /// What the token is for
        #[arg(long, default_value = "api")]
        name: String,
        /// Days until it expires
        #[arg(long, default_value_t = 90)]
        days: i64,
    },
}

pub fn run(command: AccountCommand, store: &Store) -> Result<()> {
    let mut conn = store.conn()?;
    match command {
        AccountCommand::Activate { phone } => {
            let password = random_password();
            accounts::activate(&mut conn, &phone, &password, true)?;
            println!("{password}");
        }
        AccountCommand::Token { phone, name, days } => {
            if !(1..=3650).contains(&days) {
                return Err(Fault::invalid(
                    "有效期须为 1 至 3650 天",
                    "The token may last 1 to 3650 days",
                ));
            }
            println!("{}", accounts::create_api_token(&mut conn, &phone, &name, days)?);
        }
    }
    Ok(())
}
