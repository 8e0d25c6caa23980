//! Stores the parts and the documents of a review in S3.

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;

use crate::error::{AwsError, Explain, unreadable_answer};

/// Stores documents in one bucket. `get` needs `s3:ListBucket` too: without it S3 answers that access is denied where
/// there is no object.
/// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
#[derive(Debug, Clone)]
pub struct ReviewStore {
    client: Client,
    bucket: String,
}

impl ReviewStore {
    /// A store in `bucket`.
    pub fn new(client: Client, bucket: String) -> Self {
        Self { client, bucket }
    }

    /// Puts `body` under `key`, and replaces an object that is there.
    ///
    /// # Errors
    /// When `s3:PutObject` fails.
    pub async fn put(&self, key: &str, content_type: &str, body: Vec<u8>) -> Result<(), AwsError> {
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .content_type(content_type)
            .body(ByteStream::from(body));
        request.send().await.explain("s3:PutObject", &self.subject(key)).map(|_| ())
    }

    /// The object under `key`, or `None`. A missing bucket is an error.
    ///
    /// # Errors
    /// When `s3:GetObject` fails, or the object breaks off.
    pub async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, AwsError> {
        const CALL: &str = "s3:GetObject";
        let answer = self.client.get_object().bucket(&self.bucket).key(key).send().await;
        if answer
            .as_ref()
            .is_err_and(|error| error.as_service_error().is_some_and(|error| error.is_no_such_key()))
        {
            return Ok(None);
        }
        let subject = self.subject(key);
        let body = answer.explain(CALL, &subject)?.body.collect().await;
        let body =
            body.map_err(|error| unreadable_answer(CALL, &subject, "only a part of the object", error))?;
        Ok(Some(body.to_vec()))
    }

    /// The keys that start with `prefix`, in the order of their bytes (UTF-8).
    /// Source: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>
    ///
    /// # Errors
    /// When `s3:ListObjectsV2` (in IAM: `s3:ListBucket`) fails.
    pub async fn list(&self, prefix: &str) -> Result<Vec<String>, AwsError> {
        let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
        let mut pages = request.into_paginator().send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.explain("s3:ListBucket", &self.subject(prefix))?;
            keys.extend(page.contents.unwrap_or_default().into_iter().filter_map(|object| object.key));
        }
        Ok(keys)
    }

    fn subject(&self, key: &str) -> String {
        format!("{}/{key}", self.bucket)
    }
}
