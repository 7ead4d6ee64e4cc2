"""0003: several outputs of a job, and its receipt."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database


def keep_outputs(db: Database) -> None:
    """Let a job have several outputs and a receipt, and say every recipe in the new way."""
    table = db.table("jobs")
    table.add_column("outputs", str)
    table.add_column("receipt", str)
    db.execute(
        """
        update jobs set outputs = json_array(json_object(
            'name', 'output', 'key', output_key, 'media_type', output_type,
            'width', output_width, 'height', output_height, 'size_bytes', output_size,
            'sha256', output_sha256, 'details', '{}'
        )) where output_key is not null
        """
    )
    # Only `case` has an order: what is no JSON must not be asked for its parts.
    db.execute(
        """
        update jobs set recipe = json_object('outputs', json_array(json_object(
            'name', 'output', 'operations', json_extract(recipe, '$.operations'),
            'format', json_extract(recipe, '$.output.format'),
            'quality', json_extract(recipe, '$.output.quality')
        ))) where case when json_valid(recipe) then json_type(recipe, '$.operations') = 'array' end
        """
    )
    for column in ("key", "type", "width", "height", "size", "sha256"):
        db.execute(f"alter table jobs drop column output_{column}")
