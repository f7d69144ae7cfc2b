"""The report page: everything the pipeline measured, on one page that opens anywhere."""
