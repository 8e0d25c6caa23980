//! Whether an endpoint belongs to AWS.

/// Whether the host of `url` is one of AWS's, a VPC endpoint included.
pub(super) fn is_of_aws(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', ':', '?']).next().unwrap_or_default().to_ascii_lowercase();
    [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|suffix| host.ends_with(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_of_aws_by_its_own_name_only() {
        for url in [
            "https://s3.eu-west-1.amazonaws.com",
            "https://s3.cn-north-1.amazonaws.com.cn/",
            "https://bucket.vpce-0a1b2c3d.s3.us-east-1.vpce.amazonaws.com:443",
        ] {
            assert!(is_of_aws(url), "{url}");
        }
        for url in [
            "http://127.0.0.1:5000",
            "http://localhost:5000/s3.amazonaws.com",
            "http://notamazonaws.com",
            "https://s3.amazonaws.com.example.org",
        ] {
            assert!(!is_of_aws(url), "{url}");
        }
    }
}
