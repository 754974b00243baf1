//! One document whose digest is not known yet: whole or not at all, from the first place that has it.

use super::Fetcher;
use super::file::parse;
use super::place;
use super::trouble::{Trouble, sum};
use crate::error::Result;

impl Fetcher {
    /// The document from the first of `urls` that answers.
    pub(super) async fn text(&self, urls: &[String], limit: u64) -> Result<Vec<u8>> {
        let ask = async {
            let mut places = Vec::new();
            for url in urls {
                match self.text_from(url, limit).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(trouble) => places.push((url.clone(), trouble)),
                }
            }
            let object = urls.first().map_or("document", |url| url.rsplit('/').next().unwrap_or(url));
            Err(sum(object, places))
        };
        self.while_knocking(urls.iter(), ask).await
    }

    async fn text_from(&self, url: &str, limit: u64) -> std::result::Result<Vec<u8>, Trouble> {
        let parsed = parse(url)?;
        let host = self.hosts.of(&parsed);
        let mut fruitless = 0;
        loop {
            let trouble = match host.slot().await {
                None => return Err(Trouble::Refused(host.reason())),
                Some(_slot) => match self.read_text(&parsed, &host, limit).await {
                    Ok(bytes) => return Ok(bytes),
                    Err(trouble) => trouble,
                },
            };
            let (cause, after) = match trouble {
                Trouble::Again(cause, after) => (cause, after),
                Trouble::Slow(cause) => (cause, None),
                other => return Err(other),
            };
            fruitless += 1;
            self.wait_or_leave(&host, fruitless, cause, after, 0).await?;
        }
    }

    async fn read_text(
        &self,
        url: &reqwest::Url,
        host: &super::host::Host,
        limit: u64,
    ) -> std::result::Result<Vec<u8>, Trouble> {
        let mut body = place::open(&self.client, &self.settings, host, url, 0).await?;
        let mut bytes = Vec::new();
        while let Some(more) = body.next().await? {
            if (bytes.len() + more.len()) as u64 > limit {
                return Err(Trouble::Refused(format!("is longer than {limit} bytes")));
            }
            bytes.extend_from_slice(&more);
        }
        Ok(bytes)
    }
}
