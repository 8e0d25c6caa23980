//! S3: `PutObject`, `GetObject` and `ListObjectsV2`. A bucket exists as soon as a request names it.
//!
//! Sources: <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>,
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::memory::answer::{Answer, Refused};
use crate::memory::input::{require_known, required_text, text, unknown_operation};

/// Keys of one page.
const PAGE: usize = 1000;

/// All objects, which are texts.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    /// Body and type of the content, by bucket and key.
    objects: BTreeMap<(String, String), (String, String)>,
}

impl Objects {
    /// The text of an object.
    pub fn object(&self, bucket: &str, key: &str) -> Option<&str> {
        self.objects.get(&(bucket.to_owned(), key.to_owned())).map(|(body, _)| body.as_str())
    }

    /// Answers one request. Its path and query are parameters, and so is its body, a text: `Bucket`, `Key`,
    /// `ContentType`, `Body`, `Prefix`, `ContinuationToken`, `MaxKeys`. The answer has them likewise; `Contents` is a list.
    ///
    /// # Errors
    /// What S3 answers instead, or `NotImplemented`.
    pub fn call(&mut self, operation: &str, input: &Value) -> Answer {
        match operation {
            "PutObject" => self.put(input),
            "GetObject" => self.get(input),
            "ListObjectsV2" => self.list(input),
            operation => Err(unknown_operation("S3", operation)),
        }
    }

    fn put(&mut self, input: &Value) -> Answer {
        require_known("PutObject", input, &["Bucket", "Key", "ContentType", "Body"])?;
        let [bucket, key, body] = ["Bucket", "Key", "Body"].map(|name| required_text(input, name));
        let content_type = text(input, "ContentType").unwrap_or("binary/octet-stream");
        self.objects
            .insert((bucket?.to_owned(), key?.to_owned()), (body?.to_owned(), content_type.to_owned()));
        Ok(json!({}))
    }

    fn get(&self, input: &Value) -> Answer {
        require_known("GetObject", input, &["Bucket", "Key"])?;
        let key = (required_text(input, "Bucket")?.to_owned(), required_text(input, "Key")?.to_owned());
        let missing = || Refused::new("NoSuchKey", "The specified key does not exist.").with_status(404);
        let (body, content_type) = self.objects.get(&key).ok_or_else(missing)?;
        Ok(json!({ "Body": body, "ContentType": content_type }))
    }

    /// The token of the next page is the last key of this one.
    fn list(&self, input: &Value) -> Answer {
        require_known("ListObjectsV2", input, &["Bucket", "Prefix", "ContinuationToken", "MaxKeys"])?;
        let bucket = required_text(input, "Bucket")?;
        let [prefix, after] =
            ["Prefix", "ContinuationToken"].map(|name| text(input, name).unwrap_or_default());
        // A number in a query is a text.
        let size =
            input.get("MaxKeys").and_then(|size| size.as_u64().or_else(|| size.as_str()?.parse().ok()));
        let size = size.and_then(|size| usize::try_from(size).ok()).map_or(PAGE, |size| size.min(PAGE));
        let is_on_page = |key: &str| key.starts_with(prefix) && key > after;
        let mut found: Vec<(&str, usize)> = self
            .objects
            .iter()
            .filter(|((of, key), _)| of == bucket && is_on_page(key))
            .map(|((_, key), (body, _))| (key.as_str(), body.len()))
            .collect();
        let is_truncated = found.len() > size;
        found.truncate(size);
        let contents: Vec<Value> =
            found.iter().map(|(key, size)| json!({ "Key": key, "Size": size })).collect();
        let mut answer = json!({
            "Name": bucket,
            "Prefix": prefix,
            "KeyCount": contents.len(),
            "MaxKeys": size,
            "IsTruncated": is_truncated,
            "Contents": contents,
        });
        if let (true, Some((last, _)), Some(answer)) = (is_truncated, found.last(), answer.as_object_mut()) {
            answer.insert("NextContinuationToken".to_owned(), json!(last));
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(keys: &[&str]) -> Objects {
        let mut objects = Objects::default();
        for key in keys {
            objects.call("PutObject", &json!({ "Bucket": "b", "Key": key, "Body": *key })).unwrap();
        }
        objects
    }

    fn keys(answer: &Value) -> Vec<&str> {
        answer["Contents"].as_array().unwrap().iter().map(|object| object["Key"].as_str().unwrap()).collect()
    }

    #[test]
    fn an_object_is_read_as_it_was_put_last() {
        let mut objects = objects(&["a"]);
        let put = json!({ "Bucket": "b", "Key": "a", "Body": "new", "ContentType": "text/html" });
        objects.call("PutObject", &put).unwrap();
        let answer = objects.call("GetObject", &json!({ "Bucket": "b", "Key": "a" })).unwrap();
        assert_eq!(answer, json!({ "Body": "new", "ContentType": "text/html" }));
        assert_eq!(objects.object("b", "a"), Some("new"));
        let missing = objects.call("GetObject", &json!({ "Bucket": "b", "Key": "other" })).unwrap_err();
        assert_eq!((missing.status, missing.code.as_str()), (404, "NoSuchKey"));
    }

    #[test]
    fn keys_with_a_prefix_are_listed_in_order_and_is_on_pages() {
        let mut objects = objects(&["b/2", "b/1", "b/3", "a"]);
        let first = json!({ "Bucket": "b", "Prefix": "b/", "MaxKeys": "2" });
        let first = objects.call("ListObjectsV2", &first).unwrap();
        assert_eq!((keys(&first), &first["IsTruncated"]), (vec!["b/1", "b/2"], &json!(true)));
        let next =
            json!({ "Bucket": "b", "Prefix": "b/", "ContinuationToken": first["NextContinuationToken"] });
        let next = objects.call("ListObjectsV2", &next).unwrap();
        assert_eq!((keys(&next), &next["IsTruncated"]), (vec!["b/3"], &json!(false)));
        assert!(next.get("NextContinuationToken").is_none());
    }

    #[test]
    fn what_is_not_understood_is_not_implemented() {
        assert_eq!(Objects::default().call("DeleteObject", &json!({})).unwrap_err().status, 501);
        let range = json!({ "Bucket": "b", "Key": "a", "Range": "bytes=0-1" });
        assert_eq!(Objects::default().call("GetObject", &range).unwrap_err().status, 501);
    }
}
