"""The page, the research object, the manifest, and where one number comes from."""
