"""What an admin call is: its row in a table, its description, reading its fields, refusing it."""
