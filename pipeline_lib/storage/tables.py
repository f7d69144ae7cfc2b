"""Tables on disk: parquet for machines, CSV for people and for DVC's plots."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline_lib.errors import DataError
from pipeline_lib.storage.atomic import replacing, write_text


def write_parquet(path: Path, table: pd.DataFrame, schema: pa.Schema | None = None) -> None:
    """Write ``table`` atomically; the same rows give the same bytes.

    Args:
        path: The file.
        table: The rows.
        schema: Types of the columns, for those that rows do not tell: lists that may be empty,
            tables without rows.
    """
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pandas(table, schema, preserve_index=False), temporary)


def read_parquet(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """Read a table and check that it has ``columns``.

    Raises:
        DataError: The file is missing, not parquet, or lacks a column.
    """
    try:
        table = pq.read_table(path).to_pandas()
    except FileNotFoundError:
        raise DataError(
            f"No table {path}.", hint="`dvc repro` makes it; or run the stage before this one."
        ) from None
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(
            f"{path}: not a readable parquet file: {error}", hint="Make it again: `dvc repro`."
        ) from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise DataError(
            f"{path}: no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}.",
            hint="Make it again with this version: `dvc repro`.",
        )
    return table


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write ``table`` as CSV atomically."""
    write_text(path, table.to_csv(index=False, lineterminator="\n"))
