//! Publishes messages to the hub's SNS topic that are not about one image.

use aws_sdk_sns::Client;

use crate::error::{AwsError, Explain};

/// Characters in the subject of a message. Source: <https://docs.aws.amazon.com/sns/latest/api/API_Publish.html>
const SUBJECT_LIMIT: usize = 100;

/// The hub's topic.
#[derive(Debug, Clone)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    /// The topic with this ARN.
    pub fn new(client: Client, arn: String) -> Self {
        Self { client, arn }
    }

    /// Publishes `text`. `subject` is reduced to what SNS accepts.
    ///
    /// # Errors
    /// When `sns:Publish` fails.
    pub async fn notify(&self, subject: &str, text: &str) -> Result<(), AwsError> {
        let request = self.client.publish().topic_arn(&self.arn).subject(plain(subject)).message(text);
        request.send().await.explain("sns:Publish", &self.arn).map(|_| ())
    }
}

/// A subject as SNS accepts it: printable ASCII, and not too long.
pub(crate) fn plain(subject: &str) -> String {
    let printable = subject.chars().filter(|c| c.is_ascii() && !c.is_ascii_control());
    printable.take(SUBJECT_LIMIT).collect::<String>().trim().to_owned()
}
