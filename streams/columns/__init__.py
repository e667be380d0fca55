"""Streams as columns of Arrow: many records of a partition are decoded at once, field by field.

A view for people and programs that calculate: it belongs to no group, sees committed records only,
and asks for offsets first, so that the same question gets the same records again.
"""
