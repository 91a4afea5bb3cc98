"""Authors and their books. Import it only after ``django.setup()``."""

from django.db import models


class Author(models.Model):  # type: ignore[misc]
    name = models.CharField(max_length=40, unique=True)
    facts = models.JSONField(default=dict)
    joined_at = models.DateTimeField(null=True)


class Book(models.Model):  # type: ignore[misc]
    title = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
