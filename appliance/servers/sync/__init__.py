"""Server lists as YAML files: read and written in `yaml_list`, applied in `apply` by a `plan`."""
