"""Rules of AWS KMS: keys, key policies, access."""
