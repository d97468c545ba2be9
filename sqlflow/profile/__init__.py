"""What the values of a table are like, found in one scan; and checks that they would pass."""
