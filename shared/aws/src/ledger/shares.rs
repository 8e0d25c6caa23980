//! Rows `SHARE#`: each target that an image is shared with, and each refused selector.

use ami_share_domain::ids::ImageId;
use ami_share_domain::image::ledger::ShareRow;
use aws_sdk_dynamodb::types::{DeleteRequest, PutRequest, WriteRequest};

use crate::error::{AwsError, Explain, incomplete_request};
use crate::ledger::leases::Lease;
use crate::ledger::rows::RowKey;
use crate::ledger::writer::{LedgerWriter, to_item};
use crate::retry;

/// Writes that one `BatchWriteItem` accepts. Source:
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html>
const BATCH: usize = 25;
const BATCH_WRITE: &str = "dynamodb:BatchWriteItem";

impl LedgerWriter {
    /// Puts share rows, and deletes the rows of selectors that are no longer refused. There may be a thousand of them,
    /// so the lease is renewed before each batch.
    ///
    /// # Errors
    /// When the lease is lost, or `dynamodb:BatchWriteItem` fails or leaves rows unwritten.
    pub async fn write_shares(
        &self,
        image: &ImageId,
        rows: &[ShareRow],
        gone: &[String],
        lease: &Lease,
    ) -> Result<(), AwsError> {
        let mut writes = Vec::new();
        for row in rows {
            let mut item = to_item(row, image)?;
            item.extend(RowKey::share(image, &row.target).item());
            let put = PutRequest::builder()
                .set_item(Some(item))
                .build()
                .map_err(|error| incomplete_request(BATCH_WRITE, image, error))?;
            writes.push(WriteRequest::builder().put_request(put).build());
        }
        for selector in gone {
            let key = RowKey::share(image, selector).item();
            let delete = DeleteRequest::builder()
                .set_key(Some(key))
                .build()
                .map_err(|error| incomplete_request(BATCH_WRITE, image, error))?;
            writes.push(WriteRequest::builder().delete_request(delete).build());
        }
        for batch in writes.chunks(BATCH) {
            self.write(batch.to_vec(), image, lease).await?;
        }
        Ok(())
    }

    /// Writes a batch, and again what DynamoDB leaves of it. The rows record what has been done already: if the
    /// workflow repeated the step instead, it would be done twice.
    async fn write(&self, batch: Vec<WriteRequest>, image: &ImageId, lease: &Lease) -> Result<(), AwsError> {
        let attempt = async |batch: &mut Vec<WriteRequest>| {
            lease.renew().await?;
            let request = self.client.batch_write_item().request_items(&self.table, std::mem::take(batch));
            let answer = request.send().await.explain(BATCH_WRITE, image)?;
            *batch = answer.unprocessed_items.unwrap_or_default().remove(&self.table).unwrap_or_default();
            match batch.len() {
                0 => Ok(()),
                count => {
                    let left = format!("DynamoDB left {count} rows unwritten in each of several attempts");
                    Err(AwsError::Unfinished { call: BATCH_WRITE, subject: image.to_string(), left })
                }
            }
        };
        let has_left = |error: &AwsError| matches!(error, AwsError::Unfinished { .. });
        retry::BATCH.retry_with(&self.clock, batch, attempt, has_left).await.1
    }
}
