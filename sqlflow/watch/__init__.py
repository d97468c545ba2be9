"""Files that change -> what is wrong, what it means, and what a build would do; again and again."""
