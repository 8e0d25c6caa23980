//! Row `SCHEDULES`: the schedules that exist in EventBridge Scheduler for an image.

use ami_share_domain::ids::ImageId;
use ami_share_domain::image::schedule::Schedules;

use crate::error::{AwsError, Explain};
use crate::ledger::rows::RowKey;
use crate::ledger::writer::{LedgerWriter, to_item};

impl LedgerWriter {
    /// Records the schedules that exist for an image.
    ///
    /// # Errors
    /// When `dynamodb:PutItem` fails.
    pub async fn set_schedules(&self, image: &ImageId, schedules: &Schedules) -> Result<(), AwsError> {
        let mut item = to_item(schedules, image)?;
        item.extend(RowKey::schedules(image).item());
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.explain("dynamodb:PutItem", image).map(|_| ())
    }
}
