"""The children of the supervisor's nursery: `ls` of this folder is the list of what runs."""
