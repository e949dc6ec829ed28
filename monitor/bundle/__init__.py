"""The bundle: a trained model with everything that scoring needs, stored in one verified file."""

__all__ = ["bundle", "bundle_io", "schema", "self_test", "stored_metadata", "threshold", "versions"]
