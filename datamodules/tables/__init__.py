"""One reader for every table: CSV and Parquet, plain or compressed, in one file or in parts."""

from datamodules.tables.columns import Columns
from datamodules.tables.files import find_tables, matching_tables, missing_file
from datamodules.tables.reader import column_names, read_columns

__all__ = ["Columns", "column_names", "find_tables", "matching_tables", "missing_file", "read_columns"]
