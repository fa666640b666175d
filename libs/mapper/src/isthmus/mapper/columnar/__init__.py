"""Mapping many records at once, one field after another.

What Python does with a whole list takes a third of the time that it takes for one record after another. Only
what is usual is done so. Whatever else is met, an error in a record included, raises: then the records are
mapped one by one, which tells what is wrong with which of them.
"""

from isthmus.mapper.columnar.reading import Column, Columns, Read, ReadPlaces, Work
from isthmus.mapper.columnar.rows import RowsByColumn
from isthmus.mapper.columnar.texts import ColumnField, LinesByColumn

__all__ = ["Column", "ColumnField", "Columns", "LinesByColumn", "Read", "ReadPlaces", "RowsByColumn", "Work"]
