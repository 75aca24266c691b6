//! Where the product keeps its things and how it is started.

use std::path::PathBuf;

/// Where the store is: a private cluster in a folder, or a server that is already there.
#[derive(Debug, Clone, clap::Args)]
pub struct StoreConfig {
    /// Folder of everything xuncha keeps: the private PostgreSQL cluster, attachments
    #[arg(
        long,
        value_name = "DIR",
        default_value = "./data",
        env = "XUNCHA_DATA_DIR",
        global = true
    )]
    pub data_dir: PathBuf,
    /// An existing PostgreSQL server with PostGIS, instead of the private cluster
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, global = true)]
    pub database_url: Option<String>,
    /// Where the bytes of evidence lie: file:///folder or s3://bucket/prefix; by default the
    /// folder attachments in --data-dir. Keys, region and endpoint of S3 come from AWS_ACCESS_KEY_ID,
    /// AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT
    #[arg(long, value_name = "URL", env = "XUNCHA_BLOB_URL", global = true)]
    pub blob_url: Option<String>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self { data_dir: "./data".into(), database_url: None, blob_url: None }
    }
}
